"""The one sentence under a ladder, computed from its rows."""

from collections.abc import Sequence

from labs.decode.headers import ACK, FIN, RST, SYN
from labs.decode.protocol import known

from . import escape
from .frame_words import Row
from .view import count

__all__ = ["tell", "tell_messages"]


class _Connection:
    """What happened on one TCP connection, seen where it was seen first."""

    def __init__(self, wire):
        self.wire, self.opener = wire, None
        self.steps = set()  # "SYN", "SYN, ACK", "ACK": how far the handshake came
        self.segments = self.bytes = self.again = self.zero = 0
        self.ended, self.reset = [], None  # who sent FIN, in order; who sent RST

    def add(self, row):
        frame, flags = row.frame, row.frame.flags
        if flags & SYN:
            self.steps.add("SYN, ACK" if flags & ACK else "SYN")
        elif flags & ACK and "SYN, ACK" in self.steps:
            self.steps.add("ACK")
        if row.again:
            self.again += "retransmission" in row.marks
        elif frame.payload_length:
            self.segments += 1
            self.bytes += frame.payload_length
        self.zero += "zero window" in row.marks
        if flags & FIN and frame.sender not in self.ended:
            self.ended.append(frame.sender)
        if flags & RST and self.reset is None:
            self.reset = frame.sender

    def opening(self):
        if {"SYN", "SYN, ACK", "ACK"} <= self.steps:
            return "three-way handshake"
        if "SYN, ACK" in self.steps:
            return "a handshake without its last ACK" if "SYN" in self.steps else "the second half of a handshake"
        if "SYN" in self.steps:
            return "a SYN that is refused" if self.reset else "a SYN without an answer"
        return ""

    def closing(self):
        if self.reset is not None:
            return "" if self.opening() == "a SYN that is refused" else f"{escape.plain(self.reset, 40) or 'someone'} resets"
        if len(self.ended) > 1:
            return "both sides close"
        return f"{escape.plain(self.ended[0], 40) or 'one side'} closes" if self.ended else ""


def tell(rows: list[Row], hosts: Sequence[str]) -> str:
    """ "Three-way handshake, 2 data segments (1,200 bytes): 7 frames between client and server, none lost." """
    if not rows:
        return "No frames were captured."
    connections, others = {}, {}
    for row in rows:
        frame = row.frame
        if row.connection is None:
            others.setdefault(_noun(row.protocol), []).append(frame.wire)
            continue
        connection = connections.get(row.connection[1:])
        if connection is None:
            connection = connections[row.connection[1:]] = _Connection(frame.wire)
        if connection.wire == frame.wire:  # a frame that a router passes on is the same segment
            connection.add(row)
    parts = [count(len(wires), noun) for noun, wires in others.items()]
    parts += _one(*connections.values()) if len(connections) == 1 else _many(list(connections.values())) if connections else []
    text = ", ".join(parts)
    return f"{text[:1].upper()}{text[1:]}: {_frames(rows, hosts)}."


def _noun(protocol):
    known_one = known(protocol)
    return known_one.noun if known_one and known_one.noun else f"{protocol} frame"


def tell_messages(rows: list[Row], hosts: Sequence[str]) -> str:
    """ "6 messages, HTTP on wires 0 and 2, TLS on wire 1: …", for a ladder whose rows were reworded."""
    if not rows:
        return "No frame of this capture has anything to say here."
    wires = {}
    for row in rows:
        wires.setdefault(row.protocol, set()).add(row.frame.wire)
    where = [f"{protocol} on wire{'s' * (len(on) > 1)} {_series(sorted(on))}" for protocol, on in wires.items()]
    return f"{count(len(rows), 'message')}, {', '.join(where)}: {_frames(rows, hosts)}."


def _series(numbers):
    """ "0", "0 and 2", "0, 1 and 2"."""
    *first, last = map(str, numbers)
    return f"{', '.join(first)} and {last}" if first else last


def _one(connection):
    parts = [connection.opening()]
    if connection.segments:
        parts.append(f"{count(connection.segments, 'data segment')} ({count(connection.bytes, 'byte')})")
    if connection.again:
        parts.append(count(connection.again, "retransmission"))
    if connection.zero:
        parts.append(f"the window announced as zero {'once' if connection.zero == 1 else f'{connection.zero:,} times'}")
    closing = connection.closing()
    parts = [part for part in parts if part]
    if closing:
        parts.append(f"then {closing}" if parts else closing)
    return parts or ["acknowledgements of one connection"]


def _many(connections):
    opened = sum(c.opening() == "three-way handshake" for c in connections)
    parts = [count(len(connections), "TCP connection")] + [count(opened, "complete handshake")] * bool(opened)
    segments, size = sum(c.segments for c in connections), sum(c.bytes for c in connections)
    if segments:
        parts.append(f"{count(segments, 'data segment')} ({count(size, 'byte')})")
    again, zero = sum(c.again for c in connections), sum(c.zero for c in connections)
    parts += [count(again, "retransmission")] * bool(again) + [count(zero, "zero window")] * bool(zero)
    closed = sum(c.reset is None and len(c.ended) > 1 for c in connections)
    reset = sum(c.reset is not None for c in connections)
    ends = [f"{closed:,} closed by both sides"] * bool(closed) + [f"{reset:,} reset"] * bool(reset)
    return parts + ends


def _frames(rows, hosts):
    lost = sum(bool(row.frame.lost) for row in rows)
    held = sum(not row.frame.lost and not row.frame.arrivals for row in rows)
    seen = {row.frame.sender for row in rows} | {arrival.receiver for row in rows for arrival in row.frame.arrivals}
    if len(seen) < 2:
        seen |= set(hosts)
    among = [escape.plain(host, 40) for host in hosts if host in seen]
    place = f" {'among' if among[2:] else 'between'} {_series(among)}" if among[1:] else ""
    fate = f"{lost:,} lost" if lost else "none lost"
    return f"{count(len(rows), 'frame')}{place}, {fate}" + (f", {held:,} still on the wire" if held else "")
