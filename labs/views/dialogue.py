"""A conversation to scale: who says what, when, and how long the other one waits.  Built in chapter 02-polling.

A ladder has an arrow for every frame; here an arrow is a whole message (of HTTP, WebSocket, …: labs.decode.conversation), however
many frames carried it, and time runs downwards without gaps: a server that is silent for half a second leaves that much room.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from labs.captures.stream import streams
from labs.tables import columns

from . import escape, palette
from .axis import Axis
from .draw import Figure, Sheet
from .view import View, count

__all__ = ["Dialogue", "Said"]

TOP, TALL, BOTTOM, GAP = 84, 440, 34, 28  # pixels
TICKS, ASKS, SAYS = 62, 168, 130  # of a column: the times at its left edge; the words left and right of the posts
LINE = 16  # between the baselines of two labels on one side


@dataclass(frozen=True, slots=True)
class Said:
    """One row: a message, the opening or end of a connection, or a mark, which is something that happened inside a host."""

    kind: str  # "request", "response", "message", "connection" or "mark"
    host: str  # who sent it, or where it happened
    other: str  # to whom; "" for a mark
    words: str
    sent: int  # nanoseconds
    arrived: int | None  # None: the wire lost it

    @property
    def end(self) -> str:
        """ "client → server", or the host alone."""
        return f"{self.host} → {self.other}" if self.other else self.host

    @property
    def lost(self) -> bool:
        return self.arrived is None


class Dialogue(View):
    """Conversations side by side on one time scale, each given as (title, capture) or (title, capture, marks).

    marks: {"job done": ("server", nanoseconds)}, the moment as time.time_ns() gives it.
    The picture has the times; the text has the order.  Bodies are shown as far as they are one short line.
    """

    def __init__(self, *columns: tuple):
        if not columns or not all(isinstance(column, tuple) and len(column) in (2, 3) for column in columns):
            raise TypeError("expected conversations as (title, capture) or (title, capture, {words: (host, nanoseconds)})")
        self.titles = [escape.plain(title, 80) for title, *_ in columns]
        self.hosts = [tuple(escape.plain(host, 40) for host in capture.hosts) for _, capture, *_ in columns]
        self.columns = [_rows(capture, *marks) for _, capture, *marks in columns]
        self.origin = next((capture.origin for _, capture, *_ in columns if getattr(capture, "origin", "")), "")
        self.missed = sum(getattr(capture, "missed", 0) for _, capture, *_ in columns)

    def summary(self) -> str:
        """How often each client asked, and how many of the answers came."""
        told = []
        for title, rows in zip(self.titles, self.columns):
            came = [sum(row.kind == kind and not row.lost for row in rows) for kind in ("request", "response", "message")]
            lost = sum(row.lost and row.kind != "connection" for row in rows)
            words = [count(number, noun) for number, noun in zip(came, ("request", "response", "message")) if number]
            words = words or [count(sum(row.words == "connects" for row in rows), "new connection")]
            told.append(f"{title}: {', '.join(words)}" + (f", {count(lost, 'message')} lost" if lost else ""))
        return f"{'; '.join(told)}."

    @property
    def text(self) -> str:
        """Who said what, in order, a table for each conversation; what is said several times in a row stands once.  No times."""
        out = []
        for title, rows in zip(self.titles, self.columns):
            lines = []
            for (end, words, lost), group in groupby(rows, lambda row: (row.end, row.words, row.lost)):
                times = len(list(group))
                lines.append((end, words + "  [lost]" * lost + (f"  [{times} times]" if times > 1 else "")))
            said = columns(lines) or ["Nobody said anything."]
            out += ["", title, "", *(f"  {line}" for line in said)]
        return "\n".join(out[1:])

    def figure(self) -> Figure:
        """A column for each conversation, two posts, and arrows that fall as far as they take."""
        sheet = Sheet(TOP + TALL + BOTTOM, origin=self.origin)
        width = (sheet.width - GAP * (len(self.columns) - 1)) / len(self.columns)
        longest = max([1, *(_end(rows) - rows[0].sent for rows in self.columns if rows)])
        for at, (title, hosts, rows) in enumerate(zip(self.titles, self.hosts, self.columns)):
            left = at * (width + GAP)
            sheet.text(left + 16, 28, sheet.fit(title, width - 32, 12, bold=True), 12, bold=True)
            start = rows[0].sent if rows else 0
            axis = Axis(start, start + longest, TOP + 6, TOP + TALL - 10)  # its "left to right" is our "down"
            for after, words in axis.ticks():
                y = axis.x(start + after)
                sheet.line((left + TICKS + 6, left + width - 8), (y, y), palette.FAINT, 0.7, order=0.5)
                sheet.text(left + TICKS, y + 4, words, 9, palette.SOFT, "right")
            _column(sheet, hosts, rows, left, width, axis.x)
        return sheet.figure


def _rows(capture, marks=None):
    rows = []
    for stream in streams(capture):
        names = {side: _host(getattr(stream, side)) for side in ("client", "server")}
        other = {"client": names["server"], "server": names["client"]}
        for frame in _turns(stream):
            side = stream.side_of(frame)
            words = "connects" if frame.syn else "resets the connection" if frame.rst else "closes"
            rows.append(Said("connection", names[side], other[side], words, frame.time, _landed(frame)))
        for unit in stream.units():
            first = stream.frame_at(unit.side, unit.offset)
            last = stream.frame_at(unit.side, unit.offset + unit.length - 1)
            rows.append(Said(unit.kind, names[unit.side], other[unit.side], _words(unit), first.time, _landed(last)))
    for words, (host, at) in (marks or {}).items():
        rows.append(Said("mark", escape.plain(host, 40), "", escape.plain(words, 60), at, at))
    return sorted(rows, key=lambda row: row.sent)


def _turns(stream):
    """The frames that open and end a connection: the first SYN, the first FIN of each side, the first RST."""
    opens = [frame for frame in stream.frames if frame.syn and not frame.is_ack][:1]
    ends = {(frame.sender, frame.rst): frame for frame in reversed(stream.frames) if frame.fin or frame.rst}
    return [*opens, *ends.values()]


def _landed(frame):
    return frame.arrivals[0].time if frame.arrivals and not frame.lost else None


def _host(end):
    return escape.plain(end.name or end.address, 40)


def _words(unit):
    head, gap, rest = unit.words.partition("  ")
    return f"{escape.plain(head, 80).rstrip()}{gap}{escape.plain(rest, 48)}"


def _end(rows):
    return max(row.arrived or row.sent for row in rows)


def _column(sheet, hosts, rows, left, width, y):
    there = [host for host in hosts if any(host in (row.host, row.other) for row in rows)] or list(hosts[:2])
    first, last = left + TICKS + ASKS, left + width - SAYS
    step = (last - first) / max(len(there) - 1, 1)
    posts = {host: first + index * step for index, host in enumerate(there)}
    for host, x in posts.items():
        sheet.pill(x, 58, host, palette.host_colour(hosts.index(host)), 10, height=22)
        sheet.line((x, x), (72, TOP + TALL), palette.FAINT, 2, order=1)
    taken = {False: [], True: []}  # (height, words) of the labels so far, left and right
    for row in rows:
        x, at = posts.get(row.host, first), y(row.sent)
        colour = palette.host_colour(hosts.index(row.host)) if row.host in hosts else palette.SOFT
        quiet, ink = row.kind == "connection", palette.INK
        if row.kind == "mark":
            sheet.polygon([(x, at - 7), (x + 7, at), (x, at + 7), (x - 7, at)], colour, order=6)
            ink = colour
        elif row.lost:  # it gets half the way
            middle = (x + posts.get(row.other, x)) / 2
            sheet.line((x, middle), (at, at), *((palette.SOFT, 1.1) if quiet else (colour, 1.9)))
            sheet.cross(middle, at)
        else:
            sheet.arrow(x, at, posts.get(row.other, x), y(row.arrived), *((palette.SOFT, 1.1) if quiet else (colour, 1.9)))
        if quiet:
            ink = palette.ALARM if row.words.startswith("resets") else palette.SOFT
        _say(sheet, row, x, at, ink, taken, right=len(there) > 1 and x == last)


def _say(sheet, row, x, at, ink, taken, right):
    """The words, outside the posts and level with the end of the arrow at which they were said."""
    parts = row.words.split("  ")
    words = f"{parts[0][:3]}  {parts[1]}" if row.kind == "response" and len(parts) > 1 else row.words  # the reason is in the text
    words += "  lost" if row.lost else ""
    height = at + 4
    if any(other == words and abs(height - there) < LINE for there, other in taken[right]):
        return  # the same words stand there already
    while any(abs(height - there) < LINE for there, _ in taken[right]):
        height += 1
    taken[right].append((height, words))
    bold, colour = row.kind == "mark", palette.ALARM if row.lost else ink
    words = sheet.fit(words, (SAYS if right else ASKS) - 17, 9.5, bold)
    x, side = (x + 13, "left") if right else (x - 13, "right")
    sheet.text(x, height, words, 9.5, colour, side, bold=bold, ground=palette.PAPER)
