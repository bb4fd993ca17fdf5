"""A recorded capture with the learner's own bytes in it: what the link "relay" shows of a cell that was recorded on a real wire.

The frames, their order, their acknowledgements and times are the recording's; what the segments carry is what the learner's
programs have just sent.  Where a message has another length than when it was recorded, its last segment is longer or shorter, and
the numbers behind it move.  What does not fit (another conversation, a loss, a segment too long) is a Misfit.
"""

from struct import pack

from labs.captures.capture import Capture, CapturedFrame
from labs.captures.stream import streams
from labs.decode.build import sealed

__all__ = ["Misfit", "overlay"]

MSS = 1448  # bytes in a segment with timestamps on Ethernet
CYCLE = 1 << 32
OTHER = {"client": "server", "server": "client"}


class Misfit(ValueError):
    """The live run did something else than the recorded one."""


def overlay(recorded: Capture, live: Capture) -> Capture:
    """A Capture with the frames of `recorded` and the bytes of `live`.  Raises Misfit."""
    before, now = streams(recorded), streams(live)
    if [_names(stream) for stream in before] != [_names(stream) for stream in now]:
        raise Misfit("other connections than those that were recorded")
    changed: dict[int, bytes] = {}
    for old, new in zip(before, now):
        changed |= _rewritten(old, _turns(old), _turns(new))
    frames = [_again(frame, changed.get(id(frame), frame.raw), live.origin) for frame in recorded.frames]
    return Capture(frames, recorded.hosts, recorded.names, live.origin, recorded.missed, recorded.cards)


def _again(frame, raw, origin):
    made = CapturedFrame(raw, number=frame.number, time=frame.time, sender=frame.sender, wire=frame.wire)
    made.arrivals, made.lost, made.names, made.origin = frame.arrivals, frame.lost, frame.names, origin
    return made


def _names(stream):
    return stream.client.name, stream.server.name, stream.server.port


def _turns(stream):
    """Who sent what, in turns: [(side, [frame, …]), …], the segments of each turn in order."""
    turns, reach = [], {}
    for frame in stream.frames:
        if frame.lost or any(arrival.raw for arrival in frame.arrivals):
            raise Misfit("a frame was lost or changed on the wire")
        if not frame.payload_length:
            continue
        side = stream.side_of(frame)
        if reach.setdefault(side, frame.seq) != frame.seq:
            raise Misfit("a segment that is not the next one")
        reach[side] = (frame.seq + frame.payload_length) % CYCLE
        if not turns or turns[-1][0] != side:
            turns.append((side, []))
        turns[-1][1].append(frame)
    return turns


def _rewritten(stream, before, now):
    """{id(frame): raw} of one connection."""
    if [side for side, _ in before] != [side for side, _ in now]:
        raise Misfit("another order of turns than in the recording")
    said = {}  # id(frame) → the bytes that it carries now
    for (_, old), (_, new) in zip(before, now):
        data = b"".join(bytes(frame.payload) for frame in new)
        for frame in old[:-1]:
            said[id(frame)], data = data[: frame.payload_length], data[frame.payload_length :]
        if not 0 < len(data) <= max(MSS, old[-1].payload_length):
            raise Misfit("a message of another length than in the recording")
        said[id(old[-1])] = data
    raws, moved, known = {}, {"client": 0, "server": 0}, {"client": {}, "server": {}}
    for frame in stream.frames:
        side = stream.side_of(frame)
        data = said.get(id(frame), b"")
        sequence, acknowledged = frame.seq + moved[side], frame.ack
        if frame.is_ack:
            if moved[OTHER[side]] and frame.ack not in known[OTHER[side]]:
                raise Misfit("an acknowledgement in the middle of a segment")
            acknowledged += known[OTHER[side]].get(frame.ack, 0)
        moved[side] += len(data) - frame.payload_length
        known[side][(frame.seq + frame.payload_length + frame.syn + frame.fin) % CYCLE] = moved[side]
        head = bytearray(frame.raw[: frame.payload_at])
        head[38:46] = pack("!II", sequence % CYCLE, acknowledged % CYCLE)
        raws[id(frame)] = sealed(bytes(head) + data) if len(data) or not frame.payload_length else frame.raw
    return raws
