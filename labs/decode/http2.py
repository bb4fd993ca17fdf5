"""The HTTP/2 frames of a stream, and the header lists that HPACK packed into them.

    for frame in frames(stream.sent("client"), "client"):
        frame.type, frame.stream_id, frame.headers, frame.block

Frames are read by hyperframe, header blocks by hpack, the libraries that httpx itself uses.  What those do not tell, the place
and the size of each header line in its block, is read here (RFC 7541 §5 and §6).  Built in 13-http-2; 07-sidecar-pattern uses it.
"""

import re
from dataclasses import dataclass, replace

from labs.decode.fields import DecodeError
from labs.decode.protocol import Protocol, Unit

__all__ = ["PREFACE", "PROTOCOLS", "Header", "Http2Frame", "frames", "representations", "units"]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # what a client sends first, RFC 9113 §3.4
HEAD = 9  # bytes before each frame's payload, RFC 9113 §4.1
CARRIES_BLOCK = ("HEADERS", "PUSH_PROMISE", "CONTINUATION")
SETTINGS = {
    1: "SETTINGS_HEADER_TABLE_SIZE", 2: "SETTINGS_ENABLE_PUSH", 3: "SETTINGS_MAX_CONCURRENT_STREAMS",
    4: "SETTINGS_INITIAL_WINDOW_SIZE", 5: "SETTINGS_MAX_FRAME_SIZE", 6: "SETTINGS_MAX_HEADER_LIST_SIZE",
    8: "SETTINGS_ENABLE_CONNECT_PROTOCOL",
    9: "SETTINGS_NO_RFC7540_PRIORITIES",
}  # fmt: skip
ERRORS = (
    "NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR",
    "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Header:
    """One header line, and how HPACK wrote it: RFC 7541 §6."""

    name: str
    value: str
    how: str  # "indexed", "literal, indexed from now on", "literal", "literal, never indexed"
    offset: int  # in the header block
    size: int  # bytes that it takes there


@dataclass(frozen=True, slots=True)
class Http2Frame:
    """One frame, with its place in the stream: RFC 9113 §4.1 and §6."""

    type: str  # "DATA", "HEADERS", …
    flags: tuple  # names: ("END_STREAM", "END_HEADERS")
    stream_id: int  # 0: the connection itself
    offset: int  # of the frame header in the stream of this side
    length: int  # of the payload; the frame takes 9 bytes more
    fields: dict  # what else it says, named as in RFC 9113 §6; of DATA the bytes themselves
    headers: tuple = ()  # Header, …: of the whole block, on the frame that begins it
    block: int = 0  # bytes of that whole block, as sent
    error: str = ""  # what was wrong with the bytes, if anything

    @property
    def start_line(self) -> str:
        """What HTTP/1.1 says in its first line: "GET /lamp" or "200"; "" where no message begins.  RFC 9113 §8.3."""
        said = {header.name: header.value for header in self.headers}
        return said.get(":status") or " ".join(said[name] for name in (":method", ":path") if name in said)

    def __repr__(self):
        flags = f" [{', '.join(self.flags)}]" if self.flags else ""
        return f"{self.type}{flags} stream {self.stream_id}, {self.length} bytes" + (f"; {self.error}" if self.error else "")


def frames(data: bytes, side: str, header_table_size: int = 4096) -> list[Http2Frame]:
    """The frames that one side ("client" or "server") sent.  One that is cut off or malformed has `error`, and is the last.

    header_table_size: what the other side's SETTINGS_HEADER_TABLE_SIZE allows, where it is not the default (RFC 9113 §6.5.2).
    Raises DecodeError where a client's bytes do not begin with the preface.
    """
    if side not in ("client", "server"):
        raise ValueError(f'expected side to be "client" or "server", got {side!r}')
    import hpack

    at = 0
    if side == "client":
        if data[: len(PREFACE)] != PREFACE[: len(data)]:
            raise DecodeError(
                f"expected HTTP/2's preface (RFC 9113 §3.4), got {bytes(data[: len(PREFACE)])!r}: "
                "this side does not speak HTTP/2 from the start"
            )
        at = len(PREFACE)
    decoder = hpack.Decoder()
    decoder.max_allowed_table_size = header_table_size
    blocks, found = _Blocks(decoder), []
    while at < len(data):
        frame, fragment = _frame(data, at)
        found.append(frame)
        if frame.error:
            break
        blocks.take(found, fragment)
        at += HEAD + frame.length
    blocks.end(found)
    return found


def _frame(data, at):
    """(the frame that begins at `at`, its fragment of a header block or None)."""
    from hyperframe.exceptions import HyperframeError
    from hyperframe.frame import Frame

    if len(data) - at < HEAD:
        return Http2Frame("cut off", (), 0, at, 0, {}, error=f"a frame begins with {HEAD} bytes, {len(data) - at} came"), None
    try:
        frame, length = Frame.parse_frame_header(memoryview(bytes(data[at : at + HEAD])))
    except HyperframeError as problem:
        return Http2Frame("malformed", (), 0, at, 0, {}, error=str(problem)), None
    kind = _kind(frame, data[at + 3])
    here = Http2Frame(kind, tuple(sorted(frame.flags)), frame.stream_id, at, length, {})
    payload = bytes(data[at + HEAD : at + HEAD + length])
    if len(payload) < length:
        return replace(here, error=f"its payload has {length} bytes, {len(payload)} came"), None
    try:
        frame.parse_body(memoryview(payload))
        fields = _fields(frame, kind, payload)
    except (HyperframeError, ValueError) as problem:
        return replace(here, error=str(problem) or "malformed"), None
    return replace(here, fields=fields), bytes(frame.data) if kind in CARRIES_BLOCK else None


def _kind(frame, number):
    name = type(frame).__name__
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.removesuffix("Frame")).upper()  # WindowUpdateFrame → WINDOW_UPDATE
    return f"unknown type {number}" if name == "ExtensionFrame" else words.replace("GO_AWAY", "GOAWAY")


def _fields(frame, kind, payload):
    fields = {}
    if getattr(frame, "pad_length", 0):
        fields["Pad Length"] = frame.pad_length
    if kind == "DATA":
        fields["Data"] = bytes(frame.data)
    elif kind == "SETTINGS":
        fields |= {SETTINGS.get(number, f"setting {number}"): value for number, value in frame.settings.items()}
    elif kind == "WINDOW_UPDATE":
        fields["Window Size Increment"] = frame.window_increment
    elif kind == "RST_STREAM":
        fields["Error Code"] = _error(frame.error_code)
    elif kind == "GOAWAY":
        fields |= {
            "Last-Stream-ID": frame.last_stream_id,
            "Error Code": _error(frame.error_code),
            "Additional Debug Data": bytes(frame.additional_data),
        }
    elif kind == "PING":
        fields["Opaque Data"] = bytes(frame.opaque_data)
    elif kind == "PUSH_PROMISE":
        fields["Promised Stream ID"] = frame.promised_stream_id
    elif kind.startswith("unknown"):
        fields["Payload"] = payload
    if kind == "PRIORITY" or kind == "HEADERS" and "PRIORITY" in frame.flags:
        fields |= {"Exclusive": frame.exclusive, "Stream Dependency": frame.depends_on, "Weight": frame.stream_weight + 1}
    return fields


def _error(number):
    return ERRORS[number] if number < len(ERRORS) else f"error {number}"


class _Blocks:
    """Header blocks: a HEADERS or PUSH_PROMISE frame and the CONTINUATIONs that follow it at once (RFC 9113 §4.3)."""

    def __init__(self, decoder):
        self.decoder, self.begin, self.data, self.broken = decoder, None, b"", ""

    def take(self, found, fragment):
        """Look at the newest frame; complete the frame that began the block when its last fragment is here."""
        frame = found[-1]
        if frame.type == "CONTINUATION":
            if self.begin is None or found[self.begin].stream_id != frame.stream_id:
                found[-1] = replace(frame, error="no header block is open that it could continue")
                return
        elif self.begin is not None:
            found[self.begin] = replace(found[self.begin], error="the header block was not finished before another frame came")
            self.begin, self.broken = None, "an earlier header block was not finished"
        if fragment is None:
            return
        if frame.type != "CONTINUATION":
            self.begin, self.data = len(found) - 1, b""
        self.data += fragment
        if "END_HEADERS" in frame.flags:
            found[self.begin] = self._decoded(found[self.begin])
            self.begin = None

    def end(self, found):
        if self.begin is not None:
            problem = "the rest of its header block is not in the capture"
            found[self.begin] = replace(found[self.begin], block=len(self.data), error=problem)

    def _decoded(self, frame):
        if self.broken:  # HPACK has state: after one block is lost, none can be read (RFC 7541 §2.2)
            return replace(frame, block=len(self.data), error=self.broken)
        from hpack.exceptions import HPACKError

        try:
            lines = self.decoder.decode(self.data, raw=True)
            places = representations(self.data)
        except (HPACKError, DecodeError, ValueError, IndexError) as problem:
            self.broken = "an earlier header block could not be read"
            return replace(frame, block=len(self.data), error=f"HPACK: {problem or type(problem).__name__}")
        text = lambda data: bytes(data).decode("latin-1")
        headers = tuple(Header(text(name), text(value), *place) for (name, value, *_), place in zip(lines, places))
        return replace(frame, headers=headers, block=len(self.data))


def representations(block: bytes) -> list[tuple[str, int, int]]:
    """How each header line of a block is written: [(how, offset, size)].  RFC 7541 §6; raises DecodeError."""
    found, at = [], 0
    while at < len(block):
        begin, first = at, block[at]
        if first & 0x80:  # §6.1: 1xxxxxxx, an index says it all
            _, at = _integer(block, at, 7)
            found.append(("indexed", begin, at - begin))
            continue
        if first & 0xE0 == 0x20:  # §6.3: 001xxxxx, a new size for the table; no header line
            _, at = _integer(block, at, 5)
            continue
        how, bits = ("literal, never indexed", 4) if first & 0x10 else ("literal", 4)  # §6.2.2 and §6.2.3
        if first & 0x40:  # §6.2.1
            how, bits = "literal, indexed from now on", 6
        index, at = _integer(block, at, bits)
        for _ in range(1 if index else 2):  # the value; the name, too, where no index gives it
            length, at = _integer(block, at, 7)
            at += length
        if at > len(block):
            left = len(block) - begin
            raise DecodeError(f"a header line of {at - begin} bytes does not fit in the {left} that are left of its block")
        found.append((how, begin, at - begin))
    return found


def _integer(block, at, bits):
    """An integer whose first byte leaves `bits` for it: (value, where it ends).  RFC 7541 §5.1."""
    if at >= len(block):
        raise DecodeError("the header block ends where a number was expected")
    value, at = block[at] & (1 << bits) - 1, at + 1
    if value < (1 << bits) - 1:
        return value, at
    for shift in range(0, 35, 7):  # five bytes more are enough for 32 bits
        if at >= len(block):
            raise DecodeError("the header block ends within a number")
        value, at = value + ((block[at] & 127) << shift), at + 1
        if not block[at - 1] & 128:
            return value, at
    raise DecodeError("a number of the header block takes more than 32 bits")


def units(up: bytes, down: bytes, ended: bool = True) -> tuple[list[Unit], tuple[str, str], int, int]:
    """The frames of both sides."""
    found = []
    for side, data in (("client", up), ("server", down)):
        try:
            said = frames(data, side)
        except DecodeError as problem:
            found.append(Unit("HTTP/2", side, 0, len(data), str(problem)))
            continue
        for one in said:
            length, what = min(HEAD + one.length, len(data) - one.offset), ": ".join(filter(None, (one.type, one.start_line)))
            kind = ("response" if side == "server" else "request") if one.start_line else "message"
            words = f"{what}  stream {one.stream_id}" + (f"  {one.error}" if one.error else "")
            found.append(Unit("HTTP/2", side, one.offset, length, words, kind, one))
    return found, ("", ""), len(up), len(down)


def begins(raw: bytes, at: int, end: int) -> bool:
    """True if the preface of a client stands here."""
    return raw.startswith(PREFACE, at, end)


PROTOCOLS = (Protocol("HTTP/2", 7, None, noun="HTTP/2 frame", begins=begins, handed_over_by=("ALPN", "h2"), units=units),)
