"""The frame log: what the cable writes and a capture reads.

An append-only file in memory (memfd_create(2)) that the lab process and the notebook both hold.  A frame that crosses at
once is one record.  One that is delayed, held, lost, doubled or rewritten is a SENT record, and later ARRIVED or LOST records
that name it by its number.
"""

import struct
import time as clocks

__all__ = ["ARRIVED", "CROSSED", "EVERYONE", "LOST", "SENT", "epoch", "read", "record"]

_HEADER = struct.Struct("<QIHHBI")  # time (ns), frame number, card it came from, card it went to, kind, bytes that follow
CROSSED, SENT, ARRIVED, LOST = range(4)
EVERYONE = 0xFFFF  # instead of a card: all others on the cable


def record(time, number, source, target, kind, data=b""):
    """One record as bytes."""
    return _HEADER.pack(time, number, source, target, kind, len(data)) + data


def epoch():
    """The time of day (ns since 1970) at which the monotonic clock stood at 0: what to add to a record's time.

    Two clocks cannot be read at once, and a busy machine may stop us between them: so the closest of several readings counts.
    """
    readings = []
    for _ in range(5):
        before, day, after = clocks.monotonic_ns(), clocks.time_ns(), clocks.monotonic_ns()
        readings.append((after - before, day - (before + after) // 2))
    return min(readings)[1]


def read(log, cards, since, make):
    """The frames in a slice of a log, each made by make(bytes, number=, time=, sender=, wire=).

    `cards` lists (host name, wire index) by card number; `since`, an epoch(), makes times of day of the log's times.
    Records about frames that were sent before the slice began are left out.
    """
    from labs.captures.frame import Arrival  # here: the lab process only writes

    frames, by_number, at = [], {}, 0
    others = [tuple(i for i, (_, w) in enumerate(cards) if w == wire and i != card) for card, (_, wire) in enumerate(cards)]
    outside = {wire: tuple(i for i, (_, w) in enumerate(cards) if w == wire) for _, wire in cards}
    while at + _HEADER.size <= len(log):
        time, number, source, target, kind, length = _HEADER.unpack_from(log, at)
        data = log[at + _HEADER.size : at + _HEADER.size + length]
        at += _HEADER.size + length
        if at > len(log):  # the lab process was killed while it wrote
            break
        if kind in (CROSSED, SENT):
            if source < len(cards):
                (sender, wire), everyone = cards[source], others[source]
            else:  # put on the wire by the notebook: the number says which wire
                sender, wire = "wire", source - len(cards)
                everyone = outside[wire]
            frame = make(data, number=len(frames) + 1, time=time + since, sender=sender, wire=wire)
            frames.append(frame)
            by_number[number] = frame
            if kind == SENT:
                continue
        else:
            frame = by_number.get(number)
            if frame is None:
                continue
            everyone = others[source] if source < len(cards) else outside[source - len(cards)]
        if kind == LOST:
            frame.lost = data.decode()
            continue
        changed = data if kind == ARRIVED and data else None
        for card in everyone if target == EVERYONE else (target,):
            frame.arrivals.append(Arrival(time + since, cards[card][0], changed))
    return frames
