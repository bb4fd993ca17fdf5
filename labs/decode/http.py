"""HTTP/1.1 messages, RFC 9112: a start line, field lines, an empty line, a body.  Built in chapter 09-osi-model.

HTTP is text only up to the empty line; how long the body is must be worked out from the field lines (RFC 9112 §6.3).
"""

import json
import re

from labs.decode.fields import DecodeError, Field, Layer
from labs.decode.http1 import units
from labs.decode.protocol import Decoded, Protocol
from labs.decode.reading import data_layer

__all__ = ["PROTOCOLS", "begins", "decode", "decode_chunk", "decode_json", "is_json"]

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"  # RFC 9110 §5.6.2
REQUEST = re.compile(rb"(" + TOKEN + rb"{1,32}) ([!-~\x80-\xff]{1,8000}) (HTTP/1\.[0-9])\r?\n")
# RFC 9112 §3: a target of 8000 bytes is to be expected
STATUS = re.compile(rb"(HTTP/1\.[0-9]) ([0-9]{3})(?: ([^\r\n]{0,8000}))?\r?\n")
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(;[^\r\n]{0,8000})?\r\n")  # RFC 9112 §7.1
VARIES = {"date", "age", "etag", "expires", "last-modified", "set-cookie"}


def begins(raw: bytes, at: int, end: int) -> bool:
    """True if a whole request line or status line stands here."""
    return bool(REQUEST.match(raw, at, end) or STATUS.match(raw, at, end))


def decode(raw: bytes, at: int, end: int, below: tuple[Layer, ...] = ()) -> Decoded:
    """Everything up to and with the empty line; if that has not come yet, everything."""
    request, status = REQUEST.match(raw, at, end), STATUS.match(raw, at, end)
    line = request or status
    if not line:
        raise DecodeError(
            "an HTTP/1 message begins with a request line or a status line; neither came. It may have begun earlier."
        )
    text = _text(line[0])
    if request:
        method, target, version = map(_text, line.groups())
        meaning = f"method {method}, target {target}, {version}"
        fields = [Field("Request Line", text, text, meaning, at, len(line[0]), "RFC 9112 §3")]
    else:
        version, code, reason = (_text(part or b"") for part in line.groups())
        fields = [Field("Status Line", text, text, f"{version}, status {code}", at, len(line[0]), "RFC 9112 §4")]
    where, headers, finished = line.end(), {}, False
    while where < end and not finished:
        field, finished = _field_line(raw, where, end)
        fields.append(field)
        headers.setdefault(field.name.lower(), field.value)
        where += field.length
    inner, stop = _body(headers, where, end, request is not None, status and status[2].decode()) if finished else (None, end)
    return Layer("HTTP", 7, tuple(fields), at, where - at, stop - at), inner, where, stop


def _field_line(raw, at, end):
    """One line as a field, and whether it was the empty one."""
    found = raw.find(b"\n", at, end)
    line = raw[at : end if found < 0 else found + 1]
    if found < 0:
        return Field("Field Line", _text(line), _text(line), "goes on in the next segment", at, len(line), "RFC 9112 §5"), False
    if line in (b"\r\n", b"\n"):
        return Field("Empty Line", "", "", "end of the header section", at, len(line), "RFC 9112 §2.1"), True
    name, colon, value = line.partition(b":")
    if not colon or not re.fullmatch(TOKEN + rb"+", name):
        meaning = "malformed: a name and a colon belong here"
        return Field("Field Line", _text(line), _text(line), meaning, at, len(line), "RFC 9112 §5"), False
    name, value = _text(name), _text(value)
    return Field(name, value, value, "", at, len(line), "RFC 9112 §5", varies=name.lower() in VARIES), False


def _body(headers, at, end, is_request, code):
    """What follows the empty line and where it ends, as far as it is here: RFC 9112 §6.3."""
    if code and (code.startswith("1") or code in ("204", "304")):
        return None, at
    if headers.get("transfer-encoding", "").lower().endswith("chunked"):
        return "HTTP chunk", end
    kind = "JSON" if "json" in headers.get("content-type", "").lower() else "Body"
    length = headers.get("content-length", "")
    if re.fullmatch("[0-9]{1,18}", length):
        return (kind, min(at + int(length), end)) if int(length) else (None, at)
    return (None, at) if is_request else (kind, end)  # a response without a length ends with the connection


def decode_chunk(raw: bytes, at: int, end: int, below: tuple[Layer, ...] = ()) -> Decoded:
    """One chunk of a body whose length was not known when it began: RFC 9112 §7.1.  Size 0 ends the body."""
    line = CHUNK.match(raw, at, end)
    if not line:
        raise DecodeError(
            "a chunk begins with its size, in hexadecimal, and a line end; something else came. It may have begun earlier."
        )
    see, size, body = "RFC 9112 §7.1", int(line[1], 16), line.end()
    fields = [Field("Chunk Size", size, _text(line[0]), "bytes" if size else "the last chunk", at, len(line[0]), see)]
    stop = min(body + size, end)
    if stop > body:
        data = data_layer(raw, body, stop, 7).fields[0]
        fields.append(Field("Chunk Data", data.value, data.text, data.meaning, body, stop - body, see))
    if size and raw[stop : min(stop + 2, end)] == b"\r\n":
        fields.append(Field("Line End", "", "", "end of the chunk", stop, 2, see))
        stop += 2
    finished = bool(size)
    while stop < end and not finished:  # behind the last chunk: trailer fields, if any, and the empty line
        field, finished = _field_line(raw, stop, end)
        fields.append(field)
        stop += field.length
    return Layer("HTTP chunk", 7, tuple(fields), at, stop - at, stop - at), None, stop, stop


def decode_json(raw: bytes, at: int, end: int, below: tuple[Layer, ...] = ()) -> Decoded:
    """A body that is JSON text, RFC 8259: one field, because its bytes have no fixed places."""
    whole = is_json(raw[at:end])
    meaning = f"{end - at} bytes" if whole else f"{end - at} bytes; not a whole JSON text"
    return data_layer(raw, at, end, 7, "JSON", meaning, "RFC 8259 §2"), None, end, end


def is_json(data: bytes) -> bool:
    """True if the bytes are a JSON object or array."""
    if data.lstrip()[:1] not in (b"{", b"["):
        return False
    try:
        json.loads(data)
    except (ValueError, RecursionError):  # RecursionError: a thousand brackets
        return False
    return True


def _text(data):
    """Header bytes as text, byte for byte: RFC 9110 §5.5 leaves the encoding open, and Latin-1 cannot fail."""
    return data.decode("latin-1").strip(" \t\r\n")


PROTOCOLS = (
    Protocol("HTTP", 7, decode, noun="HTTP message", begins=begins, behind=lambda _: "Application", units=units),
    Protocol("HTTP chunk", 7, decode_chunk, behind=lambda layer: "HTTP chunk" if layer["Chunk Size"] else "Application"),
    Protocol("JSON", 7, decode_json, begins=lambda raw, at, end: is_json(raw[at:end])),
)
