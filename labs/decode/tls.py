"""TLS records, RFC 8446 §5, and how to open those of TLS 1.3 with a key log.  Built in the chapter on TLS.

A record is 5 bytes of header and a body.  Record borders have nothing to do with segment borders.  Behind the hellos every body
is encrypted, and the header says "application data" whatever is inside: the true type is the last byte of the plaintext.
"""

from dataclasses import dataclass
from struct import unpack_from

from labs.decode.fields import DecodeError, Field, Layer
from labs.decode.reading import need, preview

__all__ = ["Plain", "Record", "begins", "decode", "decrypt", "records", "tail"]

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA = 20, 21, 22, 23
CONTENT_TYPES = {20: "change_cipher_spec", 21: "alert", 22: "handshake", 23: "application_data"}
VERSIONS = {0x0301: "TLS 1.0", 0x0302: "TLS 1.1", 0x0303: "TLS 1.2", 0x0304: "TLS 1.3"}
LONGEST = 2**14 + 256  # RFC 8446 §5.2: plaintext, its type, padding and the AEAD tag
HANDSHAKES = {
    1: "ClientHello",
    2: "ServerHello",
    4: "NewSessionTicket",
    8: "EncryptedExtensions",
    11: "Certificate",
    12: "ServerKeyExchange",
    13: "CertificateRequest",
    14: "ServerHelloDone",
    15: "CertificateVerify",
    16: "ClientKeyExchange",
    20: "Finished",
    24: "KeyUpdate",
}
FINISHED, KEY_UPDATE = 20, 24
# RFC 8446 §B.4: number → (name, key bytes, hash)
SUITES = {
    0x1301: ("TLS_AES_128_GCM_SHA256", 16, "SHA256"),
    0x1302: ("TLS_AES_256_GCM_SHA384", 32, "SHA384"),
    0x1303: ("TLS_CHACHA20_POLY1305_SHA256", 32, "SHA256"),
}


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a byte stream."""

    type: int  # as the header says
    version: int
    offset: int  # of the header, in the stream
    length: int  # of the body, as the header says
    body: int  # offset of the body, in the stream
    complete: bool  # the whole body is in the stream


@dataclass(frozen=True, slots=True)
class Plain:
    """One opened record."""

    sender: str  # "client" or "server"
    index: int  # of the record in its stream, counted from 0
    content_type: int  # the true one
    plaintext: bytes  # lines up with the record's body: byte i was encrypted to byte i
    offset: int  # of the record's header in its stream


def begins(raw, at, end):
    """True if a plausible record header stands here."""
    if end - at < 5 or raw[at] not in CONTENT_TYPES:
        return False
    version, length = unpack_from("!HH", raw, at + 1)
    return version in VERSIONS and length <= LONGEST and (length > 0 or raw[at] == APPLICATION_DATA)


def decode(raw, at, end, below=()):
    """The record at raw[at:end], or as much of it as this segment holds."""
    need(at, end, 5, "a TLS record header")
    if not begins(raw, at, end):
        came = raw[at : at + 5].hex(" ")
        raise DecodeError(f"a TLS record begins with type 20 to 23, a version and a length up to {LONGEST}; {came} came.")
    kind, version, length = unpack_from("!BHH", raw, at)
    stop, see = min(at + 5 + length, end), "RFC 8446 §5.1"
    here = "bytes" if stop == at + 5 + length else f"bytes; {stop - at - 5} of them are here"
    fields = [
        Field("Content Type", kind, str(kind), CONTENT_TYPES[kind], at, 1, see),
        Field("Legacy Record Version", version, f"0x{version:04x}", f"{VERSIONS[version]}; no longer says which", at + 1, 2, see),
        Field("Length", length, str(length), here, at + 3, 2, see),
    ]
    if stop > at + 5:
        body, varies = raw[at + 5 : stop], kind != CHANGE_CIPHER_SPEC
        name, see = ("Encrypted Record", "RFC 8446 §5.2") if kind == APPLICATION_DATA else ("Fragment", see)
        fields.append(
            Field(name, body, preview(body), _handshake_name(kind, body, length), at + 5, len(body), see, varies=varies)
        )
    return Layer("TLS record", 6, tuple(fields), at, 5, stop - at), None, stop, stop


def _handshake_name(kind, body, length):
    """The first message of a handshake record; in TLS 1.2 it may be encrypted, then its length does not fit."""
    if kind == HANDSHAKE and len(body) >= 4 and int.from_bytes(body[1:4], "big") + 4 <= length:
        return HANDSHAKES.get(body[0], "")
    return ""


def records(stream):
    """The records of one direction of a connection, from its first byte; the last may be incomplete, a cut header is left out."""
    found, at = [], 0
    while len(stream) - at >= 5:
        if not begins(stream, at, len(stream)):
            came = bytes(stream[at : at + 5]).hex(" ")
            raise DecodeError(
                f"a TLS record begins at byte {at}; {came} came. Give the stream from its first byte, without gaps."
            )
        kind, version, length = unpack_from("!BHH", stream, at)
        found.append(Record(kind, version, at, length, at + 5, at + 5 + length <= len(stream)))
        at += 5 + length
    return found


def decrypt(keylog_text, client_bytes, server_bytes):
    """Open a TLS 1.3 connection: the encrypted records of the client, then those of the server, as a list of Plain.

    `keylog_text` is an NSS key log (SSLKEYLOGFILE, `SSLContext.keylog_filename`); the bytes are those of both TCP streams.
    0-RTT data is not opened.  RFC 8446 §5.2 (records), §5.3 (nonces), §7.1 and §7.3 (keys).
    """
    random = _hello(client_bytes, 1, "client")[2:34]
    hello = _hello(server_bytes, 2, "server")
    need(34, len(hello), 1, "the session id of the ServerHello")
    where = 35 + hello[34]  # legacy_version, random, session id with its length; then the cipher suite
    need(where, len(hello), 2, "the cipher suite of the ServerHello")
    suite = unpack_from("!H", hello, where)[0]
    if suite not in SUITES:
        names = ", ".join(name for name, _, _ in SUITES.values())
        raise DecodeError(f"decrypt expects {names}; the server chose 0x{suite:04x}. Set minimum_version to TLS 1.3.")
    secrets = _secrets(keylog_text, random)
    opened = []
    for sender, stream in (("client", client_bytes), ("server", server_bytes)):
        opened += _open(sender, bytes(stream), secrets, suite, random)
    return opened


def tail(plain, at):
    """What follows the plaintext in an opened record, as a layer to lay over it; `at`: where the record's body begins.

    One byte of true content type and 16 of authentication tag.  Padding (RFC 8446 §5.4), which few use, is not counted.
    """
    end = at + len(plain.plaintext)
    kind = CONTENT_TYPES.get(plain.content_type, "not decoded here")
    fields = (
        Field("Inner Content Type", plain.content_type, str(plain.content_type), kind, end, 1, "RFC 8446 §5.2"),
        Field("Authentication Tag", b"", "", "16 bytes: a changed record does not pass", end + 1, 16, "RFC 8446 §5.2", varies=True),
    )
    return Layer("TLS tail", 6, fields, end, 17, 17)


def _hello(stream, kind, sender):
    """The body of the first handshake message, which travels in the clear."""
    clear = b"".join(stream[r.body : r.body + r.length] for r in records(stream) if r.type == HANDSHAKE and r.complete)
    size = 4 + int.from_bytes(clear[1:4], "big")
    if len(clear) < 38 or clear[0] != kind or len(clear) < size:
        wanted = f"the {sender}'s stream begins with a whole {HANDSHAKES[kind]}"
        raise DecodeError(f"{wanted}; {preview(clear[:8])} came. Capture from the first byte.")
    return clear[4:size]


def _secrets(keylog_text, random):
    """The lines "LABEL CLIENT_RANDOM SECRET" of this connection: label → secret."""
    rows = (line.split() for line in keylog_text.splitlines() if not line.startswith("#"))
    try:
        return {row[0]: bytes.fromhex(row[2]) for row in rows if len(row) == 3 and row[1].lower() == random.hex()}
    except ValueError:
        raise DecodeError(
            "a key log line is LABEL CLIENT_RANDOM SECRET in hexadecimal; something else came. The file is damaged."
        ) from None


def _expand_label(secret, label, length, digest):
    """HKDF-Expand-Label of RFC 8446 §7.1 with an empty context."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

    name = b"tls13 " + label
    info = length.to_bytes(2, "big") + bytes([len(name)]) + name + b"\0"
    return HKDFExpand(getattr(hashes, digest)(), length, info).derive(secret)


class _Keys:
    """What one traffic secret yields: a cipher, an initialization vector, and a record counter from 0 (RFC 8446 §5.3, §7.3)."""

    def __init__(self, secret, suite):
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

        _, size, digest = SUITES[suite]
        self.secret, self.suite, self.count = secret, suite, 0
        self.cipher = (ChaCha20Poly1305 if suite == 0x1303 else AESGCM)(_expand_label(secret, b"key", size, digest))
        self.iv = int.from_bytes(_expand_label(secret, b"iv", 12, digest), "big")

    def open(self, header, body):
        nonce = (self.iv ^ self.count).to_bytes(12, "big")
        self.count += 1
        return self.cipher.decrypt(nonce, body, header)

    def updated(self):
        return _Keys(_expand_label(self.secret, b"traffic upd", len(self.secret), SUITES[self.suite][2]), self.suite)


def _open(sender, stream, secrets, suite, random):
    """The encrypted records of one direction: handshake keys up to and with Finished, then application keys."""
    from cryptography.exceptions import InvalidTag

    def keys(label):
        label = f"{sender.upper()}_{label}"
        size = 48 if SUITES[suite][2] == "SHA384" else 32
        if len(secrets.get(label, b"")) != size:
            came = f"{len(secrets[label])} bytes" if label in secrets else "none"
            raise DecodeError(
                f"the key log holds a {label} of {size} bytes for client random {random.hex()[:16]}…; {came} came. "
                "Set keylog_filename before the handshake, and give the key log of this connection."
            )
        return _Keys(secrets[label], suite)

    opened, current, pending, finished = [], None, b"", False
    for index, record in enumerate(records(stream)):
        if record.type != APPLICATION_DATA or not record.complete:
            continue  # the hellos, and the ChangeCipherSpec that only pleases old middleboxes (RFC 8446 §D.4)
        current = current or keys("HANDSHAKE_TRAFFIC_SECRET")
        try:
            header, body = stream[record.offset : record.body], stream[record.body : record.body + record.length]
            inner = current.open(header, body).rstrip(b"\0")
        except InvalidTag:
            raise DecodeError(
                f"record {index} of the {sender} opens with the key log's secret; its tag does not match. "
                "The secret is of another connection, or bytes of the stream are missing or changed."
            ) from None
        kind, text = inner[-1:], inner[:-1]  # TLSInnerPlaintext: content, type, zeros
        if not kind:
            raise DecodeError(f"record {index} of the {sender} ends with its content type; only padding came (RFC 8446 §5.4).")
        opened.append(Plain(sender, index, kind[0], text, record.offset))
        pending += text if kind[0] == HANDSHAKE else b""
        while len(pending) >= 4 and len(pending) >= 4 + int.from_bytes(pending[1:4], "big"):
            message, pending = pending[0], pending[4 + int.from_bytes(pending[1:4], "big") :]
            if message == FINISHED and not finished:
                current, finished = keys("TRAFFIC_SECRET_0"), True
            elif message == KEY_UPDATE:
                current = current.updated()
    return opened
