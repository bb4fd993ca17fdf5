"""TLS against other readers of it: tshark with the same key log, scapy, OpenSSL's own programs; and any bytes at all."""

import shutil
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import STACKS, examples
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from tls_handshake import converse  # noqa: E402

import labs  # noqa: E402
from labs.captures.capture import Capture  # noqa: E402
from labs.captures.frame import Arrival, Frame  # noqa: E402
from labs.decode.headers import ACK, SYN  # noqa: E402
from labs.decode.tls_handshake import inside, messages  # noqa: E402
from labs.decode.tls_session import open_streams  # noqa: E402
from labs.lessons.graders.chapter_16 import hellos  # noqa: E402
from labs.lessons.graders.chapter_24 import _segment  # noqa: E402
from labs.network.links import why_not  # noqa: E402
from labs.views.handshakes import Flights  # noqa: E402

TSHARK = pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
OPENSSL = pytest.mark.skipif(not shutil.which("openssl") or bool(why_not("tap")), reason="needs openssl and a tap network")
SUITES12 = (  # OpenSSL's names; the key exchange, the signature, the cipher
    "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305",
    "AES128-GCM-SHA256", "AES256-GCM-SHA384",  # the key transported with RSA; no standard pairs that with ChaCha20
)  # fmt: skip
SUITES13 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
EACH_PART = (*SUITES12[2:5:2], SUITES12[6], *SUITES13[1:])  # every exchange, signature and cipher at least once
REQUEST = "GET /lamps HTTP/1.1\r\n\r\n"


def make_certificate(folder, kind):
    command = f"openssl req -x509 -newkey {kind} -nodes -subj /CN=shop.test -days 2 -keyout key.pem -out cert.pem"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("openssl")
    make_certificate(folder, "ec -pkeyopt ec_paramgen_curve:P-256")
    for name in ("cert", "key"):
        (folder / f"{name}.pem").rename(folder / f"ec-{name}.pem")
    make_certificate(folder, "rsa:2048")
    (folder / "request.txt").write_text(REQUEST)
    with labs.network("client", "server", link="tap") as net:
        yield net, folder


def wait_for(program, words):
    patience = time.monotonic() + 10
    while words not in program.output():
        assert time.monotonic() < patience, program.output()
        time.sleep(0.01)


def run_openssl(place, server_options, client_options, before="", wanted="1 lamp", serves=""):
    """One connection of s_client to s_server, which answers in reverse; → (capture, key log)."""
    net, folder = place
    address = f"{net['server'].address}:443"
    (folder / "keys.log").unlink(missing_ok=True)
    shop = net["server"].run(
        [
            "sh",
            "-c",
            f"sleep 60 | openssl s_server -accept 443 -cert cert.pem -key key.pem -keylogfile keys.log -rev {server_options}",
        ],
        folder=folder,
    )
    wait_for(shop, "ACCEPT")
    with net.capture() as cap:
        buyer = net["client"].run(
            [
                "sh",
                "-c",
                f"(echo lamp one; sleep 0.5) | openssl s_client -connect {address} -servername shop.test {client_options}",
            ],
            folder=folder,
        )
        buyer.wait()
        net.wire.settle()
    shop.kill()
    shop.wait()
    return cap, (folder / "keys.log").read_text()


def by_tshark(cap, keylog, folder):
    """Each record as tshark reads it: [frame, true content types, opaque types, lengths, handshake types, alerts] a frame."""
    cap.save(folder / "tls.pcapng")
    (folder / "tshark.log").write_text(keylog)
    names = (
        "frame.number tls.record.content_type tls.record.opaque_type tls.record.length tls.handshake.type tls.alert_message.desc"
    )
    command = ["tshark", "-r", "tls.pcapng", "-n", "-o", "tls.keylog_file:tshark.log", "-d", "tcp.port==443,tls", "-Y", "tls"]
    command += [
        "-T",
        "fields",
        "-E",
        "occurrence=a",
        "-E",
        "aggregator=,",
        *(word for name in names.split() for word in ("-e", name)),
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return [[part.split(",") if part else [] for part in (line + "\t" * 5).split("\t")[:6]] for line in done.stdout.splitlines()]


def agree(cap, keylog, folder):
    """Compare with tshark, frame by frame, and record by record within it; → the Session."""
    session = labs.tls(cap, keylog)
    assert len(session) and not session.problems and not any(r.problem for r in session), str(session)
    # a segment that holds only the beginning of a record has a row without a length
    theirs = {int(row[0][0]): row for row in by_tshark(cap, keylog, folder) if row[3]}
    frames = {}
    for record in session:
        frames.setdefault(record.frames[-1], []).append(record)
    numbers = {frame.number: at for at, frame in enumerate(cap, 1)}  # tshark counts from 1
    assert {numbers[n] for n in frames} == set(theirs)
    for number, records in frames.items():
        _, plain, opaque, lengths, types, alerts = theirs[numbers[number]]
        assert [len(r.body) for r in records] == [int(n) for n in lengths]
        # tshark's content_type: of TLS 1.3's encrypted records the true one, of the others the header's
        assert sorted(r.content_type for r in records) == sorted(map(int, plain))
        assert len(opaque) == sum(r.encrypted and session.version == "TLS 1.3" for r in records)
        ours = [
            m.fields[0].value for r in records if r.content_type == 22 for m in inside(22, r.plaintext, 0, session.version_number)
        ]
        assert ours == [int(n) for n in types]
        assert [r.plaintext[1] for r in records if r.content_type == 21] == [int(n) for n in alerts]
    return session


def decrypted_by_tshark(cap, keylog, folder):
    """The application data as tshark decrypts it: (client's bytes, server's bytes)."""
    command = [
        "tshark",
        "-r",
        "tls.pcapng",
        "-n",
        "-q",
        "-o",
        "tls.keylog_file:tshark.log",
        "-d",
        "tcp.port==443,tls",
        "-z",
        "follow,tls,raw,0",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    said, nodes = {"client": b"", "server": b""}, {}
    for line in done.stdout.splitlines():
        if line.startswith("Node "):
            nodes.setdefault("0", "server" if line.endswith(":443") else "client")  # of TLS 1.2 it does not name the other node
        elif line.strip() and set(line.strip()) <= set("0123456789abcdef"):
            said[nodes["0"] if not line.startswith("\t") else {"client": "server", "server": "client"}[nodes["0"]]] += (
                bytes.fromhex(line.strip())
            )
    return said


@TSHARK
@OPENSSL
@pytest.mark.parametrize("suite", SUITES12 + SUITES13 if STACKS else EACH_PART)
def test_every_suite_agrees_with_tshark(suite, place):
    options = f"-tls1_2 -cipher {suite}" if suite in SUITES12 else f"-tls1_3 -ciphersuites {suite}"
    cap, keylog = run_openssl(place, "-dcert ec-cert.pem -dkey ec-key.pem", options)
    session = agree(cap, keylog, place[1])
    assert session.version == ("TLS 1.2" if suite in SUITES12 else "TLS 1.3")
    assert session.plaintext("client") == b"lamp one\n" and session.plaintext("server") == b"eno pmal\n"
    said = decrypted_by_tshark(cap, keylog, place[1])
    assert said["client"] == session.plaintext("client") and said["server"] == session.plaintext("server")
    if suite in SUITES12:
        assert session.suite == "TLS_" + named_by_iana(suite)
    if suite.startswith("AES"):
        assert session.suite.startswith("TLS_RSA_WITH_")
        assert session.find("ClientKeyExchange").inside()[0]["Encrypted Premaster Secret"]
    for record in session:  # every view of every record can be made
        assert record.layers().text and record.bytes().text and repr(record)
        assert not [span for span in record.bytes().spans if not span.fields]  # every byte belongs to a field
    check_other_keys(cap, keylog, session)


def named_by_iana(suite):
    """OpenSSL's ECDHE-RSA-AES128-GCM-SHA256 is TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, here without its first word."""
    exchange = "-".join(suite.split("-")[:2]) if suite.startswith("ECDHE") else "RSA"
    cipher = suite.removeprefix(exchange + "-").replace("AES", "AES_").replace("-", "_")
    return f"{exchange.replace('-', '_')}_WITH_{cipher}" + ("_SHA256" if "CHACHA" in cipher else "")


def check_other_keys(cap, keylog, session):
    """Without keys, with changed ones, with short ones, with another connection's: the same records, each with its reason."""
    hidden = [record.number for record in session if record.encrypted]
    lines = [line.split() for line in keylog.splitlines() if line and line[0] != "#"]

    def log(change):
        return "".join(" ".join(change(*line)) + "\n" for line in lines)

    reasons = {
        "": "the key log has no ",
        log(lambda label, random, secret: (label, random, f"{int(secret[:2], 16) ^ 1:02x}{secret[2:]}")): "tag does not match",
        log(lambda label, random, secret: (label, random, secret[:-2])): "should have ",
        log(lambda label, random, secret: (label, "00" * 32, secret)): "the key log has no ",
        log(lambda label, random, secret: (label, random, secret, "more")): "the key log has no ",
    }
    for other, reason in reasons.items():
        closed = labs.tls(cap, other)
        assert [r.number for r in closed if r.problem] == hidden, (reason, str(closed))
        assert all(reason in r.problem for r in closed if r.problem), (reason, str(closed))
        assert len(closed) == len(session) and closed.plaintext("client") == closed.plaintext("server") == b""
        assert closed.figure() and closed.sentence and all(r.bytes().text and r.layers().text for r in closed)
    damaged = labs.tls(cap, log(lambda label, random, secret: (label, random, "zz" + secret[2:])))
    assert "hexadecimal" in damaged.problems[0] and [r.number for r in damaged if r.problem] == hidden


@TSHARK
@OPENSSL
def test_retry_resumption_and_early_data(place):
    cap, keylog = run_openssl(place, "-groups P-384", "-tls1_3 -groups X25519:P-384")
    session = agree(cap, keylog, place[1])
    assert [r.what for r in session][:2] == ["ClientHello", "HelloRetryRequest"] and session.group == "secp384r1"
    assert session.records[1].inside()[0].name == "HelloRetryRequest"
    net, folder = place
    shop = net["server"].run(
        [
            "sh",
            "-c",
            "sleep 60 | openssl s_server -accept 443 -cert cert.pem -key key.pem -keylogfile early.log -early_data "
            "-no_anti_replay",
        ],
        folder=folder,
    )
    wait_for(shop, "ACCEPT")
    address = f"{net['server'].address}:443"
    for options in ("-sess_out first.pem", "-sess_in first.pem -sess_out second.pem -early_data request.txt"):
        name = "second.pem" if "second" in options else "first.pem"
        with net.capture() as cap:
            net["client"].run(
                ["sh", "-c", f"until [ -s {name} ]; do sleep 0.02; done | openssl s_client -connect {address} {options}"],
                folder=folder,
            ).wait()
            net.wire.settle()
    shop.kill()
    shop.wait()
    early_log = (folder / "early.log").read_text()
    session = agree(cap, early_log, folder)
    first = session.find("application data")
    assert first.keys == "CLIENT_EARLY_TRAFFIC_SECRET" and first.plaintext == REQUEST.encode()
    assert session.find("EndOfEarlyData").keys == "CLIENT_EARLY_TRAFFIC_SECRET"
    without = labs.tls(cap, "".join(line for line in early_log.splitlines(True) if "EARLY" not in line))
    assert [r.problem for r in without if r.problem] == ["the key log has no CLIENT_EARLY_TRAFFIC_SECRET of this connection"] * 2
    assert without.find("Finished", "client").keys == "CLIENT_HANDSHAKE_TRAFFIC_SECRET"  # later keys are tried
    assert Flights(session, without).text and "0 round trips" in Flights(session).text


def test_scapy_agrees(tmp_path):
    from scapy.layers.tls.handshake import TLSClientHello, TLSServerHello
    from scapy.layers.tls.record import TLS

    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        _, up, down, _ = converse(str(tmp_path), version=version)
        for stream, _, name in ((up, TLSClientHello, "ClientHello"), (down, TLSServerHello, "ServerHello")):
            size = 5 + int.from_bytes(stream[3:5], "big")
            ours, theirs = messages(stream[5:size])[0], TLS(stream[:size]).msg[0]
            assert ours.name == name and not ours.error
            assert ours["Random"] == bytes(stream[11:43]) and ours["Session ID Length"] == theirs.sidlen
            if name == "ClientHello":
                assert list(ours["Cipher Suites"]) == list(theirs.ciphers)
            else:
                assert ours["Cipher Suite"] == theirs.cipher
            types = [extension.type for extension in theirs.ext]
            assert [f.value for f in ours.fields if f.meaning == "type of an extension"] == types


# ── what is wrong is told ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def talks(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("talks"))
    return [converse(folder, version=version)[:3] for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)]


def test_wrong_keys_are_told(talks):
    for keylog, up, down in talks:
        whole = open_streams(keylog, up, down)
        assert not any(r.problem for r in whole.records)
        hidden = sum(r.encrypted for r in whole.records)
        none = open_streams("", up, down)
        assert sum("the key log has no" in r.problem for r in none.records) == hidden
        wrong = "".join(
            line[:-5] + ("0000\n" if line[-5:] != "0000\n" else "1111\n") for line in keylog.splitlines(True) if line[0] != "#"
        )
        false = open_streams(wrong, up, down)
        assert sum("tag does not match" in r.problem for r in false.records) == hidden
        damaged = keylog[:-4] + "zzz\n"
        assert "hexadecimal" in open_streams(damaged, up, down).problems[0]


@pytest.mark.parametrize("which", (0, 1))
def test_every_truncation(talks, which):
    keylog, up, down = talks[which]
    whole = open_streams(keylog, up, down)
    for size in range(0, len(down), 7):
        cut = open_streams(keylog, up, down[:size])
        kept = [r for r in cut.records if r.sender == "server"]
        wanted = [r for r in whole.records if r.sender == "server"]
        if cut.answer:
            assert [r.plaintext for r in kept if not r.problem] == [r.plaintext for r in wanted][
                : sum(not r.problem for r in kept)
            ]
    for size in range(0, len(up), 7):
        open_streams(keylog, up[:size], down)


def test_every_truncation_of_a_message(talks):
    for keylog, up, down in talks:
        for record in open_streams(keylog, up, down).records:
            for size in range(0, len(record.plaintext or b""), 5):
                for layer in inside(record.content_type, record.plaintext[:size]):
                    assert layer.fields or layer.error


@settings(max_examples=examples(300), deadline=None)
@given(st.binary(max_size=400), st.integers(0, 40), st.sampled_from((20, 21, 22, 23, 99)), st.sampled_from((0x0303, 0x0304)))
def test_any_bytes_as_a_message(data, at, kind, version):
    covered = at
    for layer in inside(kind, data, at, version):
        assert layer.offset == covered
        covered += layer.length
    assert covered == at + len(data) or kind not in (20, 21, 22)


@settings(max_examples=examples(300), deadline=None)
@given(st.sampled_from((1, 2, 4, 8, 11, 12, 13, 15, 16, 20, 24)), st.binary(max_size=200), st.sampled_from((0x0303, 0x0304)))
def test_any_body_of_a_known_message(kind, body, version):
    (layer,) = messages(bytes([kind]) + len(body).to_bytes(3, "big") + body, version=version)
    assert sum(field.length for field in layer.fields) == 4 + len(body)  # every byte belongs to one field


@settings(max_examples=examples(200), deadline=None)
@given(st.data())
def test_any_changed_byte(talks, data):
    keylog, *streams = talks[data.draw(st.integers(0, 1))]
    which = data.draw(st.integers(0, 1))
    changed = bytearray(streams[which])
    changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    streams[which] = bytes(changed)
    found = open_streams(keylog, *streams)
    assert all(r.problem or r.plaintext is not None for r in found.records)


@settings(max_examples=examples(200), deadline=None)
@given(st.binary(max_size=300), st.binary(max_size=300), st.text(max_size=100))
def test_any_streams(up, down, keylog):
    hello, answer = hellos(0x0304, 0x1302, "a.test")
    for before in ((b"", b""), (hello, answer)):
        found = open_streams(keylog, before[0] + up, before[1] + down)
        assert all(r.problem or r.plaintext is not None for r in found.records)


def test_what_a_library_arranges_is_no_part_of_the_text():
    """Two hellos with different suites, padding and lengths read the same, and so do the tables of both sessions."""
    texts, sizes = set(), set()
    for old in (True, False):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_alpn_protocols(["http/1.1"])
        context.set_ecdh_curve("prime256v1")
        context.options = context.options | ssl.OP_ALL if old else context.options & ~ssl.OP_ALL | ssl.OP_NO_TICKET
        outbox = ssl.MemoryBIO()
        with pytest.raises(ssl.SSLWantReadError):
            context.wrap_bio(ssl.MemoryBIO(), outbox, server_hostname="shop.test").do_handshake()
        frames = [_segment("client", 99, SYN), _segment("server", 499, SYN | ACK), _segment("client", 100, ACK, outbox.read())]
        session = labs.tls(Capture(frames, ("client", "server"), {"10.0.0.1": "client", "10.0.0.2": "server"}, "file"))
        hello = session.find("ClientHello").bytes()
        assert all(words in hello.text for words in ("Host Name shop.test", "Protocol http/1.1", "Group 0x0017 (secp256r1)"))
        assert hello.figure() and session.figure()
        sizes.add(len(hello.raw))
        texts.add((session.text, hello.text, hello.sentence))
    assert len(sizes) == 2 and len(texts) == 1, texts


def test_a_capture_without_tls():
    session = labs.tls(Capture([], ("client", "server"), {}, "file"))
    assert len(session) == 0 and "No TLS" in session.text and session.sentence == session.text
    assert session.figure() and session.plaintext("client") == b""
    with pytest.raises(TypeError, match="text of a key log"):
        labs.tls(Capture([], (), {}, "file"), b"")
    with pytest.raises(ValueError, match="nth from 1 to 1"):
        labs.tls(Capture([], (), {}, "file"), nth=2)


@settings(max_examples=examples(20), deadline=None)
@given(st.randoms(use_true_random=False), st.integers(50, 700))
def test_segments_in_any_order(talks, order, size):
    """Doubled, overlapping and late segments make no difference, nor do those that the wire lost or changed behind TCP's back."""
    keylog, up, down = talks[1]
    frames = [_segment("client", 99, SYN), _segment("server", 499, SYN | ACK)]
    parts = []
    for sender, start, stream in (("client", 100, up), ("server", 500, down)):
        for at in range(0, len(stream), size):
            parts.append(_segment(sender, start + at, ACK, stream[at : at + size + order.randrange(40)]))
    parts += order.sample(parts, len(parts) // 2)
    broken = order.choice(parts)
    lost, changed = Frame(broken.raw, sender=broken.sender), Frame(broken.raw, sender=broken.sender)
    lost.lost = "rule"
    changed.arrivals = [Arrival(0, "server", broken.raw[:-1] + bytes([broken.raw[-1] ^ 1]))]  # its checksum does not fit
    order.shuffle(parts)
    frames += [lost, changed, *parts]
    for number, frame in enumerate(frames, 1):
        frame.number = frame.time = number
    names = {"10.0.0.1": "alice", "10.0.0.2": "bob"}
    session = labs.tls(Capture(frames, ("alice", "bob"), names, "file"), keylog)
    wanted = open_streams(keylog, up, down)
    for role, host in (("client", "alice"), ("server", "bob")):
        ours = [r.plaintext for r in session if r.sender == host]
        assert ours == [r.plaintext for r in wanted.records if r.sender == role]
    assert session.version == "TLS 1.3" and session.figure() and Flights(session).figure()
