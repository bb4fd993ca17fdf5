"""Several tracks on one time axis: what a program, its kernel and the wire did, and in which order.  Built in chapter
18-how-the-backend-accepts-connections.

A track holds spans (a line of source, a system call), instants, levels (the length of a queue) or the frames of a capture.  The
picture has the times; the text has only the order, so two runs in which things happened in the same order give the same text.
Everything is kept as plain data, so a run can be kept, compared and drawn again.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from math import isfinite
from typing import TYPE_CHECKING, Self

from labs.tables import columns, count

from . import escape
from .draw import Figure
from .frame_words import describe
from .names import Names
from .trace_calls import follow
from .view import Noted
from .watch import Watch

if TYPE_CHECKING:
    from labs.captures.frame import Frame

__all__ = ["Lanes"]

WORDS = 60  # characters of a label
SHORT = 20_000_000  # ns


class Lanes(Noted):
    """Tracks in the order in which they are first named.  Times are nanoseconds as time.time_ns() and Frame.time give them."""

    kept = ("title", "tracks", "hosts", "missed", "events")
    empty = "Nothing was noted."

    def __init__(self, title: str | None = None, tracks: Iterable[str] = (), origin: str = ""):
        super().__init__(title, origin)
        self.tracks = [escape.plain(track, 40) for track in tracks]  # name them here to fix their order
        self.events = []  # dicts: kind, track (its index), label, start, end, and what the kind needs besides
        self.hosts = []  # of the frames, in the order of the network
        self._watches = []

    # -- what happened --------------------------------------------------------------------------------------------------------

    def span(self, track: str, label: str, start: int, end: int, ends: bool = True) -> Self:
        """Something that lasted from `start` to `end`.  ends=False: its end says nothing (the next line of source begins)."""
        return self._add("span", track, label, start, end, ends=bool(ends))

    @contextmanager
    def during(self, track: str, label: str) -> Iterator[Self]:
        """The same for the body of a `with`."""
        start = time.time_ns()
        try:
            yield self
        finally:
            self.span(track, label, start, time.time_ns())

    def mark(self, track: str, label: str, at: int | None = None) -> Self:
        """Something that took no time; at=None: now."""
        at = time.time_ns() if at is None else at
        return self._add("mark", track, label, at, at)

    def level(self, track: str, value: float | None, at: int | None = None) -> Self:
        """From `at` on (None: from now on) the value is this one, a number; None: there is nothing to measure."""
        if value is not None and (not isinstance(value, (int, float)) or not isfinite(value)):
            raise TypeError(f"expected a number or None for the level of {track!r}, got {value!r}")
        at = time.time_ns() if at is None else at
        return self._add("level", track, "" if value is None else f"{value:,}", at, at, value=value)

    def frames(self, capture: "Iterable[Frame]", track: str = "packets") -> Self:
        """The frames of a capture, each from its departure to its arrival.  What counts in the text is when it arrived."""
        names, several = Names(capture), len({f.sport for f in capture if f.syn and not f.is_ack}) > 1
        self.hosts += [escape.plain(host, 40) for host in getattr(capture, "hosts", ()) if host not in self.hosts]
        self.origin = self.origin or getattr(capture, "origin", "")
        self.missed += getattr(capture, "missed", 0)
        for row in describe(list(capture)):
            frame = row.frame
            label = _label(row) + (f"  ({_client(names, frame)})" if several and frame.protocol == "TCP" else "")
            heard = frame.arrivals[-1] if frame.arrivals else None
            told = [*row.marks, *row.fate()]
            self._add(
                "frame", track, label, frame.time, max(heard.time, frame.time) if heard else frame.time,
                sender=escape.plain(frame.sender or "?", 40), receiver=escape.plain(heard.receiver, 40) if heard else "",
                told=[escape.plain(words, WORDS) for words in told],
                lost=bool(frame.lost), reset=frame.rst, bytes=frame.payload_length,
            )  # fmt: skip
        return self

    def follow(self, function: Callable, *args: object, line: str = "source line", call: str = "system call") -> object:
        """Run function(*args) and note each of its lines and each of its calls on a socket; returns what it returns."""
        return follow(self, function, args, line, call)

    @contextmanager
    def watch(self, read: Callable[[], dict[str, float]], every: float | None = 0.001) -> Iterator[Watch]:
        """`with lanes.watch(read):` calls read() again and again; it gives {track: value}, and each new value is a level.

        every=None: it is called only by look(), and by follow() after each system call.
        """
        with Watch(read, self.level, every) as watch:
            self._watches.append(watch)
            try:
                yield watch
            finally:
                self._watches.remove(watch)

    def look(self) -> None:
        """Let every running watch read now."""
        for watch in list(self._watches):
            watch.look()

    def _add(self, kind, track, label, start, end, **more):
        if not isinstance(start, int) or not isinstance(end, int) or end < start:
            raise ValueError(f"expected times in nanoseconds, the end not before the start, got {start!r} and {end!r}")
        track = escape.plain(track, 40)
        if track not in self.tracks:
            self.tracks.append(track)
        event = {"kind": kind, "track": self.tracks.index(track), "label": escape.plain(label, WORDS), "start": start, "end": end}
        self.events.append(event | more)
        return self

    # -- as data, as text -----------------------------------------------------------------------------------------------------

    def to_record(self) -> dict:
        """Everything as plain data for JSON, times counted from the first event."""
        record = super().to_record()
        zero = min((event["start"] for event in self.events), default=0)
        for event in record["events"]:
            event["start"] -= zero
            event["end"] -= zero
        return record

    def changes(self) -> list[dict]:
        """The events without levels that stayed as they were (another reading, the same value)."""
        last, kept = {}, []
        for event in sorted(self.events, key=lambda event: event["start"]):
            if event["kind"] == "level":
                if event["track"] in last and last[event["track"]] == event["value"]:
                    continue
                last[event["track"]] = event["value"]
            kept.append(event)
        return kept

    def order(self) -> list[tuple[str, str]]:
        """(track, words) in the order of time: a span within which something else happened begins and ends."""
        events = self._settled(self.changes())
        # Equal times: what lasts begins before what happens in it.  A frame counts when its receiver gets it.
        keyed = sorted(enumerate(events), key=lambda pair: (_moment(pair[1]), -pair[1]["end"], pair[0]))
        moments = [(_moment(event), event["track"]) for _, event in keyed]
        rows = []
        for _, event in keyed:
            words = event["label"]
            if event["kind"] == "frame":
                words = _frame_words(event)
            elif event["kind"] == "level":
                words = words or "–"
            elif event["kind"] == "span" and event["ends"]:
                inside = [at for at, track in moments if event["start"] < at < event["end"] and track != event["track"]]
                if inside:
                    rows.append((event["end"], event["track"], f"{words} returns" if words.endswith(")") else f"{words} ends"))
                    words += " begins"
            rows.append((_moment(event), event["track"], words))
        return [(self.tracks[track], words) for _, track, words in sorted(rows, key=lambda row: row[0])]

    def _settled(self, events):
        """A level is read every few milliseconds: one that changed during a call as short as that is the call's effect."""
        calls = [event for event in events if event["kind"] == "span" and event["ends"]]
        short = [event for event in calls if event["end"] - event["start"] < SHORT]
        moved = []
        for event in events:
            if event["kind"] == "level":
                end = max([span["end"] for span in short if span["start"] <= event["start"] <= span["end"]], default=event["end"])
                event = event | {"start": end, "end": end}
            moved.append(event)
        return moved

    def summary(self) -> str:
        """How many events each track has, and the most that each level reached."""
        if not self.events:
            return self.empty
        told = []
        for index, track in enumerate(self.tracks):
            events = [event for event in self.changes() if event["track"] == index]
            values = [event["value"] for event in events if event["kind"] == "level" and event["value"] is not None]
            if values:
                told.append(f"{track} from {values[0]:,} to {values[-1]:,}, at most {max(values):,}")
            elif events and events[0]["kind"] == "frame":
                lost = sum(event["lost"] for event in events)
                told.append(count(len(events), "frame") + (f", {lost:,} lost" if lost else ""))
            elif events:
                told.append(f"{track}: {count(len(events), 'entry', 'entries')}")
        return f"In order of time: {'; '.join(told)}."

    @property
    def text(self) -> str:
        """A table, a column for each track and a row for each event, in the order in which they happened.  No times."""
        if not self.events:
            return self.page([self.empty])
        rows = [
            [at, *(words if track == name else "" for track in self.tracks)] for at, (name, words) in enumerate(self.order(), 1)
        ]
        return self.page(columns([["", *self.tracks], *rows], ">"))

    def figure(self) -> Figure:
        """The tracks as a matplotlib Figure."""
        from .lanes_figure import draw

        return draw(self)


def _moment(event):
    return event["end"] if event["kind"] == "frame" else event["start"]


def _label(row):
    """ "SYN", "PSH, ACK  5 bytes": numbers of sequence are another picture's business."""
    size = row.frame.payload_length
    words = row.head if row.frame.protocol == "TCP" else f"{row.frame.protocol} {row.head}"
    return f"{words}  {count(size, 'byte')}" if size and row.frame.protocol == "TCP" else words


def _client(names, frame):
    """The end of the connection whose port is ephemeral."""
    source, target = names.source(frame), names.target(frame)
    return target if frame.sport < frame.dport else source


def _frame_words(event):
    told = f"  [{'; '.join(event['told'])}]" if event["told"] else ""
    return f"{event['sender']} → {event['receiver'] or '…'}  {event['label']}{told}"
