"""What two applications said to each other: the byte streams of a TCP connection, put together from its frames.

    for stream in streams(cap):
        stream.sent("client")               the bytes, in order
        stream.frame_at("client", 100)      the frame that carried byte 100 first

TCP numbers bytes, not packets (RFC 9293 §3.4), so frames may come twice, overlap, or come out of order.  The first copy of a byte
counts; a byte that no frame carried is a gap, and is never made up.  Built in 24-tcp-connection; HTTP decoders read from here.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from labs.captures.frame import Frame
from labs.decode.conversation import conversation
from labs.decode.protocol import Unit, known

__all__ = ["Endpoint", "Stream", "said", "saying", "streams"]

SIDES = ("client", "server")
TOLD = 2  # messages of one frame that a ladder's row has room for
CYCLE = 1 << 32  # sequence numbers begin again at 0 after this many


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One end of a connection."""

    address: str
    port: int
    name: str = ""  # the host, where the capture knows it

    def __str__(self):
        return f"{self.name or self.address}:{self.port}"


def streams(cap: Iterable[Frame]) -> list["Stream"]:
    """The TCP connections of a capture (or of any frames that have the attributes of Headers), in order of their first frame."""
    frames = getattr(cap, "frames", cap)
    names = getattr(cap, "names", {})
    found, current = [], {}
    for frame in frames:
        if frame.protocol != "TCP" or frame.seq is None or frame.fragment:
            continue
        key = frozenset([(frame.src, frame.sport), (frame.dst, frame.dport)])
        stream = current.get(key)
        if stream is None or stream._is_over(frame):
            stream = current[key] = Stream(*_ends(frame, names))
            found.append(stream)
        stream._add(frame)
    return found


def said(cap: Iterable[Frame]) -> Callable[[Frame], tuple[str, str] | None]:
    """A function for cap.ladder(say=…): a frame becomes the messages that begin in it, one that begins none is left out."""
    found = streams(cap)
    return saying((stream.frame_at(unit.side, unit.offset).number, unit) for stream in found for unit in stream.units())


def saying(units: Iterable[tuple[int, Unit]]) -> Callable[[Frame], tuple[str, str] | None]:
    """The same for units of which it is known which frame brought them, by its number."""
    begun = {}
    for number, unit in units:
        begun.setdefault(number, []).append(unit)

    def say(frame):
        units = begun.get(frame.number)
        if not units:
            return None
        protocol = known(units[0].protocol)
        label = protocol.label or protocol.name if protocol else units[0].protocol
        if len(units) == 1:
            return label, units[0].words
        more = [f"and {len(units) - TOLD} more"] if units[TOLD:] else []
        return label, "; ".join([" ".join(unit.words.split()) for unit in units[:TOLD]] + more)

    return say


def _ends(frame, names):
    """(client, server): who sends SYN alone is the client; without a handshake the higher port is."""
    source = Endpoint(frame.src, frame.sport, names.get(frame.src, ""))
    destination = Endpoint(frame.dst, frame.dport, names.get(frame.dst, ""))
    is_client = not frame.is_ack if frame.syn else frame.sport > frame.dport
    return (source, destination) if is_client else (destination, source)


class _Side:
    """What one end sent: segments with their place in its stream."""

    def __init__(self):
        self.start = None  # sequence number of byte 0
        self.begun = False  # its SYN was seen, so byte 0 is the first there ever was
        self.segments = []  # (offset, frame), in the order of the capture
        self.reach = 0  # the highest offset seen, against which sequence numbers are unwrapped
        self.acknowledged = 0  # what the other side says it has received
        self.end = None  # offset of its FIN
        self.reset = False

    def offset(self, number):
        """A sequence number as an offset: the one of all that fit which is nearest to where the stream is."""
        return self.reach + ((number - self.start - self.reach + CYCLE // 2) % CYCLE) - CYCLE // 2

    def pieces(self, arrived):
        """The bytes as [(offset, bytes, frame)], without overlap, in order."""
        taken = []  # [start, end, frame, offset of the frame's data], disjoint, sorted by start
        for at, frame in self.segments:
            if arrived and getattr(frame, "lost", ""):
                continue
            end, here = at + frame.payload_length, max(at, 0)  # below 0: before the beginning, which only a forged frame is
            index = max(bisect_right(taken, at, key=lambda piece: piece[0]) - 1, 0)
            new = []
            while here < end:
                while index < len(taken) and taken[index][1] <= here:
                    index += 1
                start = taken[index][0] if index < len(taken) else end
                if start > here:
                    new.append((here, min(start, end), frame, at))
                here = max(here, taken[index][1]) if index < len(taken) else end
            if new:
                first = bisect_right(taken, new[0][0], key=lambda piece: piece[0])
                taken[first:first] = new
                if len(new) > 1:
                    taken.sort(key=lambda piece: piece[0])
        return [(start, bytes(frame.payload[start - at : end - at]), frame) for start, end, frame, at in taken]


class Stream:
    """One TCP connection.  client (who opened it) and server: its Endpoints, and the names of its sides; frames: all of them."""

    def __init__(self, client: Endpoint, server: Endpoint):
        self.client, self.server, self.frames = client, server, []
        self._sides, self._pieces = {"client": _Side(), "server": _Side()}, {}

    def side_of(self, frame: Frame) -> str:
        """ "client" or "server": who sent this frame."""
        source: tuple = frame.src, frame.sport
        return "client" if source == (self.client.address, self.client.port) else "server"

    def _is_over(self, frame):
        """True if this frame begins another connection between the same ports: a SYN with a number of its own."""
        side = self._sides["client"]
        if not frame.syn or frame.is_ack:
            return False
        return self.side_of(frame) != "client" or (side.start is not None and (frame.seq + 1) % CYCLE != side.start)

    def _add(self, frame):
        self.frames.append(frame)
        name = self.side_of(frame)
        side, other = self._sides[name], self._sides["server" if name == "client" else "client"]
        if frame.syn:
            if side.start is None:
                side.start, side.begun = (frame.seq + 1) % CYCLE, True
            first = (frame.seq + 1) % CYCLE  # SYN takes one number; data beside it comes after (RFC 9293 §3.4)
        else:
            first = frame.seq
            if side.start is None and (frame.payload_length or frame.fin):
                side.start = first
        if frame.payload_length:
            at = side.offset(first)
            side.segments.append((at, frame))
            side.reach = max(side.reach, at + frame.payload_length)
        if frame.fin and side.end is None:
            side.end = side.offset(first) + frame.payload_length
        if frame.rst:
            side.reset = True
        elif frame.is_ack and other.start is not None:
            other.acknowledged = max(other.acknowledged, other.offset(frame.ack))

    def _all(self, side, arrived=False):
        if side not in SIDES:
            raise ValueError(f'expected "client" (who opened the connection) or "server", got {side!r}')
        if (side, arrived) not in self._pieces:
            self._pieces[side, arrived] = self._sides[side].pieces(arrived)
        return self._pieces[side, arrived]

    def pieces(self, side: str) -> list[tuple[int, bytes, Frame]]:
        """All bytes that frames carried: [(offset, bytes, frame)] in order, without overlap; between them may be gaps."""
        return list(self._all(side))

    def sent(self, side: str) -> bytes:
        """The bytes that this side sent, in order, up to the first gap (see gaps)."""
        parts, here = [], None
        for at, data, _ in self._all(side):
            if here is not None and at != here or here is None and at != 0:
                break
            parts.append(data)
            here = at + len(data)
        return b"".join(parts)

    def gaps(self, side: str) -> list[tuple[int, int]]:
        """Bytes that were sent but are in no frame of the capture: [(offset, length)]."""
        found, here = [], 0
        for at, data, _ in self._all(side):
            if at > here:
                found.append((here, at - here))
            here = at + len(data)
        this = self._sides[side]
        known = max(this.acknowledged - (this.end is not None and this.acknowledged > this.end), this.end or 0)
        return found + ([(here, known - here)] if known > here else [])

    def units(self) -> list[Unit]:
        """What both sides say, message by message, in the order in which it was sent: labs.decode.conversation."""
        found = conversation(self.sent("client"), self.sent("server"), bool(self.ended("server")), (self.server.port,))
        return sorted(found, key=lambda unit: self.frame_at(unit.side, unit.offset).number)

    def begun(self, side: str) -> bool:
        """True if the capture has this side's SYN: then nothing is missing before byte 0."""
        return self._sides[side].begun

    def ended(self, side: str) -> str:
        """How this side ended its stream: "FIN", "RST", or "" if it did not within the capture."""
        this = self._sides[side]
        return "RST" if this.reset else "FIN" if this.end is not None else ""

    def frame_at(self, side: str, offset: int, arrived: bool = False) -> Frame:
        """The frame that carried this byte first; arrived=True: the first that the wire did not lose.  IndexError for a gap."""
        pieces = self._all(side, arrived)
        index = bisect_right(pieces, offset, key=lambda piece: piece[0]) - 1
        if index < 0 or offset >= pieces[index][0] + len(pieces[index][1]):
            raise IndexError(
                f"expected an offset that a frame of this capture carries, got {offset}; the {side}'s gaps are {self.gaps(side)}"
            )
        return pieces[index][2]

    def frames_of(self, side: str, offset: int, length: int) -> list[Frame]:
        """The frames that carried these bytes first, in the order of the bytes, each once."""
        found = []
        for at, data, frame in self._all(side):
            if at < offset + length and at + len(data) > offset and frame not in found:
                found.append(frame)
        return found

    def __repr__(self):
        said = [f"{sum(len(data) for _, data, _ in self._all(side))} bytes from the {side}" for side in SIDES]
        missing = sum(length for side in SIDES for _, length in self.gaps(side))
        return f"stream of {self.client.name or self.client.address} to {self.server}: {', '.join(said)}" + (
            f"; {missing} are missing" if missing else ""
        )
