"""labs.decode.tls against real handshakes of OpenSSL, in memory."""

import json
import os
import re
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import examples
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from tls_handshake import converse  # noqa: E402

from labs.decode import DecodeError, peel_application  # noqa: E402
from labs.decode.tls import Record, records  # noqa: E402
from labs.decode.tls_keys import Keys13  # noqa: E402
from labs.decode.tls_names import HANDSHAKES, SUITES  # noqa: E402
from labs.decode.tls_session import open_streams  # noqa: E402

TLS13 = (0x1301, 0x1302, 0x1303)
REQUEST, ANSWER = b"GET / HTTP/1.1\r\n\r\n", b'{"ok": true}'


@pytest.fixture(scope="module")
def talk(tmp_path_factory):
    """Key log, client's bytes, server's bytes of one connection with whatever suite is negotiated."""
    return converse(str(tmp_path_factory.mktemp("tls")))[:3]


def decrypt(keylog, up, down):
    """The encrypted records of the client, then those of the server.  Raises DecodeError at the first thing that is wrong."""
    found = open_streams(keylog, up, down)
    whole = [one for one in found.records if len(one.raw) == 5 + int.from_bytes(one.raw[3:5], "big")]
    for problem in [*found.problems, *(one.problem for one in whole if one.problem)]:
        raise DecodeError(problem)
    return [one for one in whole if one.encrypted]


def said(plains, sender, kind=23):
    return b"".join(p.plaintext for p in plains if p.sender == sender and p.content_type == kind)


def assert_opened(keylog, up, down):
    plains = decrypt(keylog, up, down)
    assert said(plains, "client") == REQUEST and said(plains, "server") == ANSWER
    flight = said(plains, "server", 22)
    names, at = [], 0
    while at < len(flight):
        names.append(HANDSHAKES[flight[at]])
        at += 4 + int.from_bytes(flight[at + 1 : at + 4], "big")
    assert names[:4] == ["EncryptedExtensions", "Certificate", "CertificateVerify", "Finished"]
    assert set(names[4:]) == {"NewSessionTicket"}  # under the application keys
    assert said(plains, "client", 22)[0] == 20  # Finished
    for sender, stream in (("client", up), ("server", down)):
        listed = records(stream)
        assert listed[-1].complete and listed[-1].body + listed[-1].length == len(stream)
        assert [r.type for r in listed][0] == 22
        for plain in (p for p in plains if p.sender == sender):
            record = listed[plain.index]
            assert (record.offset, record.type) == (plain.offset, 23) and record.length == len(plain.plaintext) + 1 + 16
    assert said(plains, "client", 21) == bytes([1, 0]), "close_notify"
    return plains


@pytest.mark.parametrize("suite", [SUITES[number].name for number in TLS13])
@pytest.mark.parametrize("curve", ["", "secp384r1"], ids=["", "retry"])
def test_every_suite(suite, curve, tmp_path):
    conf = tmp_path / "openssl.cnf"
    conf.write_text(f"openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nCiphersuites = {suite}\n")
    script = [sys.executable, str(Path(__file__).with_name("tls_handshake.py")), *([curve] if curve else [])]
    run = subprocess.run(script, env={**os.environ, "OPENSSL_CONF": str(conf)}, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    keylog, up, down, chosen = json.loads(run.stdout)
    if chosen != suite:
        pytest.skip(f"this OpenSSL chose {chosen} in spite of OPENSSL_CONF")
    up, down = bytes.fromhex(up), bytes.fromhex(down)
    assert_opened(keylog, up, down)
    hellos = [r for r in records(up) if r.type == 22]
    assert len(hellos) == (2 if curve else 1)


def test_the_negotiated_suite(talk):
    assert_opened(*talk)


def test_big_messages_span_records(tmp_path):
    keylog, up, down, _ = converse(str(tmp_path), messages=((b"x" * 10, b"y" * 50_000),))
    sent = [p for p in decrypt(keylog, up, down) if p.sender == "server" and p.content_type == 23]
    assert b"".join(p.plaintext for p in sent) == b"y" * 50_000 and [len(p.plaintext) for p in sent][:2] == [16384, 16384]


def test_plaintext_lies_over_ciphertext(talk):
    plain = next(p for p in decrypt(*talk) if p.content_type == 23 and p.sender == "client")
    layers = peel_application(plain.plaintext, at=plain.offset + 5)
    assert layers[0].name == "HTTP" and layers[0].fields[0].offset == plain.offset + 5


def test_a_missing_key_is_named(talk):
    keylog, up, down = talk
    with pytest.raises(DecodeError, match="no CLIENT_HANDSHAKE_TRAFFIC_SECRET of this connection"):
        decrypt("", up, down)
    for label in ("SERVER_HANDSHAKE_TRAFFIC_SECRET", "CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"):
        with pytest.raises(DecodeError, match=f"no {label} of|tag does not match"):
            decrypt("".join(line for line in keylog.splitlines(True) if not line.startswith(label)), up, down)


def test_a_wrong_secret_is_named(talk):
    keylog, up, down = talk
    for label in ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_TRAFFIC_SECRET_0"):
        wrong = re.sub(rf"({label} \w+ )(\w\w)", lambda m: m[1] + f"{int(m[2], 16) ^ 1:02x}", keylog)
        with pytest.raises(DecodeError, match="tag does not match"):
            decrypt(wrong, up, down)
    with pytest.raises(DecodeError, match="should have 48 bytes, and has|should have 32 bytes, and has"):
        decrypt(re.sub(r"(CLIENT_HANDSHAKE_TRAFFIC_SECRET \w+ \w{20})\w+", r"\1", keylog), up, down)
    with pytest.raises(DecodeError, match="hexadecimal"):
        decrypt(re.sub(r"(CLIENT_HANDSHAKE_TRAFFIC_SECRET \w+ )\w\w", r"\1zz", keylog), up, down)


def test_another_connection(talk, tmp_path):
    other = converse(str(tmp_path))
    with pytest.raises(DecodeError, match="no CLIENT_HANDSHAKE_TRAFFIC_SECRET"):
        decrypt(other[0], talk[1], talk[2])
    assert_opened(other[0] + "# a comment\n\n" + talk[0], talk[1], talk[2])  # a key log holds many connections


def test_changed_and_missing_bytes(talk):
    keylog, up, down = talk
    with pytest.raises(DecodeError, match="tag does not match"):
        decrypt(keylog, up, down[:-1] + bytes([down[-1] ^ 1]))
    with pytest.raises(DecodeError, match="ClientHello"):
        decrypt(keylog, b"", down)
    with pytest.raises(DecodeError, match="ServerHello"):
        decrypt(keylog, up, b"")
    with pytest.raises(DecodeError, match="ServerHello"):
        decrypt(keylog, up, up)
    with pytest.raises(DecodeError, match="begins at byte 0 of its stream"):
        decrypt(keylog, up[7:], down)
    second = next(r for r in records(down) if r.type == 23)
    with pytest.raises(DecodeError, match="tag does not match"):
        decrypt(keylog, up, down[: second.offset] + down[second.body + second.length :])


def test_tls_1_2(tmp_path):
    plains = decrypt(*converse(str(tmp_path), version=ssl.TLSVersion.TLSv1_2)[:3])
    assert said(plains, "client") == REQUEST and said(plains, "server") == ANSWER


def test_every_cut_opens_or_says_why(talk):
    keylog, up, down = talk
    whole = decrypt(keylog, up, down)
    for size in range(0, len(down), 3):
        try:
            some = decrypt(keylog, up, down[:size])
        except DecodeError:
            assert size < records(down)[1].offset
        else:
            assert some == whole[: len(some)]


@settings(max_examples=examples(300), deadline=2000)
@given(st.data())
def test_any_change_opens_or_says_why(talk, data):
    keylog, *streams = talk
    which = data.draw(st.integers(0, 1))
    stream = bytearray(streams[which])
    stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    streams[which] = bytes(stream)
    try:
        decrypt(keylog, *streams)
    except DecodeError as error:
        assert str(error)


@settings(max_examples=examples(300), deadline=2000)
@given(st.binary(max_size=300), st.binary(max_size=300), st.text(max_size=300))
def test_any_bytes(up, down, keylog):
    for prefix in (b"", b"\x16\x03\x01\x00\x40\x01\x00\x00\x30", b"\x16\x03\x01\x00\x40\x02\x00\x00\x30"):
        try:
            decrypt(keylog, prefix + up, prefix + down)
        except DecodeError:
            pass


@pytest.mark.parametrize("suite", TLS13)
def test_key_update_and_padding(suite, talk):
    """Records that Python's ssl cannot be made to send, sealed here: a KeyUpdate, then data with padding under the next keys."""
    size = 48 if suite == 0x1302 else 32
    random, hello = bytes(range(32)), bytes([3, 3]) + bytes(32) + b"\0" + suite.to_bytes(2, "big") + bytes(3)

    def clear(kind, body):
        message = bytes([kind]) + len(body).to_bytes(3, "big") + body
        return b"\x16\x03\x03" + len(message).to_bytes(2, "big") + message

    def seal(keys, inner):
        header = b"\x17\x03\x03" + (len(inner) + 16).to_bytes(2, "big")
        nonce = (int.from_bytes(keys.iv, "big") ^ keys.count).to_bytes(12, "big")
        keys.count += 1
        return header + keys.cipher.encrypt(nonce, inner, header)

    handshake, first = Keys13(bytes(size), SUITES[suite]), Keys13(b"\1" * size, SUITES[suite])
    second, finished = first.updated(), bytes([20, 0, 0, size]) + bytes(size)
    down = clear(2, hello) + bytes.fromhex("140303000101")
    down += seal(handshake, finished[:10] + b"\x16") + seal(handshake, finished[10:] + b"\x16")  # a message over two records
    down += (
        seal(first, b"one\x17" + bytes(40))
        + seal(first, bytes([24, 0, 0, 1, 0, 22]))
        + seal(second, b"two\x17")
        + seal(second, b"\x17")
    )
    up = clear(1, bytes([3, 3]) + random + bytes(10))
    labels = {"SERVER_HANDSHAKE_TRAFFIC_SECRET": bytes(size), "SERVER_TRAFFIC_SECRET_0": b"\1" * size}
    keylog = "".join(f"{label} {random.hex()} {secret.hex()}\n" for label, secret in labels.items())
    assert [(p.index, p.plaintext) for p in decrypt(keylog, up, down) if p.content_type == 23] == [
        (4, b"one"),
        (6, b"two"),
        (7, b""),
    ]
    with pytest.raises(DecodeError, match="only padding"):
        decrypt(keylog, up, down + seal(second, bytes(9)))
    with pytest.raises(DecodeError, match="tag does not match"):
        decrypt(keylog, up, down + b"\x17\x03\x03\0\x03abc")


def test_record_borders():
    stream = bytes.fromhex("160301000201ff1403030001 011703030003 aabbcc1703030100 00")
    assert records(stream) == [
        Record(22, 0x0301, 0, 2, 5, True),
        Record(20, 0x0303, 7, 1, 12, True),
        Record(23, 0x0303, 13, 3, 18, True),
        Record(23, 0x0303, 21, 256, 26, False),
    ]
    assert records(b"") == [] and records(stream[:3]) == []
    with pytest.raises(DecodeError, match="begins at byte 7; 48 54 54 50 2f came"):
        records(stream[:7] + b"HTTP/1.1")
