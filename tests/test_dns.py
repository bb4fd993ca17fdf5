"""labs.decode.dns: messages that scapy makes, as tshark reads them; names that point; bytes that nobody should send."""

import random
import subprocess

import pytest
from conftest import STACKS, examples
from fakes import Talk, capture_of
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.dns import DNS, DNSQR, DNSRR, DNSRRMX, DNSRROPT, DNSRRSOA, EDNS0TLV
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from test_decode import assert_tiled

from labs.captures.capture import Capture
from labs.captures.stream import said, streams
from labs.decode import DecodeError, peel
from labs.decode.dns import message, name_at, told
from labs.views import Ladder, one_line

NAMES = ("shop.test", "www.shop.test", "a.very.deep.name.under.shop.test", "mail.example.test", ".", "x" * 63 + ".test")
TEXTS = {  # type → how scapy is told its data
    "A": lambda rng: f"10.{rng.randrange(256)}.0.{rng.randrange(256)}",
    "AAAA": lambda rng: f"2001:db8::{rng.randrange(1, 9999):x}",
    "CNAME": lambda rng: rng.choice(NAMES[:4]),
    "NS": lambda rng: rng.choice(NAMES[:4]),
    "PTR": lambda rng: rng.choice(NAMES[:4]),
    "TXT": lambda rng: [b"v=1 " + bytes([rng.randrange(65, 90)]) * rng.randrange(1, 40)],
}


def record(rng):
    kind, where = rng.choice([*TEXTS, "MX", "SOA"]), {"rrname": rng.choice(NAMES), "ttl": rng.randrange(1 << 31)}
    if kind == "MX":
        return DNSRRMX(**where, preference=rng.randrange(100), exchange=rng.choice(NAMES[:4]))
    if kind == "SOA":
        return DNSRRSOA(**where, mname="ns.shop.test", rname="root.shop.test", serial=rng.randrange(1 << 32), minimum=60)
    return DNSRR(**where, type=kind, rdata=TEXTS[kind](rng))


def made(seed):
    """A random message, as bytes; every second one compressed by scapy."""
    rng = random.Random(seed)
    some = lambda most: [record(rng) for _ in range(rng.randrange(most))]
    options = [EDNS0TLV(optcode=10, optdata=b"12345678")] if rng.random() < 0.5 else []
    flag = lambda: rng.randrange(2)
    packet = DNS(
        id=rng.randrange(65536), opcode=rng.choice((0, 0, 0, 2, 4)), rcode=rng.randrange(6),
        qr=flag(), aa=flag(), tc=flag(), rd=flag(), ra=flag(), ad=flag(), cd=flag(),
        qd=[DNSQR(qname=rng.choice(NAMES), qtype=rng.choice(("A", "AAAA", "MX", "SOA")))], an=some(5), ns=some(3),
        ar=[*some(3), DNSRROPT(rclass=1232, z=rng.choice((0, 0x8000)), rdata=options)],
    )  # fmt: skip
    return bytes(packet.compress() if seed % 2 else packet)


def datagram(data, query=True):
    pairs = (("02:00:00:00:00:01", "02:00:00:00:00:02"), ("10.0.0.1", "10.0.0.2"), (40000, 53))
    macs, addresses, ports = (pair if query else pair[::-1] for pair in pairs)
    lower = Ether(src=macs[0], dst=macs[1]) / IP(src=addresses[0], dst=addresses[1]) / UDP(sport=ports[0], dport=ports[1])
    return bytes(lower / Raw(data))


ANY_MESSAGE = st.integers(0, 119).map(made)
FLAGS = {
    "dns.flags.response": "QR", "dns.flags.opcode": "Opcode", "dns.flags.authoritative": "AA", "dns.flags.truncated": "TC",
    "dns.flags.recdesired": "RD", "dns.flags.recavail": "RA", "dns.flags.authenticated": "AD", "dns.flags.checkdisable": "CD",
    "dns.flags.rcode": "RCODE",
}  # fmt: skip
COUNTS = {"dns.id": "ID", "dns.count.queries": "QDCOUNT", "dns.count.answers": "ANCOUNT", "dns.count.auth_rr": "NSCOUNT"}
LISTS = {  # tshark's field → (names of ours, what of the field)
    "dns.qry.name": (("Question Name",), "text"),
    "dns.qry.type": (("Question Type",), "value"),
    "dns.resp.name": (("Answer Name", "Authority Name", "Additional Name"), "text"),
    "dns.resp.type": (("Answer Type", "Authority Type", "Additional Type"), "value"),
    "dns.resp.ttl": (("Answer TTL", "Authority TTL", "Additional TTL"), "value"),
    "dns.resp.len": (("Answer Data Length", "Authority Data Length", "Additional Data Length"), "value"),
    "dns.a": (("Answer A", "Authority A", "Additional A"), "text"),
    "dns.aaaa": (("Answer AAAA", "Authority AAAA", "Additional AAAA"), "text"),
    "dns.cname": (("Answer CNAME", "Authority CNAME", "Additional CNAME"), "text"),
    "dns.ns": (("Answer NS", "Authority NS", "Additional NS"), "text"),
    "dns.ptr.domain_name": (("Answer PTR", "Authority PTR", "Additional PTR"), "text"),
    "dns.mx.mail_exchange": (("Answer MX", "Authority MX", "Additional MX"), "text"),
    "dns.mx.preference": (("Preference",), "value"),
    "dns.soa.mname": (("Answer SOA", "Authority SOA", "Additional SOA"), "text"),
    "dns.soa.rname": (("RNAME",), "text"),
    "dns.soa.serial_number": (("Serial",), "value"),
    "dns.soa.minimum_ttl": (("Minimum",), "value"),
    "dns.rr.udp_payload_size": (("UDP Payload Size",), "value"),
    "dns.opt.code": (("Option Code",), "value"),
}


def by_tshark(path, names):
    wanted = [word for name in names for word in ("-e", name)]
    command = ["tshark", "-r", str(path), "-n", "-T", "fields", "-E", "separator=/t", "-E", "aggregator=|", *wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [dict(zip(names, line.split("\t"))) for line in done.splitlines()]


def test_messages_as_tshark_reads_them(tshark, tmp_path):
    sent = [
        ("client" if query else "server", datagram(data, query))
        for data in map(made, range(120))
        for query in [not data[2] & 0x80]
    ]
    cap = capture_of(sent)
    Capture(cap.frames, cap.hosts, cap.names, "").save(tmp_path / "dns.pcapng")
    rows = by_tshark(tmp_path / "dns.pcapng", [*FLAGS, *COUNTS, *LISTS, "_ws.malformed"])
    assert len(rows) == len(sent)
    number = lambda text: {"True": 1, "False": 0}.get(text) if text in ("True", "False") else int(text, 0)
    for frame, row in zip(cap, rows):
        dns = peel(frame.raw)[-1]
        assert dns.name == "DNS" and not dns.error and not row["_ws.malformed"], row
        for theirs, ours in (FLAGS | COUNTS).items():
            if row[theirs]:  # of a query, tshark names no more flags than a query has
                assert dns[ours] == number(row[theirs]), (theirs, row)
        assert row["dns.id"] and row["dns.flags.rcode"] or not dns["QR"]
        for theirs, (names, what) in LISTS.items():
            ours = [getattr(field, what) for field in dns.fields if field.name in names]
            found = row[theirs].split("|") if row[theirs] else []
            found = [{"<Root>": "."}.get(text, text) if what == "text" else number(text) for text in found]
            if theirs == "dns.resp.ttl":  # what is a TTL in a record is flags in OPT
                found = found[: len(ours)]
            assert ours == found, (theirs, row)
        assert_tiled(peel(frame.raw), 0, len(frame.raw))


def test_flags_bit_by_bit():
    layer = message(bytes(DNS(id=7, qr=1, aa=1, rd=1, ra=1, rcode=3, qd=[DNSQR(qname="nowhere.test")])))
    assert [layer[name] for name in ("QR", "Opcode", "AA", "TC", "RD", "RA", "Z", "AD", "CD", "RCODE")] == [
        1,
        0,
        1,
        0,
        1,
        1,
        0,
        0,
        0,
        3,
    ]
    places = {field.name: (field.offset, field.length, field.bits) for field in layer.fields if field.bits}
    assert places["Opcode"] == (2, 1, (1, 4)) and places["RA"] == (3, 1, (0, 1)) and places["RCODE"] == (3, 1, (4, 4))
    assert all(field.see.startswith("RFC") for field in layer.fields)


def test_a_pointer_is_followed_and_said():
    raw = bytes(DNS(qr=1, qd=[DNSQR(qname="shop.test")], an=[DNSRR(rrname="www.shop.test", rdata="10.0.0.2")]).compress())
    name = next(field for field in message(raw).fields if field.name == "Answer Name")
    assert (name.text, name.length, name.meaning) == ("www.shop.test", 6, "goes on at byte 12 of the message")


@pytest.mark.parametrize(
    "forged, why",
    [
        (b"\xc0\x00", "byte 0, which is not before"),  # at itself
        (b"\x01a\xc0\x00", "byte 0, which is not before"),
        (b"\xc0\x04\x00\x00\x00", "byte 4, which is not before"),  # forwards
        (b"\x41abc", "0x41 came as its length"),
        (b"\x05abc", "takes 6 bytes; 4 came"),
        (b"\x01a", "takes 1 byte; 0 came"),
        (b"\xc0", "takes 2 bytes; 1 came"),
        ((b"\x3f" + b"x" * 63) * 4 + b"\x00", "up to 255 bytes"),
    ],
)
def test_forged_names(forged, why):
    with pytest.raises(DecodeError, match=why):
        name_at(forged, 0, len(forged), 0)


def test_two_pointers_at_each_other_end():
    raw = b"\x01a\xc0\x06" + b"\x01b" + b"\xc0\x00"
    with pytest.raises(DecodeError, match="not before"):
        name_at(raw, 4, len(raw), 0)


def test_a_name_that_holds_anything_stays_on_its_line():
    label = b"a.b\\\n\xff<b>"
    text, size, pointer = name_at(bytes([len(label)]) + label + b"\x04test\x00", 0, 99, 0)
    assert (text, size, pointer) == ("a\\.b\\\\\\010\\255<b>.test", 16, None)


SAID = {
    "query A shop.test": DNS(rd=1, qd=[DNSQR(qname="shop.test")]),
    "query MX shop.test": DNS(qd=[DNSQR(qname="shop.test", qtype="MX")]),
    "answer A 10.0.0.2": DNS(qr=1, qd=[DNSQR(qname="shop.test")], an=[DNSRR(rrname="shop.test", rdata="10.0.0.2")]),
    "answer CNAME shop.test, A 10.0.0.2, 10.0.0.3": DNS(
        qr=1,
        qd=[DNSQR(qname="www.shop.test")],
        an=[
            DNSRR(rrname="www.shop.test", type="CNAME", rdata="shop.test"),
            DNSRR(rrname="shop.test", rdata="10.0.0.2"),
            DNSRR(rrname="shop.test", rdata="10.0.0.3"),
        ],
    ),
    "answer A 10.0.0.0, 10.0.0.1, 10.0.0.2 and 2 more": DNS(
        qr=1, qd=[DNSQR(qname="shop.test")], an=[DNSRR(rrname="shop.test", rdata=f"10.0.0.{n}") for n in range(5)]
    ),
    "NXDOMAIN  nowhere.test": DNS(qr=1, rcode=3, qd=[DNSQR(qname="nowhere.test")]),
    "no AAAA shop.test": DNS(qr=1, qd=[DNSQR(qname="shop.test", qtype="AAAA")]),
    "no A shop.test  truncated": DNS(qr=1, tc=1, qd=[DNSQR(qname="shop.test")]),
    "notify SOA shop.test": DNS(opcode=4, qd=[DNSQR(qname="shop.test", qtype="SOA")]),
    "query": DNS(qd=[]),
}


@pytest.mark.parametrize("words", SAID)
def test_words(words):
    assert told(message(bytes(SAID[words]))) == words


def test_in_a_ladder():
    asked, answered = bytes(SAID["query A shop.test"]), bytes(SAID["answer A 10.0.0.2"])
    cap = capture_of([("client", datagram(asked)), ("server", datagram(answered, False)), ("client", datagram(b"other"))])
    ladder = Ladder(cap)
    assert ladder.text.splitlines() == [
        "1  client:A  → server:53  DNS  query A shop.test",
        "2  server:53 → client:A   DNS  answer A 10.0.0.2",
        "3  client:A  → server:53  UDP  5 bytes",
    ]
    assert ladder.summary() == "2 DNS messages, 1 UDP datagram: 3 frames between client and server, none lost."
    assert one_line(cap[0]) == "1  10.0.0.1:· → 10.0.0.2:53  DNS  query A shop.test"


def test_over_tcp_with_a_length_before_each_message():
    asked, answered = bytes(SAID["query MX shop.test"]), bytes(SAID["NXDOMAIN  nowhere.test"])
    framed = lambda data: len(data).to_bytes(2, "big") + data
    talk = Talk(dport=53).open().say("client", "PA", framed(asked) * 2)
    stream = framed(answered)
    cap = capture_of(talk.say("server", "PA", stream[:9]).say("server", "PA", stream[9:]).close().sent)
    layers = peel(cap[3].raw)
    assert [layer.name for layer in layers] == ["Ethernet", "IPv4", "TCP", "DNS", "DNS"]
    assert [layer["Message Length"] for layer in layers[3:]] == [len(asked)] * 2 and not any(layer.error for layer in layers)
    assert_tiled(layers, 0, len(cap[3].raw))
    units = streams(cap)[0].units()
    assert [(unit.side, unit.kind, unit.words) for unit in units] == [
        ("client", "request", "query MX shop.test"),
        ("client", "request", "query MX shop.test"),
        ("server", "response", "NXDOMAIN  nowhere.test"),
    ]
    assert [line.split("  ")[-2:] for line in Ladder(cap, say=said(cap)).text.splitlines()] == [
        ["DNS", "query MX shop.test; query MX shop.test"],
        ["NXDOMAIN", "nowhere.test"],
    ]


# ── bytes that nobody should send ────────────────────────────────────────────────────────────────────────────────────────


def survives(data):
    for first in ("DNS", "UDP"):
        raw = data if first == "DNS" else (b"\x9c\x40\x00\x35" + (len(data) + 8).to_bytes(2, "big") + b"\0\0" + data)
        assert_tiled(peel(raw, first), 0, len(raw))
    try:
        assert told(message(data)).isprintable()
    except DecodeError:
        assert len(data) < 12
    Ladder(capture_of([("client", datagram(data))]))


def test_every_truncation():
    for data in map(made, range(12 if STACKS else 4)):
        for size in range(len(data)):
            survives(data[:size])
            if size >= 12:
                layer = message(data[:size])
                assert layer["ID"] == int.from_bytes(data[:2], "big") and layer.error, "a header, and why not all"


@settings(max_examples=examples(300), deadline=2000)
@given(ANY_MESSAGE, st.data())
def test_changed_bytes(data, draw):
    raw = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 6))):
        raw[draw.draw(st.integers(0, len(raw) - 1))] = draw.draw(
            st.one_of(st.integers(0, 255), st.sampled_from([0xC0, 0xC1, 63]))
        )
    survives(bytes(raw))


@settings(max_examples=examples(200), deadline=2000)
@given(st.binary(max_size=300))
def test_any_bytes(data):
    survives(data)


def test_a_message_of_pointers_ends():
    """A long chain of pointers, each one step back, and many records that begin at its end."""
    chain = lambda links: b"\0" + b"".join((0xC000 | at).to_bytes(2, "big") for at in (12, *range(13, 11 + 2 * links, 2)))
    head = b"\0\1\x80\0\0\0\x1f\xff\0\0\0\0"
    assert name_at(head + chain(120), 11 + 240, 253, 0) == (".", 2, 249)
    with pytest.raises(DecodeError, match="so many pointers"):
        name_at(head + chain(8000), 11 + 16_000, 16_013, 0)
    survives(head + chain(8000) + (chain(8000)[-2:] + b"\0\1\0\1\0\0\0\0\0\0") * 3000)
