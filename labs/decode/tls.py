"""TLS records, RFC 8446 §5: five bytes of header and a body.  Built in chapter 16-tls.

RFC 9846 (July 2026) obsoletes RFC 8446; in its §4 the sections have other numbers (key_share 4.3.8, Certificate 4.5.1).

Record borders have nothing to do with segment borders: TCP carries a stream, and TLS cuts it as it likes.  Once keys are agreed
on, bodies are encrypted; in TLS 1.3 the header then says "application data" whatever is inside, and the true type is the last
byte of the plaintext.  What records hold is read by tls_handshake; how they are opened stands in tls_keys and tls_session.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import unpack_from
from typing import TYPE_CHECKING

from labs.decode.fields import DecodeError, Field, Layer
from labs.decode.protocol import Decoded, Protocol, Unit
from labs.decode.reading import amount, need, preview
from labs.decode.tls_names import CONTENT_TYPES, HANDSHAKES, VERSIONS

if TYPE_CHECKING:
    from labs.decode.tls_session import Opened

__all__ = ["PROTOCOLS", "Record", "begins", "decode", "leading", "records", "tail", "tail12"]

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA = 20, 21, 22, 23
LONGEST = 2**14 + 2048  # RFC 5246 §6.2.3; in TLS 1.3 at most 2¹⁴ + 256


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a byte stream."""

    type: int  # as the header says
    version: int
    offset: int  # of the header, in the stream
    length: int  # of the body, as the header says
    body: int  # offset of the body, in the stream
    complete: bool  # the whole body is in the stream


def begins(raw: bytes, at: int, end: int) -> bool:
    """True if a plausible record header stands here."""
    if end - at < 5 or raw[at] not in CONTENT_TYPES:
        return False
    version, length = unpack_from("!HH", raw, at + 1)
    return version in VERSIONS and length <= LONGEST and (length > 0 or raw[at] == APPLICATION_DATA)


def decode(raw: bytes, at: int, end: int, below: tuple[Layer, ...] = ()) -> Decoded:
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
        meaning = _handshake_name(kind, body, length)
        fields.append(Field(name, body, preview(body), meaning, at + 5, len(body), see, varies=varies))
    return Layer("TLS record", 6, tuple(fields), at, 5, stop - at), None, stop, stop


def _handshake_name(kind, body, length):
    """The first message of a handshake record; in TLS 1.2 it may be encrypted, then its length does not fit."""
    if kind == HANDSHAKE and len(body) >= 4 and int.from_bytes(body[1:4], "big") + 4 <= length:
        return HANDSHAKES.get(body[0], "")
    return ""


def leading(stream: bytes) -> tuple[list[Record], int]:
    """The records at the beginning of `stream`, and where what follows them is no record (its length, if all is).

    The last record may be incomplete; a header that is cut off is left out.
    """
    found, at = [], 0
    while len(stream) - at >= 5 and begins(stream, at, len(stream)):
        kind, version, length = unpack_from("!BHH", stream, at)
        found.append(Record(kind, version, at, length, at + 5, at + 5 + length <= len(stream)))
        at += 5 + length
    return found, at if len(stream) - at >= 5 else len(stream)


def records(stream: bytes) -> list[Record]:
    """The records of one direction of a connection, from its first byte.  Raises DecodeError where something else stands."""
    found, at = leading(stream)
    if at < len(stream):
        came = bytes(stream[at : at + 5]).hex(" ")
        raise DecodeError(f"a TLS record begins at byte {at}; {came} came. Give the stream from its first byte, without gaps.")
    return found


def tail(plain: Opened, at: int) -> Layer:
    """What follows the plaintext in an opened record, as a layer to lay over it; `at`: where the record's body begins.

    One byte of true content type and 16 of authentication tag.  Padding (RFC 8446 §5.4), which few use, is not counted.
    """
    end = at + len(plain.plaintext or b"")
    kind = CONTENT_TYPES.get(plain.content_type or 0, "not decoded here")
    inner = Field("Inner Type", plain.content_type, str(plain.content_type), kind, end, 1, "RFC 8446 §5.2")
    return Layer("TLS tail", 6, (inner, _tag(end + 1, "RFC 8446 §5.2")), end, 17, 17)


def _tag(at, see):
    return Field("Authentication Tag", b"", "", "16 bytes: a changed record does not pass", at, 16, see, varies=True)


def tail12(plain: Opened, at: int) -> tuple[Layer, ...]:
    """The same for TLS 1.2: the tag behind the plaintext and, in front of it, GCM's part of the nonce (RFC 5288 §3), if any."""
    end, before = at + len(plain.plaintext or b""), at - 5
    layers: tuple[Layer, ...] = (Layer("TLS tail", 6, (_tag(end, "RFC 5246 §6.2.3.3"),), end, 16, 16),)
    if before:
        meaning = "with the IV of the keys: never twice the same"
        nonce = Field("Explicit Nonce", b"", "", meaning, 5, before, "RFC 5288 §3", varies=True)
        layers += (Layer("TLS nonce", 6, (nonce,), 5, before, before),)
    return layers


def units(up: bytes, down: bytes, ended: bool = True) -> tuple[list[Unit], tuple[str, str], int, int]:
    """The records of both sides, as far as they can be read without keys."""
    found, ends = [], []
    for side, data in (("client", up), ("server", down)):
        cut, end = leading(data)
        ends.append(end)
        for one in cut:
            here = min(one.length, len(data) - one.body)
            words = f"{CONTENT_TYPES[one.type]}  {amount(one.length)}" + ("" if one.complete else "  cut off")
            found.append(Unit("TLS record", side, one.offset, one.body + here - one.offset, words, detail=one))
    return found, ("", ""), ends[0], ends[1]


PROTOCOLS = (
    # RFC 8446 knows no OSI layers, nor does TCP/IP have a sixth: the course files TLS here because it changes the representation.
    Protocol("TLS record", 6, decode, label="TLS", noun="TLS record", begins=begins, behind=lambda _: "Application", units=units),
)
