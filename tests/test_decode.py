"""labs.decode against scapy's own dissection, and on bytes that nobody should send."""

import random
from ipaddress import IPv6Address

import pytest
from conftest import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.config import conf

conf.verb = 0
from scapy.layers.dns import DNS, DNSQR, DNSRR, DNSRROPT  # noqa: E402
from scapy.layers.inet import ICMP, IP, TCP, UDP  # noqa: E402
from scapy.layers.inet6 import (  # noqa: E402
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptMTU,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6PacketTooBig,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether  # noqa: E402
from scapy.packet import Raw  # noqa: E402

from labs.decode import DecodeError, Field, Headers, Layer, flag_names, peel, peel_application  # noqa: E402
from labs.decode.checksum import internet_checksum  # noqa: E402

A, B = "02:00:00:00:00:01", "02:00:00:00:00:02"


def ether():
    return Ether(src=A, dst=B)


def ip(**kw):
    return ether() / IP(src="10.0.0.1", dst="10.0.0.2", **kw)


def ip6(**kw):
    return ether() / IPv6(src="fe80::1", dst="fe80::2", **kw)


OPTIONS = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (123, 456)), ("NOP", None), ("WScale", 7)]
OFFENDER = IP(src="10.0.0.1", dst="10.0.9.9", ttl=1) / UDP(sport=40000, dport=33434) / b"probe"
JSON = b'{"a": [1, 2]}'
ANSWER = b"HTTP/1.1 200 OK\r\nDate: today\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n" + JSON
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"
ANSWERED = DNS(
    id=7, qr=1, qd=[DNSQR(qname="www.shop.test")], ar=[DNSRROPT(rclass=1232)],
    an=[DNSRR(rrname="www.shop.test", type="CNAME", rdata="shop.test"), DNSRR(rrname="shop.test", rdata="10.0.0.2")],
).compress()  # fmt: skip
RECORD = bytes.fromhex("1703030014") + bytes(range(20))
GOOD = {
    "arp request": ether() / ARP(op=1, hwsrc=A, psrc="10.0.0.1", pdst="10.0.0.2") / Raw(bytes(18)),
    "arp reply": ether() / ARP(op=2, hwsrc=A, psrc="10.0.0.1", hwdst=B, pdst="10.0.0.2"),
    "vlan": ether() / Dot1Q(prio=3, dei=1, vlan=42) / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2) / b"xyz",
    "syn": ip(id=7, flags="DF", tos=0xB9) / TCP(sport=40000, dport=80, seq=1000, flags="S", options=OPTIONS),
    "sack": ip() / TCP(sport=80, dport=40000, seq=1, ack=2, flags="A", options=[("SAck", (5, 9, 20, 30))]),
    "fast open": ip() / TCP(sport=40000, dport=80, flags="S", options=[("TFO", (1, 2))]) / b"early",
    "odd option": ip() / TCP(sport=40000, dport=80, flags="SEC", reserved=5, options=[(99, b"abc"), ("EOL", None)]),
    "urgent": ip() / TCP(sport=40000, dport=23, flags="PAU", urgptr=1) / b"odd",
    "udp": ip(ttl=3) / UDP(sport=40000, dport=53) / b"query",
    "dns": ip() / UDP(sport=40000, dport=53) / DNS(id=7, rd=1, qd=[DNSQR(qname="shop.test")]),
    "dns answer": ip() / UDP(sport=53, dport=40000) / ANSWERED,
    "udp without checksum": ip() / UDP(sport=40000, dport=53, chksum=0) / b"query",
    "padded": ip() / UDP(sport=40000, dport=9) / b"x",  # and zeros up to 60 bytes, below
    "ping": ip() / ICMP(type=8, id=77, seq=3) / b"abcdefgh",
    "timestamp": ip() / ICMP(type=13, id=1, seq=2, ts_ori=5, ts_rx=6, ts_tx=7),
    "redirect": ip() / ICMP(type=5, code=1, gw="10.0.0.254") / OFFENDER,
    "time exceeded": ip() / ICMP(type=11, code=0) / OFFENDER,
    "too big": ip()
    / ICMP(type=3, code=4, nexthopmtu=1400)
    / Raw(bytes(IP(src="10.0.0.1", dst="10.0.9.9", flags="DF") / TCP(dport=80))),
    "eight bytes": ip() / ICMP(type=3, code=3) / Raw(bytes(IP(src="10.0.0.1", dst="10.0.9.9") / TCP(dport=80))[:28]),
    "first fragment": ip(flags="MF", id=9) / UDP(sport=40000, dport=9, len=3008) / bytes(1472),
    "later fragment": ip(frag=185, id=9, proto=17) / bytes(100),
    "ip options": ether()
    / IP(src="10.0.0.1", dst="10.0.0.2", options=[b"\x94\x04\x00\x00", b"\x01", b"\x00"], proto=2)
    / b"group",
    "request": ip() / TCP(sport=40000, dport=8080, flags="PA") / b"GET /a?b HTTP/1.1\r\nHost: server\r\nX: <b>\xff\r\n\r\n",
    "answer": ip() / TCP(sport=8080, dport=40000, flags="PA") / ANSWER,
    "pipelined": ip() / TCP(sport=8080, dport=40000, flags="PA") / (ANSWER + ANSWER),
    "chunked": ip() / TCP(sport=8080, dport=40000, flags="PA") / (CHUNKED + ANSWER),
    "tls": ip() / TCP(sport=443, dport=40000, flags="PA") / (RECORD + RECORD[:12]),
    "udp6": ip6(tc=0xB9, fl=0x12345, hlim=9) / UDP(sport=40000, dport=53) / b"query!",
    "tcp6": ip6() / TCP(sport=40000, dport=80, flags="S", options=OPTIONS),
    "ping6": ip6() / ICMPv6EchoRequest(id=7, seq=9, data=b"abc"),
    "hop by hop": ip6() / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / UDP(sport=1, dport=2) / b"x",
    "routing": ip6() / IPv6ExtHdrRouting(addresses=["fe80::3"], segleft=0) / TCP(dport=80),
    "fragment6": ip6() / IPv6ExtHdrFragment(offset=0, m=1, id=77) / UDP(sport=1, dport=2, len=4000) / bytes(64),
    "later6": ip6() / IPv6ExtHdrFragment(offset=8, m=0, id=77, nh=17) / bytes(64),
    "solicitation": ip6(hlim=255) / ICMPv6ND_NS(tgt="fe80::2") / ICMPv6NDOptSrcLLAddr(lladdr=A),
    "advertisement": ip6(hlim=255) / ICMPv6ND_NA(tgt="fe80::2", R=0, S=1, O=1) / ICMPv6NDOptDstLLAddr(lladdr=B),
    "router": ip6(hlim=255)
    / ICMPv6ND_RA(M=1, O=0, routerlifetime=1800)
    / ICMPv6NDOptPrefixInfo(prefix="2001:db8::")
    / ICMPv6NDOptMTU(mtu=1400),
    "unreachable6": ip6() / ICMPv6DestUnreach(code=4) / IPv6(src="fe80::2", dst="fe80::1") / UDP(sport=5, dport=6) / b"x",
    "too big 6": ip6() / ICMPv6PacketTooBig(mtu=1280) / IPv6(src="fe80::2", dst="fe80::1") / TCP(dport=80),
    "unknown": Ether(src=A, dst=B, type=0x88B5) / b"local experiment",
    "llc": Raw(bytes.fromhex("0180c2000000020000000001002642420300")),
}
GOOD = {name: bytes(frame) for name, frame in GOOD.items()}
GOOD["padded"] += bytes(60 - len(GOOD["padded"]))
frames = pytest.mark.parametrize("raw", GOOD.values(), ids=GOOD.keys())


def layer(layers, name):
    return next(each for each in layers if each.name == name)


def meaning(one, name):
    return next(field.meaning for field in one.fields if field.name == name)


def assert_tiled(layers, start, size):
    """Every bit of the bytes belongs to exactly one field; layers stand in the order of their offsets and inside the frame."""
    spans = []
    for one in layers:
        assert isinstance(one, Layer) and 2 <= one.number <= 7 and isinstance(one.error, str)
        assert start <= one.offset and one.header <= one.length and one.offset + one.length <= start + size, one
        covered = sum(f.bits[1] if f.bits else f.length * 8 for f in one.fields)
        assert covered >= one.header * 8, one
        for field in one.fields:
            assert isinstance(field, Field) and isinstance(field.text, str) and field.length > 0, field
            first, bits = field.bits or (0, field.length * 8)
            assert field.length == (first + bits + 7) // 8 and first < 8, field
            spans.append((field.offset * 8 + first, bits, one.name, field.name))
    where = start * 8
    for first, bits, *who in sorted(spans):
        assert first == where, who
        where += bits
    assert where == (start + size) * 8
    assert [one.offset for one in layers] == sorted(one.offset for one in layers)


# -- golden frames, field by field, against scapy

SCAPY = {
    "Ethernet": (Ether, {"Destination Address": "dst", "Source Address": "src", "EtherType": "type"}),
    "802.1Q": (
        Dot1Q,
        {"Priority Code Point": "prio", "Drop Eligible Indicator": "dei", "VLAN Identifier": "vlan", "EtherType": "type"},
    ),
    "ARP": (
        ARP,
        {
            "Hardware Type": "hwtype",
            "Protocol Type": "ptype",
            "Hardware Address Length": "hwlen",
            "Protocol Address Length": "plen",
            "Opcode": "op",
            "Sender Hardware Address": "hwsrc",
            "Sender Protocol Address": "psrc",
            "Target Hardware Address": "hwdst",
            "Target Protocol Address": "pdst",
        },
    ),
    "IPv4": (
        IP,
        {
            "Version": "version",
            "IHL": "ihl",
            "Total Length": "len",
            "Identification": "id",
            "Fragment Offset": "frag",
            "Time to Live": "ttl",
            "Protocol": "proto",
            "Header Checksum": "chksum",
            "Source Address": "src",
            "Destination Address": "dst",
        },
    ),
    "IPv6": (
        IPv6,
        {
            "Version": "version",
            "Flow Label": "fl",
            "Payload Length": "plen",
            "Next Header": "nh",
            "Hop Limit": "hlim",
            "Source Address": "src",
            "Destination Address": "dst",
        },
    ),
    "IPv6 Fragment": (
        IPv6ExtHdrFragment,
        {"Next Header": "nh", "Fragment Offset": "offset", "More Fragments": "m", "Identification": "id"},
    ),
    "TCP": (
        TCP,
        {
            "Source Port": "sport",
            "Destination Port": "dport",
            "Sequence Number": "seq",
            "Acknowledgment Number": "ack",
            "Data Offset": "dataofs",
            "Reserved": "reserved",
            "Window": "window",
            "Checksum": "chksum",
            "Urgent Pointer": "urgptr",
        },
    ),
    "UDP": (UDP, {"Source Port": "sport", "Destination Port": "dport", "Length": "len", "Checksum": "chksum"}),
    "ICMP": (ICMP, {"Type": "type", "Code": "code", "Checksum": "chksum"}),
}


@frames
def test_fields_are_those_of_scapy(raw):
    packet, compared = Ether(raw), 0
    for one in peel(raw):
        if one.name not in SCAPY or one.name == "Ethernet" and not isinstance(packet, Ether):
            continue
        kind, names = SCAPY[one.name]
        theirs = packet.getlayer(kind)
        for ours, attribute in names.items():
            if ours == "EtherType" and not any(f.name == ours for f in one.fields):
                continue
            expected = theirs.getfieldval(attribute)
            if one.name == "TCP" and ours == "Reserved":  # scapy knows 3 reserved bits and takes the fourth for the AE/NS flag
                expected = expected << 1 | int(theirs.flags) >> 8
            assert one[ours] == expected, (one.name, ours)
            compared += 1
        if one.name == "IPv4":
            assert one["DSCP"] << 2 | one["ECN"] == theirs.tos
            assert one["Reserved Flag"] << 2 | one["Don't Fragment"] << 1 | one["More Fragments"] == int(theirs.flags)
        if one.name == "IPv6":
            assert one["DSCP"] << 2 | one["ECN"] == theirs.tc
        if one.name == "TCP":
            bits = [one[name] for name in ("CWR", "ECE", "URG", "ACK", "PSH", "RST", "SYN", "FIN")]
            assert int("".join(map(str, bits)), 2) == int(theirs.flags) & 255
    assert compared >= 1 or not isinstance(Ether(raw), Ether)


@frames
def test_good_frames_have_no_errors_and_every_byte_a_field(raw):
    layers = peel(raw)
    assert [one.error for one in layers if one.error] == []
    assert_tiled(layers, 0, len(raw))
    for one in layers:
        for field in one.fields:
            assert "wrong" not in field.meaning, field
            assert field.see or one.name in ("Data", "JSON"), field


@frames
def test_a_field_stands_where_it_says(raw):
    """Read again from offset, length and bits alone."""
    for one in peel(raw):
        for field in one.fields:
            if field.name in ("Maximum Segment Size", "Window Scale"):  # behind kind and length
                assert field.value == int.from_bytes(raw[field.offset + 2 : field.offset + field.length], "big")
            elif isinstance(field.value, int) and field.name not in ("Chunk Size", "SACK Permitted"):
                first, bits = field.bits or (0, field.length * 8)
                word = int.from_bytes(raw[field.offset : field.offset + field.length], "big")
                assert field.value == word >> (field.length * 8 - first - bits) & ((1 << bits) - 1), (one.name, field)
            elif one.name in ("Data", "Padding", "JSON"):
                assert field.value == raw[field.offset : field.offset + field.length]
            elif field.name.endswith("Address") and ":" in field.text and field.length == 6:
                assert field.value == raw[field.offset : field.offset + 6].hex(":")


NAMES = {
    "arp request": "Ethernet ARP Padding",
    "arp reply": "Ethernet ARP",
    "vlan": "Ethernet 802.1Q IPv4 UDP Data",
    "syn": "Ethernet IPv4 TCP",
    "padded": "Ethernet IPv4 UDP Data Padding",
    "dns": "Ethernet IPv4 UDP DNS",
    "dns answer": "Ethernet IPv4 UDP DNS",
    "ping": "Ethernet IPv4 ICMP Data",
    "first fragment": "Ethernet IPv4 UDP Data",
    "later fragment": "Ethernet IPv4 Data",
    "answer": "Ethernet IPv4 TCP HTTP JSON",
    "pipelined": "Ethernet IPv4 TCP HTTP JSON HTTP JSON",
    "request": "Ethernet IPv4 TCP HTTP",
    "unknown": "Ethernet Data",
    "llc": "Ethernet Data",
}


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_layers(name):
    assert " ".join(one.name for one in peel(GOOD[name])) == NAMES[name]


def test_quoted_packets():
    names = [one.name for one in peel(GOOD["time exceeded"])]
    assert names == ["Ethernet", "IPv4", "ICMP", "IPv4 (quoted)", "UDP (quoted)", "Data"]
    assert layer(peel(GOOD["time exceeded"]), "UDP (quoted)")["Destination Port"] == 33434
    assert layer(peel(GOOD["too big"]), "ICMP")["Next-Hop MTU"] == 1400
    short = layer(peel(GOOD["eight bytes"]), "TCP (quoted)")
    assert (short.header, short["Destination Port"], short.error) == (8, 80, "")
    assert [one.name for one in peel(GOOD["unreachable6"])][3:] == ["IPv6 (quoted)", "UDP (quoted)", "Data"]
    assert layer(peel(GOOD["too big 6"]), "ICMPv6")["MTU"] == 1280


def test_tcp_options():
    syn = layer(peel(GOOD["syn"]), "TCP")
    assert (syn["Maximum Segment Size"], syn["Window Scale"], syn["SACK Permitted"], syn["Timestamps"]) == (
        1460,
        7,
        True,
        (123, 456),
    )
    assert layer(peel(GOOD["sack"]), "TCP")["SACK"] == ((5, 9), (20, 30))
    assert layer(peel(GOOD["fast open"]), "TCP")["Fast Open Cookie"] == bytes([0, 0, 0, 1, 0, 0, 0, 2])
    odd = layer(peel(GOOD["odd option"]), "TCP")
    assert (odd["Unknown Option"], meaning(odd, "Unknown Option"), odd["End of Option List"]) == (b"abc", "option 99", 0)


@pytest.mark.parametrize("options", ["0200", "0201", "02", "04ff0101", "03", "0101010804aa"])
def test_a_broken_option_list_is_named_and_the_data_still_read(options):
    padded = bytes.fromhex(options).rjust((len(options) // 2 + 3) // 4 * 4, b"\1")
    head = bytearray(bytes(ip(len=20 + 20 + len(padded) + 2) / TCP(dataofs=5 + len(padded) // 4)))
    raw = bytes(head) + padded + b"hi"
    tcp = layer(peel(raw), "TCP")
    assert "option" in tcp.error and tcp["Malformed Options"]
    assert peel(raw)[-1]["Data"] == b"hi"
    assert_tiled(peel(raw), 0, len(raw))


def test_neighbor_discovery():
    na = layer(peel(GOOD["advertisement"]), "ICMPv6")
    assert (na["R"], na["S"], na["O"], na["Target Address"]) == (0, 1, 1, "fe80::2")
    ns = layer(peel(GOOD["solicitation"]), "ICMPv6")
    assert ns["Source Link-Layer Address"] == bytes.fromhex(A.replace(":", ""))
    ra = layer(peel(GOOD["router"]), "ICMPv6")
    assert (ra["M"], ra["Router Lifetime"]) == (1, 1800)
    assert next(f.text for f in ra.fields if f.name == "Prefix Information") == "2001:db8::/64"


def test_lengths_leave_padding_out():
    ethernet, ipv4, udp, data, padding = peel(GOOD["padded"])
    assert (ethernet.length, ipv4.length, udp.length, data.length) == (43, 29, 9, 1)
    assert (padding.number, padding.offset, padding.length) == (2, 43, 17)


def test_http():
    http, body = peel(GOOD["answer"])[3:]
    assert (http["Status Line"], http["Content-Type"], http["Empty Line"]) == ("HTTP/1.1 200 OK", "application/json", "")
    assert body["JSON"] == JSON and body.number == 7 and http.length == len(ANSWER) and http.header == len(ANSWER) - 13
    assert [f.varies for f in http.fields] == [False, True, False, False, False]
    request = layer(peel(GOOD["request"]), "HTTP")
    assert request["Request Line"] == "GET /a?b HTTP/1.1" and request["X"] == "<b>\xff"
    chunks = [one for one in peel(GOOD["chunked"]) if one.name == "HTTP chunk"]
    assert [one["Chunk Size"] for one in chunks] == [5, 0] and chunks[0]["Chunk Data"] == b"hello" and chunks[1]["X-Sum"] == "1"
    assert peel(GOOD["chunked"])[-1].name == "JSON"


def test_application_bytes_stand_where_the_caller_says():
    layers = peel_application(ANSWER, at=71)
    assert [one.name for one in layers] == ["HTTP", "JSON"] and layers[0].offset == 71
    assert_tiled(layers, 71, len(ANSWER))
    assert [one.name for one in peel_application(b"hello")] == ["Data"] and peel_application(b"") == ()
    assert [one.name for one in peel_application(JSON)] == ["JSON"]
    assert [one.name for one in peel_application(b"[" * 100_000)] == ["Data"]


def test_tls_records_are_seen_without_a_port():
    first, second = peel(GOOD["tls"])[3:]
    assert (first.name, first.number, first["Content Type"], first["Length"], first.length) == ("TLS record", 6, 23, 20, 25)
    assert first["Encrypted Record"] == bytes(range(20)) and (second["Length"], second.length) == (20, 12)
    for text in ("1503030000", "1703030000"[:8], "1803030014", "1703050014", "170303ffff"):
        raw = bytes(ip() / TCP() / bytes.fromhex(text))
        assert peel(raw)[-1].name == "Data", text


# -- checksums

CHECKED = [
    ("syn", "IPv4", "Header Checksum", 24),
    ("syn", "TCP", "Checksum", 50),
    ("udp", "UDP", "Checksum", 40),
    ("ping", "ICMP", "Checksum", 36),
    ("tcp6", "TCP", "Checksum", 70),
    ("udp6", "UDP", "Checksum", 60),
    ("ping6", "ICMPv6", "Checksum", 56),
    ("urgent", "TCP", "Checksum", 50),
    ("hop by hop", "UDP", "Checksum", 76),
    ("padded", "UDP", "Checksum", 40),
]


@pytest.mark.parametrize("frame, name, field, at", CHECKED)
def test_a_checksum_is_right_or_the_right_one_is_given(frame, name, field, at):
    raw = bytearray(GOOD[frame])
    one = layer(peel(raw), name)
    assert meaning(one, field) == "correct"
    assert next(f.offset for f in one.fields if f.name == field) == at
    right = one[field]
    raw[at : at + 2] = (right ^ 0x0101).to_bytes(2, "big")
    assert meaning(layer(peel(raw), name), field).startswith(f"wrong, 0x{right:04x} expected")


def test_checksums_that_cannot_be_checked():
    assert meaning(layer(peel(GOOD["udp without checksum"]), "UDP"), "Checksum") == "not computed"
    for name in ("first fragment", "fragment6"):
        assert "all fragments" in meaning(layer(peel(GOOD[name]), "UDP"), "Checksum")
    too_long = bytes(ip() / UDP(len=50, chksum=1) / b"x")
    assert "missing" in meaning(layer(peel(too_long), "UDP"), "Checksum")
    assert "cut short" in meaning(layer(peel(GOOD["urgent"][:-1]), "TCP"), "Checksum")
    assert "addresses" in meaning(peel(GOOD["syn"][34:], first="TCP")[0], "Checksum")
    assert "quoted" in meaning(layer(peel(GOOD["too big"]), "TCP (quoted)"), "Checksum")


def test_a_sum_left_to_the_card_is_recognised():
    raw = bytearray(GOOD["urgent"])
    pseudo = raw[26:34] + bytes([0, 6]) + (len(raw) - 34).to_bytes(2, "big")
    raw[50:52] = (internet_checksum(bytes(pseudo)) ^ 0xFFFF).to_bytes(2, "big")
    assert "the card" in meaning(layer(peel(raw), "TCP"), "Checksum")


def test_a_udp_sum_of_zero_is_sent_as_ffff():
    raw = bytes(IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2) / b"\0\0")
    filler = internet_checksum(raw[12:20] + bytes([0, 17, 0, 10]) + raw[20:26])  # makes the sum come out as 0
    raw = raw[:26] + b"\xff\xff" + filler.to_bytes(2, "big")
    assert meaning(layer(peel(raw, first="IPv4"), "UDP"), "Checksum") == "correct"
    wrong = raw[:26] + b"\x12\x34" + raw[28:]
    assert meaning(layer(peel(wrong, first="IPv4"), "UDP"), "Checksum") == "wrong, 0xffff expected"


# -- hostile bytes

FIRSTS = [
    "Ethernet",
    "802.1Q",
    "ARP",
    "IPv4",
    "IPv6",
    "ICMP",
    "ICMPv6",
    "TCP",
    "UDP",
    "DNS",
    "WebSocket",
    "HTTP",
    "HTTP chunk",
    "JSON",
    "TLS record",
    "IPv6 Fragment",
    "IPv6 Routing",
    "IPv6 Hop-by-Hop Options",
]


def assert_survives(raw, first="Ethernet"):
    assert_tiled(peel(raw, first), 0, len(raw))
    header = Headers(raw)
    assert 0 <= header.payload_at <= len(raw) and len(header.payload) == header.payload_length


@settings(max_examples=examples(400), deadline=1000)
@given(st.binary(max_size=200), st.sampled_from(FIRSTS))
def test_any_bytes(raw, first):
    assert_survives(raw, first)


@settings(max_examples=examples(400), deadline=1000)
@given(st.sampled_from([0x0800, 0x0806, 0x86DD, 0x8100]), st.sampled_from([0x45, 0x4F, 0x60]), st.binary(max_size=200))
def test_any_bytes_behind_a_known_type(kind, first, rest):
    assert_survives(bytes(12) + kind.to_bytes(2, "big") + bytes([first]) + rest)


@frames
def test_every_truncation(raw):
    for size in range(min(len(raw), 200)):
        assert_survives(raw[:size])


@settings(max_examples=examples(1500), deadline=1000)
@given(st.sampled_from(sorted(GOOD)), st.data())
def test_changed_bytes(name, data):
    raw = bytearray(GOOD[name])
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    assert_survives(bytes(raw))


@frames
def test_every_byte_changed_once(raw):
    for at in range(min(len(raw), 120)):
        for value in (0, 1, 0x45, 0xFF):
            assert_survives(raw[:at] + bytes([value]) + raw[at + 1 :])


@pytest.mark.parametrize(
    "unit, first",
    [
        (bytes([60, 0, 0, 0, 0, 0, 0, 0]), "IPv6 Destination Options"),
        (b"\x17\x03\x03\x00\x00", "TLS record"),
        (b"\x89\x00", "WebSocket"),
        (b"\n", "HTTP"),
        (b"0\r\n", "HTTP chunk"),
        (b"GET / HTTP/1.1\r\n\r\n", "HTTP"),
        (b"a:b\n", "HTTP"),
        (bytes.fromhex("81000000"), "802.1Q"),
        (b"1\r\nx\r\n", "HTTP chunk"),
        (b"[", "JSON"),
        (bytes.fromhex("4500001400000000400400000a0000010a000002"), "IPv4"),
    ],
)
def test_a_jumbo_of_small_things_ends(unit, first):
    raw = (unit * 70_000)[:65_535]
    raw = b"GET / HTTP/1.1\r\n" + raw if first == "HTTP" else raw
    assert_tiled(peel(raw, first), 0, len(raw))


def test_empty_and_unknown():
    (only,) = peel(b"")
    assert "14 bytes" in only.error and "0 came" in only.error
    with pytest.raises(ValueError, match="expected one of"):
        peel(b"", first="Token Ring")
    assert peel(memoryview(GOOD["syn"])) == peel(GOOD["syn"])
    with pytest.raises(KeyError, match="TTL"):
        peel(GOOD["syn"])[1]["TTL"]
    assert issubclass(DecodeError, ValueError)


# -- the fast reader


def test_flag_names():
    assert flag_names(0x12) == "SYN, ACK" and flag_names(0) == ""


@frames
def test_headers_agree_with_peel(raw):
    layers, header = peel(raw), Headers(raw)
    by_name = {one.name: one for one in reversed(layers)}
    if "TCP" in by_name and "802.1Q" not in by_name:
        tcp = by_name["TCP"]
        assert (header.sport, header.dport, header.seq, header.ack) == tuple(
            tcp[n] for n in ("Source Port", "Destination Port", "Sequence Number", "Acknowledgment Number")
        )
        assert (header.payload_at, header.payload_length) == (tcp.offset + tcp.header, tcp.length - tcp.header)
    if "IPv4" in by_name and "802.1Q" not in by_name:
        assert (header.src, header.dst, header.ttl) == tuple(
            by_name["IPv4"][n] for n in ("Source Address", "Destination Address", "Time to Live")
        )
    if "IPv6" in by_name:
        assert (header.src, header.dst, header.ttl) == tuple(
            by_name["IPv6"][n] for n in ("Source Address", "Destination Address", "Hop Limit")
        )


def random_packet(rng):
    words = lambda: rng.randrange(1 << 32)  # noqa: E731
    payload = rng.randbytes(rng.choice((0, 1, 5, 500)))
    kind = rng.choice(("TCP", "TCP6", "UDP", "UDP6", "ICMP", "ARP"))
    mac = lambda: rng.randbytes(6).hex(":")  # noqa: E731
    addr = lambda: ".".join(str(rng.randrange(256)) for _ in range(4))  # noqa: E731
    link = Ether(src=mac(), dst=mac())
    if kind == "ARP":
        return (
            link
            / ARP(op=rng.randrange(1, 3), hwsrc=mac(), psrc=addr(), hwdst=mac(), pdst=addr())
            / Raw(rng.randbytes(rng.choice((0, 18))))
        )
    over = IPv6(src=str(IPv6Address(rng.randbytes(16))), dst=str(IPv6Address(rng.randbytes(16))), hlim=rng.randrange(256))
    over = over if kind.endswith("6") else IP(src=addr(), dst=addr(), ttl=rng.randrange(256), id=rng.randrange(65536))
    if kind.startswith("UDP"):
        return link / over / UDP(sport=rng.randrange(65536), dport=rng.randrange(65536)) / payload
    if kind == "ICMP":
        return link / over / ICMP(type=rng.choice((0, 8)), id=rng.randrange(65536), seq=1) / payload
    options = [
        ("MSS", rng.randrange(65536)),
        ("WScale", rng.randrange(15)),
        ("SAckOK", b""),
        ("Timestamp", (words(), words())),
        ("NOP", None),
    ]
    options += [("SAck", (words(), words()))]
    options = rng.sample(options, rng.randrange(len(options) + 1))
    return (
        link
        / over
        / TCP(
            sport=rng.randrange(65536),
            dport=rng.randrange(65536),
            seq=words(),
            ack=words(),
            flags=rng.randrange(256),
            window=rng.randrange(65536),
            options=options,
        )
        / payload
    )


@pytest.mark.parametrize("seed", range(300))
def test_headers_agree_with_scapy(seed):
    raw = bytes(random_packet(random.Random(seed)))
    packet, header = Ether(raw), Headers(raw)
    assert (header.src_mac, header.dst_mac) == (packet.src, packet.dst)
    if ARP in packet:
        assert (header.protocol, header.arp_op, header.src, header.dst) == (
            "ARP",
            packet[ARP].op,
            packet[ARP].psrc,
            packet[ARP].pdst,
        )
        return
    over = packet[IP] if IP in packet else packet[IPv6]
    assert (header.src, header.dst, header.ttl) == (over.src, over.dst, over.ttl if IP in packet else over.hlim)
    if ICMP in packet:
        icmp = packet[ICMP]
        assert (header.protocol, header.icmp_type, header.icmp_code) == ("ICMP", icmp.type, icmp.code)
        assert header.payload == bytes(icmp.payload)
        return
    inner = packet[TCP] if TCP in packet else packet[UDP]
    assert (header.protocol, header.sport, header.dport) == (inner.name, inner.sport, inner.dport)
    assert header.payload == bytes(inner.payload)
    if TCP not in packet:
        return
    assert (header.seq, header.ack, header.flags, header.window) == (inner.seq, inner.ack, int(inner.flags), inner.window)
    if header.flags & 0x12 and header.syn + header.is_ack:
        options = dict(inner.options)
        assert (header.mss, header.window_scale) == (options.get("MSS"), options.get("WScale"))
        assert header.sack_permitted == ("SAckOK" in options)
        assert header.sack == ((options["SAck"],) if "SAck" in options else ())
    assert (header.syn, header.fin, header.rst, header.psh, header.is_ack) == tuple(c in str(inner.flags) for c in "SFRPA")
