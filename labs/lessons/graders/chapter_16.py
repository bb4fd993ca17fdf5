"""The exercises of chapter 16-tls: read a handshake, make three kinds of session, open a record."""

import random
from collections.abc import Callable

from labs.decode.tls_keys import Keys13
from labs.decode.tls_names import SUITES
from labs.lessons.exercise import Exercise, Feedback, close, done, missing
from labs.lessons.graders.tools import call
from labs.views.tls_connection import Session


class Negotiated(Exercise):
    id = "16-negotiated"
    title = "Write negotiated(up, down): (version, cipher suite, server name), from the bytes that both sides sent"
    expects = callable
    hints = (
        "The first record of each side is a hello, in the clear: five bytes of header, then the message.",
        'messages(body)[0] is a Layer: answer["Cipher Suite"], hello["Host Name"].',
        'TLS 1.3 says its version in an extension, answer["Selected Version"]; TLS 1.2 has only answer["Legacy Version"].',
    )

    def grade(self, function: Callable) -> Feedback:
        for version, suite, name in ((0x0304, 0x1303, "lamps.test"), (0x0303, 0xC030, "old.test"), (0x0304, 0x1301, "a.test")):
            up, down = hellos(version, suite, name)
            got, wanted = call(function, up, down, returns=(tuple, list)), (version, suite, name)
            if len(got) != 3:
                return missing("negotiated should return three values: version, suite, server_name")
            if tuple(got) == wanted:
                continue
            told = f"TLS 1.{version - 0x0301} with suite 0x{suite:04x} for {name}"
            if got[0] == 0x0303 and version == 0x0304:
                why = "that is the legacy field, which TLS 1.3 keeps for old devices"
                return close(f"for {told} the version came out as 0x0303: {why}")
            if got[1] != suite:
                why = "the client lists many, the server chose one of them"
                return close(f"for {told} the suite came out as {_hex(got[1])}; {why}")
            wrong = [what for what, mine, right in zip(("version", "suite", "server name"), got, wanted) if mine != right]
            return close(f"for {told} this is wrong: {', '.join(wrong)}; got {', '.join(map(_hex, got))}")
        return done("two sessions of TLS 1.3 and one of 1.2 were read right, without a key")


class UnknownCA(Exercise):
    id = "16-unknown-ca"
    title = "Hand in labs.tls(cap, keys) of a handshake that the client ends because it does not know the certificate's signer"
    expects = Session
    hints = (
        "The alert is called unknown_ca (RFC 8446 §6.2).",
        'Every labs.certificate("shop.test") makes a CA of its own.',
        "The client's context of one certificate, the server's context of another.",
    )

    def grade(self, session: Session) -> Feedback:
        if not len(session):
            return missing("there is no TLS in this capture")
        alerts = [r for r in session if r.what.startswith("fatal alert")]
        if not alerts:
            closed = next((r for r in session if r.problem), None)
            if closed:
                return close(f"record {closed.number} is closed ({closed.problem}); give labs.tls the key log as well")
            return missing("no fatal alert in this session")
        alert = alerts[0]
        if alert.what != "fatal alert: unknown_ca":
            return close(f"the handshake ends with {alert.what.partition(': ')[2]}: another reason than an unknown signer")
        if alert.sender != session.client:
            return close(f"the alert comes from the {alert.sender}; the client should be the one who refuses")
        return done("the client saw the certificate, did not know who signed it, and said so")


class Resumption(Exercise):
    id = "16-resumption"
    title = "Hand in labs.tls(cap, keys) of a TLS 1.3 session that was resumed with a ticket"
    expects = Session
    hints = (
        "The server must give tickets: num_tickets of its context (labs.certificate sets it to 0).",
        "The ticket comes behind the handshake: read something first, then keep tls.session.",
        "Second visit: context.wrap_socket(…, session=kept), with the same context object.",
    )

    def grade(self, session: Session) -> Feedback:
        if session.version != "TLS 1.3":
            return missing(f"expected a session of TLS 1.3, got {session.version or 'none'}")
        offered = any(f.name == "pre_shared_key" for f in session.hello.fields)
        taken = any(f.name == "pre_shared_key" for f in session.answer.fields)
        if not offered:
            why = "is this the first visit, or was no session given?"
            return close(f"the ClientHello offers no ticket (no pre_shared_key): {why}")
        if not taken:
            why = "is it the same server context that gave it?"
            return close(f"the client offered a ticket and the server did not take it; {why}")
        if any(r.problem for r in session):
            return close("the server took the ticket, but not all records are open: give labs.tls the key log of this visit")
        if any("Certificate" in r.what.split(", ") for r in session) or not session.plaintext(session.server):
            return close("the server took the ticket, but no answer came")
        return done("the ticket stood for the certificate, and the answer came")


class OpenRecord(Exercise):
    id = "16-open-record"
    title = "Write open_record(secret, number, record): the content type and the plaintext, or None for a changed record"
    expects = callable
    hints = (
        'Two keys from the secret: expand(secret, b"key", b"", 32) and expand(secret, b"iv", b"", 12).',
        "The nonce is the IV, XOR the number of the record as 12 bytes; the header is the associated data.",
        "From the end of what comes out, take zeros away (padding), then one byte: the type. InvalidTag means changed.",
    )

    def grade(self, function: Callable) -> Feedback:
        records = (0, 22, b"\x14\0\0\0", 0), (7, 23, b"GET / HTTP/1.1", 0), (300, 23, b"lamp", 40), (3, 21, b"\1\0", 9)
        for number, kind, text, padding in records:
            secret, record = sealed(number, kind, text, padding)
            got = call(function, secret, number, record, on="a record that is as it was sent", returns=(tuple, list))
            if len(got) != 2:
                return missing("open_record should return two values: content type and plaintext")
            where = f"record {number}" + (f", padded with {padding} zeros" if padding else "")
            if tuple(got) != (kind, text):
                if padding and bytes(got[1] or b"").startswith(text):
                    return close(f"{where}: the padding is still there")
                if got[0] == 23 and kind != 23:
                    return close(f"{where}: the type is the last byte of what was encrypted, not the header's 23")
                came = f"got type {got[0]!r} and {len(got[1] or b'')} bytes"
                return close(f"{where}: expected type {kind} and {len(text)} bytes, {came}")
        secret, record = sealed(1, 23, b"one lamp", 0)
        changed = record[:7] + bytes([record[7] ^ 1]) + record[8:]
        got = call(function, secret, 1, changed, on="a changed record, for which it should return None,")
        if got is not None:
            return close(f"a changed record should give None; it gave {got!r}: is the tag checked?")
        return done("plain, padded and changed records: all as they should be")


def _hex(value):
    return f"0x{value:04x}" if isinstance(value, int) and not isinstance(value, bool) else repr(value)


def sealed(number: int, kind: int, text: bytes, padding: int) -> tuple[bytes, bytes]:
    """A secret, and a record that was encrypted under it: AES-256-GCM, SHA-384.  Always the same ones."""
    secret = random.Random(number).randbytes(48)
    keys, inner = Keys13(secret, SUITES[0x1302]), text + bytes([kind]) + bytes(padding)
    header = b"\x17\x03\x03" + (len(inner) + 16).to_bytes(2, "big")
    nonce = (int.from_bytes(keys.iv, "big") ^ number).to_bytes(12, "big")
    return secret, header + keys.cipher.encrypt(nonce, inner, header)


def hellos(version: int, suite: int, name: str) -> tuple[bytes, bytes]:
    """What the two sides of a handshake send first: (client's bytes, server's bytes)."""
    rest = random.Random(name)

    def vector(size, data):
        return len(data).to_bytes(size, "big") + data

    def extension(kind, data):
        return kind.to_bytes(2, "big") + vector(2, data)

    def hello(kind, body, extensions):
        said = b"\3\3" + rest.randbytes(32) + vector(1, rest.randbytes(32)) + body + vector(2, extensions)
        return b"\x16\3\1" + vector(2, bytes([kind]) + vector(3, said))

    suites = b"".join(number.to_bytes(2, "big") for number in (0x1302, 0x1303, 0x1301, 0xC02F, 0xC030))
    host = extension(0, vector(2, b"\0" + vector(2, name.encode())))
    tls13, share = version == 0x0304, extension(51, b"\0\x1d" + vector(2, rest.randbytes(32)))
    offer = extension(23, b"") + host + (extension(43, vector(1, b"\3\4\3\3")) if tls13 else b"")
    up = hello(1, vector(2, suites) + b"\1\0", offer)
    down = hello(2, suite.to_bytes(2, "big") + b"\0", share + extension(43, b"\3\4") if tls13 else extension(23, b""))
    return up, down + b"\x14\3\3\0\1\1"
