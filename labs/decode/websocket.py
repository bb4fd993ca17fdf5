"""WebSocket frames, RFC 6455 §5: what a connection speaks after HTTP's 101 Switching Protocols, until it ends.

    frames(stream.sent("client")[at:])

A message is one frame, or several: the first says what it is, the others "continuation", and the last has FIN set.  Control
frames (close, ping, pong) may stand between them.  A client masks what it sends with four random bytes, so that no cache on the
way takes a payload for HTTP (RFC 6455 §10.3); here it is shown in the clear as well.  Built in chapter 12-websockets.
"""

from dataclasses import dataclass

from labs.decode.fields import DecodeError, Field, Layer
from labs.decode.protocol import Decoded, Protocol, Unit
from labs.decode.reader import Reader
from labs.decode.reading import amount, need, preview, told

__all__ = ["PROTOCOLS", "WebSocketFrame", "decode", "frames", "units"]

SEE, CONTROL = "RFC 6455 §5.2", "RFC 6455 §5.5"
OPCODES = {0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}
CODES = {
    1000: "normal closure", 1001: "going away", 1002: "protocol error", 1003: "unsupported data", 1007: "invalid payload",
    1008: "policy violation", 1009: "message too big", 1010: "mandatory extension", 1011: "internal error",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class WebSocketFrame:
    """One frame, with its place in the stream of the side that sent it."""

    fin: bool  # the last, or only, frame of its message
    rsv: int  # three bits for extensions; 4 on a message's first frame: compressed (RFC 7692 §6)
    opcode: int
    masked: bool
    offset: int  # of its first byte
    header: int  # bytes before the payload
    size: int  # bytes of payload, as the header says
    payload: bytes  # unmasked, as far as it is here

    @property
    def complete(self) -> bool:
        """Whether all of it is here."""
        return len(self.payload) == self.size

    @property
    def kind(self) -> str:
        """ "text", "close", …"""
        return OPCODES.get(self.opcode, f"opcode {self.opcode}")

    @property
    def code(self) -> int | None:
        """Why the connection is closed, if it is a close frame that says so (RFC 6455 §7.4)."""
        return int.from_bytes(self.payload[:2], "big") if self.opcode == 8 and len(self.payload) > 1 else None

    def __str__(self) -> str:
        """ "text  hello", "text, more to come  hel", "continuation, last  lo", "close 1000 normal closure  bye"."""
        head, body = self.kind, self.payload
        if self.code is not None:
            head, body = f"close {self.code} {CODES.get(self.code, '')}".rstrip(), body[2:]
        head += ", more to come" if not self.fin else ", last" if self.opcode == 0 else ""
        head += ", compressed" if self.rsv & 4 else ""
        readable = self.opcode != 2 and not self.rsv & 4
        rest = told(body) if readable else amount(self.size)
        return "  ".join(part for part in (head, rest if body else "", "" if self.complete else "cut off") if part)


def _header(raw: bytes, at: int, end: int) -> tuple[int, int, bytes]:
    """(bytes of the header, bytes of the payload, the key that masks it) of the frame at `at`.  Raises DecodeError."""
    need(at, end, 2, "the start of a WebSocket frame")
    head2 = raw[at + 1]
    extended = {126: 2, 127: 8}.get(head2 & 0x7F, 0)
    header = 2 + extended + (4 if head2 & 0x80 else 0)
    need(at, end, header, "the header of this WebSocket frame")
    size = int.from_bytes(raw[at + 2 : at + 2 + extended], "big") if extended else head2 & 0x7F
    if size >> 63:
        raise DecodeError("the first bit of a payload length of 64 bits is 0; it is 1 here. The frame is damaged or forged.")
    return header, size, bytes(raw[at + header - 4 : at + header]) if head2 & 0x80 else b""


def unmasked(data: bytes, key: bytes) -> bytes:
    """Byte i xor byte i mod 4 of the key: RFC 6455 §5.3.  The same again masks."""
    long = (key * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(long, "big")).to_bytes(len(data), "big")


def _frame(raw: bytes, at: int, end: int) -> WebSocketFrame:
    header, size, key = _header(raw, at, end)
    body = bytes(raw[at + header : min(at + header + size, end)])
    head1 = raw[at]
    body = unmasked(body, key) if key else body
    return WebSocketFrame(bool(head1 & 0x80), head1 >> 4 & 7, head1 & 15, bool(key), at, header, size, body)


def frames(data: bytes) -> list[WebSocketFrame]:
    """The frames that one side sent, from the first byte behind its half of the handshake.  One that is cut off is the last."""
    found, at = [], 0
    try:
        while at < len(data):
            found.append(_frame(data, at, len(data)))
            at += found[-1].header + found[-1].size
    except DecodeError:
        pass  # not even a header
    return found


def decode(raw: bytes, at: int, end: int, below: tuple[Layer, ...] = ()) -> Decoded:
    """One frame, or as much of it as is here."""
    frame, r = _frame(raw, at, end), Reader(raw, at, end, SEE)
    fin = "more frames of its message follow" if not frame.fin else "the whole message" if frame.opcode else "its message ends"
    _, _, _, _, _, _, short = r.bits(
        2, ("FIN", 1, fin), ("RSV1", 1, {1: "compressed, RFC 7692 §6"}), ("RSV2", 1, ""), ("RSV3", 1, ""),
        ("Opcode", 4, OPCODES.get(frame.opcode, "reserved")), ("MASK", 1, {1: "masked: a client sent it"}),
        ("Payload Length", 7, {126: "the next 2 bytes say it", 127: "the next 8 bytes say it"}),
    )  # fmt: skip
    if short > 125:
        r.number("Extended Payload Length", 2 if short == 126 else 8, meaning="bytes")
    if frame.masked:
        r.data("Masking-key", 4, meaning="chosen at random for each frame", varies=True)
    if frame.payload:
        clear, stop = frame.payload, r.at + len(frame.payload)
        if frame.code is not None:
            _payload(r, "Status Code", frame.code, str(frame.code), 2, CODES.get(frame.code, ""), frame.masked)
            clear = clear[2:]
        if clear:
            here = "" if frame.complete else f"{len(frame.payload)} of {frame.size} bytes are here"
            name = "Reason" if frame.code is not None else "Payload Data"
            _payload(r, name, clear, preview(clear), stop - r.at, here, frame.masked)
    error = ""
    if frame.opcode > 7 and (frame.size > 125 or not frame.fin):
        error = f"a control frame is whole and has up to 125 bytes; this one has {frame.size}, its FIN is {int(frame.fin)}."
    elif frame.size < {126: 126, 127: 65536}.get(short, 0):
        error = f"a length is written as short as it can be; {frame.size} fits in fewer bytes."
    header = frame.header if frame.opcode < 8 else r.at - at
    return Layer("WebSocket", 7, tuple(r.fields), at, header, r.at - at, error), None, r.at, r.at


def _payload(r: Reader, name: str, value: object, text: str, size: int, meaning: str, masked: bool) -> None:
    """Bytes of the payload.  Masked, they differ from run to run; what they mean does not, so the meaning says it."""
    if masked:
        meaning = "; ".join(part for part in (f"unmasked: {text}", meaning) if part)
        text = preview(r.peek(size))
    r.fields.append(Field(name, value, text, meaning, r.at, size, CONTROL if name != "Payload Data" else SEE, varies=masked))
    r.at += size


def units(up: bytes, down: bytes, ended: bool = True) -> tuple[list[Unit], tuple[str, str], int, int]:
    """The frames of both sides."""
    found, ends = [], []
    for side, data in (("client", up), ("server", down)):
        said = frames(data)
        sizes = [frame.header + len(frame.payload) for frame in said]
        found += [Unit("WebSocket", side, one.offset, size, str(one), detail=one) for one, size in zip(said, sizes)]
        ends.append(sum(sizes))
    return found, ("", ""), ends[0], ends[1]


PROTOCOLS = (
    Protocol(
        "WebSocket", 7, decode, label="WS", noun="WebSocket frame", handed_over_by=("101", "websocket"),
        behind=lambda _: "WebSocket", units=units,
    ),
)  # fmt: skip
