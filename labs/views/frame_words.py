"""What each frame of a capture says, in the words that a ladder writes beside its arrow, and what the wire did to it.

The words are those of the frame's protocol (`words` in labs.decode.protocol).
"""

from collections.abc import Iterable, Sequence

from labs.captures.frame import Frame
from labs.decode import protocols  # noqa: F401  (makes them known)
from labs.decode.headers import Headers
from labs.decode.protocol import PROTOCOLS, carried
from labs.decode.tcp_words import FLAG_NAMES, Side

from . import escape

__all__ = ["Row", "describe", "difference"]


class Row:
    """One frame of a ladder: `head` (flags, or the kind of message), `rest` (numbers), `marks` (what stands out)."""

    __slots__ = ("frame", "protocol", "head", "rest", "marks", "connection", "again")

    def __init__(self, frame: Frame):
        self.frame, self.protocol = frame, frame.protocol

    def say(
        self, head: str, rest: str = "", marks: Sequence[str] = (), connection: tuple | None = None, again: bool = False
    ) -> None:
        """Take what a protocol's `words` tell.  connection: (wire, address, port, address, port), as its first frame had it;
        again: the frame carries nothing that its sender had not sent before."""
        self.head, self.rest, self.marks, self.connection, self.again = head, rest, marks, connection, again

    @property
    def label(self) -> str:
        """ "SYN  seq 0  MSS 1460"."""
        return f"{self.head}  {self.rest}" if self.rest else self.head

    def fate(self) -> list[str]:
        """What the wire did to the frame, if anything: lost, held, rewritten, duplicated; a list of short clauses."""
        frame = self.frame
        if frame.lost:
            return [f"lost: {escape.plain(frame.lost, 60)}"]
        if not frame.arrivals:
            return ["held"]
        told = []
        for arrival in frame.arrivals:
            if arrival.raw is not None and arrival.raw != frame.raw:
                told.append("rewritten: " + difference(frame, arrival.raw))
        copies = len(frame.arrivals) - len({arrival.receiver for arrival in frame.arrivals})
        if copies:
            told.append("copy" if copies == 1 else f"{copies} copies")
        return told


def describe(frames: Iterable[Frame], window: bool = False, sides: dict | None = None) -> list[Row]:
    """A `Row` for each frame.  window=True adds TCP's receive window, in bytes where the scale is known (RFC 7323 §2.2).

    `sides` is a dict that carries what is known of the connections from one call to the next.
    """
    sides, rows = {} if sides is None else sides, []
    for frame in frames:
        row = Row(frame)
        rows.append(row)
        protocol = PROTOCOLS[frame.protocol]
        if protocol.by_port and frame.payload_length:
            end = frame.payload_at + frame.payload_length
            upper = carried(frame.raw, frame.payload_at, end, (frame.sport, frame.dport), by_port=True)
            if upper:
                protocol, row.protocol = upper, upper.label or upper.name
        row.say(*protocol.words(frame, sides, window))
        if protocol.layer > 4:
            row.head, row.rest = escape.plain(row.head, 80), escape.plain(row.rest, 80)
        if frame.fragment is not None:
            row.rest = f"{row.rest}  fragment at {frame.fragment}".strip()
    return rows


def difference(frame: Headers, raw: bytes) -> str:
    """What a rewritten copy says differently, in a few words: "RST, ACK", "window 0"; otherwise which bytes changed."""
    after, told = Headers(raw), []
    if after.flags != frame.flags and after.window is not None:
        told.append(FLAG_NAMES[after.flags])
    for name in ("src", "dst", "sport", "dport", "ttl", "window", "mss"):
        value = getattr(after, name)
        if value is not None and value != getattr(frame, name):
            told.append(f"{'MSS' if name == 'mss' else 'TTL' if name == 'ttl' else name} {value}")
    for name in ("seq", "ack"):
        value, old = getattr(after, name), getattr(frame, name)
        if value is not None and old is not None and value != old:
            told.append(f"{name} {Side(old, old).relative(value):+d}")
    if len(raw) != len(frame.raw):
        told.append(f"{len(frame.raw)} → {len(raw)} bytes")
    elif after.payload != frame.payload and not told:
        told.append("payload")
    if not told:
        changed = [at for at, (a, b) in enumerate(zip(frame.raw, raw)) if a != b]
        told.append(f"byte {changed[0]}" if len(changed) == 1 else f"{len(changed)} bytes from {changed[0]} on")
    return ", ".join(told)
