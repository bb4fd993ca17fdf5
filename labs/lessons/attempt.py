"""On the link "relay": run a recorded cell for real, as far as that goes, and say if it did what was recorded.

A chapter begins live.  The first cell that needs a wire or a kernel of its own (NotOnThisLink), or shows something else than when
it was recorded, ends that: from there on the chapter is played from its recording, with the values that belong to it, until the
set-up cell runs again.  Two half-true worlds in one notebook would be worse than one recording that says what it is.
"""

import ast
from struct import pack
from typing import Any

from labs.captures.capture import Capture, CapturedFrame
from labs.captures.stream import streams
from labs.decode.build import sealed
from labs.lessons.record_values import Files, decode, is_capture
from labs.lessons.replay import NotHere
from labs.lessons.store import as_python

__all__ = ["Attempt", "Misfit", "overlay"]

CLOCK = 10**15, 10**20  # a whole number between these is a time in nanoseconds
MSS = 1448  # bytes in a segment with timestamps on Ethernet
CYCLE = 1 << 32
OTHER = {"client": "server", "server": "client"}


class Misfit(ValueError):
    """The live run did something else than the recorded one."""


class Attempt:
    """The live part of a chapter; one for each run of its set-up cell."""

    def __init__(self, shell: Any, files: Files):
        self.shell, self.files = shell, files
        self.done = []  # (cell, {name: its live value}) of each cell that went well
        self.captures = {}  # file → the recorded capture with live bytes

    def run(self, source: str, cell: dict) -> None:
        """Run the cell and show its outputs, as recorded; captures have the learner's own bytes.

        Where it cannot be run here or does something else, raises what kept it from that, and shows nothing.
        """
        from IPython.utils.capture import capture_output

        names = self.shell.user_ns
        with capture_output() as shown:
            self._run(source)
        said = {name: text for name, text in (("stdout", shown.stdout), ("stderr", shown.stderr)) if text}
        if (said, [output.data for output in shown.outputs]) != _texts(cell["outputs"]):
            raise Misfit("it shows something else than when it was recorded")
        values = {name: self._merge(record, names.get(name)) for name, record in cell["restore"].items()}
        names.update(values)
        self.done.append((cell, {name: names[name] for name in (*values, *cell["live"]) if name in names}))
        shown.show()

    def _run(self, source):
        """As IPython runs a cell: the value of a last line that is an expression is shown."""
        from IPython.display import display

        code = as_python(source)
        file, tree = self.shell.compile.cache(code), ast.parse(code)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(self.shell.compile(tree, file, "exec"), self.shell.user_ns)
        if last is not None:
            value = eval(self.shell.compile(ast.Expression(last.value), file, "eval"), self.shell.user_ns)
            if value is not None:
                display(value)

    def end(self, why: str) -> set[str]:
        """Live no more: close the networks, give the names the values that belong to the recording, and return those names."""
        from labs.network.relay import RUNNING

        for relay in list(RUNNING):
            relay.close()
        names, given = self.shell.user_ns, set()
        for cell, here in self.done:
            for name, value in here.items():
                if names.get(name) is value:  # not bound anew since
                    recorded = name in cell["restore"]
                    names[name] = decode(cell["restore"][name], self.files) if recorded else NotHere(name, why)
                    given.add(name)
        return given

    def _merge(self, record, live):
        """What a name is worth after a cell that went well: live, but times are those of the frames.  Raises Misfit."""
        match record:
            case {"capture": file}:
                if not is_capture(live):
                    raise Misfit("it leaves no capture where there was one")
                self.captures[file] = overlay(decode(record, self.files), live)
                return self.captures[file]
            case {"frame": _}:
                raise Misfit("it keeps a frame of a capture")
            case list() if isinstance(live, list) and len(live) == len(record):
                merged = [self._merge(*pair) for pair in zip(record, live)]
                return live if _same(merged, live) else merged
            case {"tuple": items} if isinstance(live, tuple) and len(live) == len(items):
                merged = tuple(self._merge(*pair) for pair in zip(items, live))
                return live if _same(merged, live) else merged
            case {"dict": items} if isinstance(live, dict) and [decode(key, self.files) for key, _ in items] == list(live):
                merged = {key: self._merge(item, live[key]) for (_, item), key in zip(items, live)}
                return live if _same(merged.values(), live.values()) else merged
            case {"bytes": _} if isinstance(live, bytes):
                return live
            case str() if isinstance(live, str):
                return live
            case int() if type(record) is type(live) is int:
                if record == live or min(record, live) >= CLOCK[1]:  # a number that long is a secret that somebody drew
                    return live
                if CLOCK[0] <= record < CLOCK[1] and CLOCK[0] <= live:
                    return record
        value = decode(record, self.files)
        if type(value) is not type(live) or isinstance(value, (bool, int)) and value != live:
            raise Misfit(f"it leaves {live!r} where the recording has {value!r}")
        return live if value == live else value


def _same(some, others):
    """The same objects: a list that a thread still writes into must stay that list."""
    return all(one is other for one, other in zip(some, others))


def _texts(outputs):
    """What a cell showed: ({stream: text}, [texts of one display, …])."""
    said = {}
    for output in outputs:
        if output["output_type"] == "stream":
            said[output["name"]] = said.get(output["name"], "") + output["text"]
    return said, [output["data"] for output in outputs if output["output_type"] != "stream"]


def overlay(recorded: Capture, live: Capture) -> Capture:
    """A recorded capture with the learner's own bytes in it: what this link shows of a cell that was recorded on a real wire.

    The frames, their order, their acknowledgements and times are the recording's; what the segments carry is what the learner's
    programs have just sent.  Where a message has another length than when it was recorded, its last segment is longer or
    shorter, and the numbers behind it move.  What does not fit (another conversation, a loss, a segment too long) is a Misfit.
    """
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
