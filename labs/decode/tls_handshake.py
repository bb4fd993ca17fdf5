"""The messages inside TLS records: handshake messages, alerts, ChangeCipherSpec.  RFC 8446 §4 and §6; RFC 5246 §7 for TLS 1.2.

A handshake message is a type, a length of three bytes and a body.  Messages know nothing of records: several may share one, and
a long one may fill several.  Built in chapter 16-tls.
"""

from labs.decode.fields import DecodeError, Layer
from labs.decode.reader import Reader
from labs.decode.reading import data_layer, need
from labs.decode.tls_extensions import extensions
from labs.decode.tls_names import (
    ALERT_LEVELS,
    ALERTS,
    CERTIFICATE_TYPES,
    CONTENT_TYPES,
    GROUPS,
    HANDSHAKES,
    SIGNATURES,
    SUITES,
    VERSIONS,
    called,
)  # fmt: skip

__all__ = ["RETRY", "inside", "message", "messages"]

TLS12, TLS13 = 0x0303, 0x0304
# RFC 8446 §4.1.3: a ServerHello with this random (SHA-256 of "HelloRetryRequest") is no answer but a request to ask again
RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
SENTINELS = {
    b"DOWNGRD\x01": "ends with the downgrade sentinel: this server speaks TLS 1.3",
    b"DOWNGRD\x00": "ends with the downgrade sentinel: this server speaks more than TLS 1.1",
}
NAMED_CURVE = 3  # RFC 8422 §5.4


def inside(content_type: int, data: bytes, at: int = 0, version: int = TLS13) -> tuple[Layer, ...]:
    """What a record's plaintext holds, as layers whose offsets begin at `at`.  Never raises: what does not fit has `.error`.

    Application data is not looked into (labs.decode.peel_application does that); it gives no layer.
    """
    if content_type == 22:
        return messages(data, at, version)
    decode = {20: _change_cipher_spec, 21: _alert}.get(content_type)
    if not decode or not data:
        return ()
    raw = bytes(at) + bytes(data)
    try:
        return (decode(raw, at, len(raw)),)
    except DecodeError as error:
        return (data_layer(raw, at, len(raw), 6, called(content_type, CONTENT_TYPES, 1), error=str(error)),)


def messages(data: bytes, at: int = 0, version: int = TLS13) -> tuple[Layer, ...]:
    """The handshake messages in `data`, one layer each; one that is cut off, or does not fit its length, carries an error."""
    raw, layers = bytes(at) + bytes(data), []
    while at < len(raw):
        try:
            layer = message(raw, at, len(raw), version)
        except DecodeError as error:
            size = _size(raw, at)
            stop = min(at + 4 + size, len(raw)) if size is not None else len(raw)
            name = called(raw[at], HANDSHAKES, 1) if size is not None else "Handshake"
            layer = data_layer(raw, at, stop, 6, name, error=str(error), varies=True)
        layers.append(layer)
        at += layer.length
    return tuple(layers)


def message(raw: bytes, at: int, end: int, version: int = TLS13) -> Layer:
    """The handshake message that begins at `at`, as a Layer.  Raises DecodeError."""
    need(at, end, 4, "the header of a handshake message")
    size = _size(raw, at)
    need(at + 4, end, size, f"{called(raw[at], HANDSHAKES, 1)}, which may go on in the next record,")
    see, decode = MESSAGES.get(raw[at], ("RFC 8446 §4", None))
    r = Reader(raw, at, at + 4 + size, see)
    kind = r.number("Handshake Type", 1, HANDSHAKES)
    r.number("Length", 3, meaning="bytes of the message behind this field")
    name = called(kind, HANDSHAKES, 1)
    if kind == 2 and r.raw[r.at + 2 : r.at + 34] == RETRY:
        name = "HelloRetryRequest"
    if decode:
        decode(r, name, version)
    r.rest("Body" if not decode else "Trailing Data", varies=True)
    return Layer(name, 6, tuple(r.fields), at, 4 + size, 4 + size)


def _size(raw, at):
    return int.from_bytes(raw[at + 1 : at + 4], "big") if len(raw) - at >= 4 else None


def _client_hello(r, name, version):
    r.number("Legacy Version", 2, VERSIONS)
    r.data("Random", 32, text="", meaning="chosen by the client", varies=True)
    r.vector("Session ID", 1, text="", varies=True)
    r.list("Cipher Suites", 2, 2, SUITES)
    r.vector("Compression Methods", 1, meaning="0: none")
    extensions(r, name)


def _server_hello(r, name, version):
    r.number("Legacy Version", 2, VERSIONS)
    retry = name == "HelloRetryRequest"
    meaning = "a constant: ask again" if retry else SENTINELS.get(r.peek(32)[24:], "chosen by the server")
    r.data("Random", 32, text="", meaning=meaning, varies=not retry)
    r.vector("Session ID", 1, text="", varies=True)
    r.number("Cipher Suite", 2, SUITES)
    r.number("Compression Method", 1, meaning="none")
    extensions(r, name)


def _certificate(r, name, version):
    if version == TLS13:
        r.vector("Request Context", 1)
    chain = r.inside(r.number("Certificate List Length", 3))
    while chain.left:
        length = chain.number("Certificate Length", 3)
        chain.data("Certificate", length, text="", meaning=_subject(chain.peek(length)), varies=True)
        if version == TLS13:
            size = int.from_bytes(chain.peek(2), "big")
            extensions(chain.inside(min(2 + size, chain.left)), name)


def _subject(der):
    """Whose certificate it is; empty for bytes that are none."""
    from cryptography import x509

    try:
        return "X.509, for " + x509.load_der_x509_certificate(bytes(der)).subject.rfc4514_string()
    except Exception:  # whatever the bytes: the library has a whole family of errors for certificates that are none
        return "DER, not readable as X.509"


def _certificate_request(r, name, version):
    if version == TLS13:
        r.vector("Request Context", 1)
        extensions(r, name)
        return
    r.list("Certificate Types", 1, 1, CERTIFICATE_TYPES)
    r.list("Signature Algorithms", 2, 2, SIGNATURES)
    r.vector("Certificate Authorities", 2)


def _signature(r, name="", version=TLS13):
    r.number("Signature Algorithm", 2, SIGNATURES)
    r.vector("Signature", 2, text="", varies=True)


def _server_key_exchange(r, name, version):
    if r.peek(1) != bytes([NAMED_CURVE]):  # DHE sends a prime instead of the number of a curve, RFC 5246 §7.4.3
        for part in ("Prime", "Generator", "Public Key"):
            r.vector(part, 2, text="", varies=True)
    else:
        r.number("Curve Type", 1, meaning="named_curve")
        r.number("Named Curve", 2, GROUPS)
        r.vector("Public Key", 1, text="", meaning="made for this connection", varies=True)
    _signature(r)


def _client_key_exchange(r, name, version):
    if r.left and r.peek(1)[0] == r.left - 1:  # RFC 8422 §5.7
        r.vector("Public Key", 1, text="", meaning="made for this connection", varies=True)
    else:  # RFC 5246 §7.4.7.1; of DHE, one number in the same form
        r.vector("Encrypted Premaster Secret", 2, text="", meaning="for the key in the server's certificate", varies=True)


def _new_session_ticket(r, name, version):
    r.number("Ticket Lifetime", 4, meaning="seconds")
    if version != TLS13:
        r.vector("Ticket", 2, text="", varies=True)
        return
    r.number("Ticket Age Add", 4, meaning="hides the age that the client will report", varies=True)
    r.vector("Ticket Nonce", 1)
    r.vector("Ticket", 2, text="", varies=True)
    extensions(r, name)


def _finished(r, name, version):
    how = "HMAC" if version == TLS13 else "PRF"
    r.rest("Verify Data", text="", meaning=f"{how} over the handshake so far", varies=True)


def _key_update(r, name, version):
    r.number("Request Update", 1, {0: "update_not_requested", 1: "update_requested"})


def _extensions_only(r, name, version):
    extensions(r, name)


def _nothing(r, name, version):
    """A message without a body."""


def _alert(raw, at, end):
    r = Reader(raw, at, end, "RFC 8446 §6")
    r.number("Level", 1, ALERT_LEVELS)
    r.number("Description", 1, ALERTS)
    r.rest("Trailing Data")
    return Layer("Alert", 6, tuple(r.fields), at, end - at, end - at)


def _change_cipher_spec(raw, at, end):
    r = Reader(raw, at, end, "RFC 5246 §7.1")
    r.number("Change Cipher Spec", 1, meaning="what follows is encrypted; in TLS 1.3 it means nothing (RFC 8446 §D.4)")
    r.rest("Trailing Data")
    return Layer("ChangeCipherSpec", 6, tuple(r.fields), at, end - at, end - at)


MESSAGES = {  # type → (where it is defined, decoder)
    0: ("RFC 5246 §7.4.1.1", _nothing),
    1: ("RFC 8446 §4.1.2", _client_hello),
    2: ("RFC 8446 §4.1.3", _server_hello),
    4: ("RFC 8446 §4.6.1", _new_session_ticket),
    5: ("RFC 8446 §4.5", _nothing),
    8: ("RFC 8446 §4.3.1", _extensions_only),
    11: ("RFC 8446 §4.4.2", _certificate),
    12: ("RFC 5246 §7.4.3", _server_key_exchange),
    13: ("RFC 8446 §4.3.2", _certificate_request),
    14: ("RFC 5246 §7.4.5", _nothing),
    15: ("RFC 8446 §4.4.3", _signature),
    16: ("RFC 5246 §7.4.7", _client_key_exchange),
    20: ("RFC 8446 §4.4.4", _finished),
    24: ("RFC 8446 §4.6.3", _key_update),
}
