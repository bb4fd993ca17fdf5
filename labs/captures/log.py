"""The frame log: what the cable writes and a capture reads.

An append-only file in memory (memfd_create(2)) that the lab process and the notebook both hold.  A frame that crosses at
once is one record.  One that is delayed, held, lost, doubled or rewritten is a SENT record, and later ARRIVED or LOST records
that name it by its number.
"""

import struct
import time as clocks
from collections.abc import Callable, Sequence

TYPE_CHECKING = False  # typing.TYPE_CHECKING; the lab process, which writes, must be up in a blink and imports no typing
if TYPE_CHECKING:
    from labs.captures.frame import Frame

__all__ = ["ARRIVED", "CROSSED", "EVERYONE", "LOST", "SENT", "Reader", "epoch", "record"]

_HEADER = struct.Struct("<QIHHBI")  # time (ns), frame number, card it came from, card it went to, kind, bytes that follow
CROSSED, SENT, ARRIVED, LOST = range(4)
EVERYONE = 0xFFFF  # instead of a card: all others on the cable


def record(time: int, number: int, source: int, target: int, kind: int, data: bytes = b"") -> bytes:
    """One record as bytes."""
    return _HEADER.pack(time, number, source, target, kind, len(data)) + data


def epoch() -> int:
    """The time of day (ns since 1970) at which the monotonic clock stood at 0: what to add to a record's time.

    Two clocks cannot be read at once, and a busy machine may stop us between them: so the closest of several readings counts.
    """
    readings = []
    for _ in range(5):
        before, day, after = clocks.monotonic_ns(), clocks.time_ns(), clocks.monotonic_ns()
        readings.append((after - before, day - (before + after) // 2))
    return min(readings)[1]


class Reader:
    """Makes frames of a log's records, of as much as it is fed, and goes on where it was.

    cards: (host name, wire index) by card number; since: an epoch(), which makes times of day of the log's times; a frame is made
    by make(bytes, number=, time=, sender=, wire=).  `frames` are those that were sent; `touched` has each again when it arrived
    or was lost.  Records about frames that were sent before the first that it was fed are left out.
    """

    def __init__(self, cards: Sequence[tuple[str, int]], since: int, make: Callable):
        from labs.captures.frame import Arrival  # here: the lab process only writes

        self.frames: list[Frame] = []
        self.touched: list[Frame] = []
        self._arrival = Arrival
        self._cards, self._since, self._make, self._rest = cards, since, make, b""
        self._by_number: dict[int, Frame] = {}  # frames of which more may be heard
        self._wires = {wire: tuple(i for i, (_, w) in enumerate(cards) if w == wire) for _, wire in cards}

    def feed(self, part: bytes) -> None:
        """Read the next bytes of the log.  A record that is not whole yet waits for the rest."""
        log, at = self._rest + part, 0
        while at + _HEADER.size <= len(log):
            time, number, source, target, kind, length = _HEADER.unpack_from(log, at)
            end = at + _HEADER.size + length
            if end > len(log):
                break
            self._record(time + self._since, number, source, target, kind, log[at + _HEADER.size : end])
            at = end
        self._rest = log[at:]

    def _record(self, time, number, source, target, kind, data):
        inside = source < len(self._cards)  # else the notebook put it on the wire, and the number says on which
        sender, wire = self._cards[source] if inside else ("wire", source - len(self._cards))
        if kind in (CROSSED, SENT):
            frame = self._make(data, number=len(self.frames) + 1, time=time, sender=sender, wire=wire)
            self.frames.append(frame)
            if kind == SENT:
                self._by_number[number] = frame
        else:
            frame = self._by_number.get(number)
        if frame is None:
            return
        self.touched.append(frame)
        if kind == LOST:
            frame.lost = data.decode()
        elif kind != SENT:
            changed = data if kind == ARRIVED and data else None
            to = [card for card in self._wires[wire] if card != source] if target == EVERYONE else (target,)
            frame.arrivals += [self._arrival(time, self._cards[card][0], changed) for card in to]
