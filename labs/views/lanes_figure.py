"""How lanes are drawn: bars with their words beside them, steps, and frames that fall from host to host as time goes on.

How high a track is depends on how its words fit.  So each kind of track places its words first; it returns its height and the
function that draws it, which gets a sheet and the height at which the track begins.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

from . import palette
from .axis import Axis
from .draw import WIDTH, Figure, Sheet

if TYPE_CHECKING:
    from .lanes import Lanes

__all__ = ["draw"]

LEFT, RIGHT = 150, 36  # room for the tracks' names, and behind the last event
ROW, BAR, PAD = 22, 15, 14  # pixels: a row of bars, a bar, the space above and below a track
STEPS, WIRE, LINE = 56, 84, 18  # heights of a track of levels, of the space between two hosts, of a line of words
MOST_ROWS = 12

Track = tuple[float, Callable[[Sheet, float], None]]


def draw(lanes: "Lanes") -> Figure:
    """The figure of `Lanes`."""
    events = lanes.changes()
    top = 54 if lanes.title else 20
    if not events:
        return Sheet(top + 80, origin=lanes.origin, title=lanes.title).nothing(lanes.empty)
    start, end = min(event["start"] for event in events), max(event["end"] for event in events)
    axis = Axis(start, end, LEFT + 14, WIDTH - RIGHT)
    tracks = []
    for index, name in enumerate(lanes.tracks):
        if mine := [event for event in events if event["track"] == index]:
            tracks.append((name, *_track(axis, mine, lanes.hosts)))
    floor = top + sum(height for _, height, _ in tracks)
    sheet = Sheet(floor + 52, origin=lanes.origin, title=lanes.title)
    axis.draw(sheet, top, floor)
    y = float(top)
    for place, (name, height, paint) in enumerate(tracks):
        if place % 2 == 0:
            sheet.box(0, y, WIDTH, height, fill=palette.QUIET, order=0.4)
        for line, words in enumerate(sheet.wrap(name, LEFT - 28, 10, rows=2, bold=True)):
            sheet.text(16, y + PAD + 12 + line * 16, words, bold=True)
        paint(sheet, y)
        y += height
    return sheet.figure


def _track(axis: Axis, events: list[dict], hosts: list[str]) -> Track:
    if events[0]["kind"] == "frame":
        return _frames(axis, events, hosts)
    return (_levels if all(event["kind"] == "level" for event in events) else _bars)(axis, events)


def _place(rows: list[list[tuple[float, float]]], left: float, right: float) -> int | None:
    """The first row in which [left, right] is free; it is taken then."""
    for at, taken in enumerate(rows):
        if all(right < a or left > b for a, b in taken):
            taken.append((left, right))
            return at
    if len(rows) < MOST_ROWS:
        rows.append([(left, right)])
        return len(rows) - 1
    return None


def _bars(axis: Axis, events: list[dict]) -> Track:
    """Spans and instants."""
    rows, placed = [], []
    for event in events:
        a, b = axis.x(event["start"]), axis.x(event["end"])
        words = Sheet.fit(event["label"], 420, 9.5)
        room = Sheet.measure(words, 9.5)
        x = b + 7
        if b - a > room + 14:  # inside, where it belongs
            x = a + 7
        elif x + room > WIDTH - 10:
            x = a - 7 - room if a - 7 - room > LEFT else max(min(WIDTH - 10, b - 7) - room, LEFT)
        row = _place(rows, min(a, x) - 6, max(b, x + room) + 6)
        if row is not None:
            placed.append((event, PAD + (row + 0.5) * ROW, a, b, words, x))

    def paint(sheet, y):
        for event, down, a, b, words, x in placed:
            middle = y + down
            if event["kind"] == "mark":
                sheet.polygon([(a, middle - 6), (a + 6, middle), (a, middle + 6), (a - 6, middle)], palette.INK)
            else:
                colour = palette.HOSTS[3] if event["ends"] else palette.HOSTS[5]
                sheet.box(a, middle - BAR / 2, max(b - a, 3), BAR, fill=colour, order=3)
            over = a - 1 < x < b  # the words lie on their own bar
            sheet.text(x, middle + (4 if over else 5), words, 9.5, palette.PAPER if over and b - a > 40 else palette.INK)

    return 2 * PAD + ROW * len(rows), paint


def _levels(axis: Axis, events: list[dict]) -> Track:
    most = max([1, *(event["value"] for event in events if event["value"] is not None)])
    end = axis.left + axis.width
    xs = [*(axis.x(event["start"]) for event in events), end]

    def paint(sheet, y):
        low, last = y + PAD + STEPS, None
        sheet.line((axis.left, end), (low, low), palette.FAINT, 1.0, order=1)
        for event, (a, b) in zip(events, pairwise(xs)):
            high = None if event["value"] is None else low - event["value"] / most * (STEPS - 14)
            if high is not None:
                if event["value"]:
                    sheet.box(a, high, b - a, low - high, fill=palette.tint(palette.HOSTS[2], 0.25), order=1.2)
                sheet.line((a, a, b), (high if last is None else last, high, high), palette.HOSTS[2], 2.2)
                if b - a > sheet.measure(event["label"], 9.5) + 4 or event["value"] == most:
                    sheet.text(a + 4, high - 5, event["label"], 9.5, bold=True)
            last = high

    return STEPS + 2 * PAD, paint


def _frames(axis: Axis, events: list[dict], hosts: list[str]) -> Track:
    """Words of frames that go down stand above the hosts' lines, of those that go up below."""
    above, below, placed = [], [], []
    for event in events:
        sender, receiver = (hosts.index(host) if host in hosts else 0 for host in (event["sender"], event["receiver"]))
        down = sender <= receiver if event["receiver"] else sender < max(len(hosts) - 1, 1)
        told = [words for words in event["told"] if not words.startswith("lost")]
        words = Sheet.fit("; ".join([event["label"], *told]), 300, 9.5)
        room = Sheet.measure(words, 9.5)
        x = min(max(axis.x(event["start"]) - 4, LEFT + 4), WIDTH - 10 - room)
        placed.append((event, down, _place(above if down else below, x - 6, x + room + 6), words, x))
    wires = WIRE * max(len(hosts) - 1, 0)

    def paint(sheet, y):
        first = y + PAD + len(above) * LINE + 4
        lines = {host: first + index * WIRE for index, host in enumerate(hosts)}
        for index, (host, line) in enumerate(lines.items()):
            colour = palette.host_colour(index)
            sheet.line((axis.left - 4, axis.left + axis.width), (line, line), colour, 1.4, order=1)
            sheet.text(LEFT, line + 4, sheet.fit(host, 110, 9.5, bold=True), 9.5, colour, "right", bold=True)
        for event, down, row, words, x in placed:
            colour = palette.host_colour(hosts.index(event["sender"])) if event["sender"] in hosts else palette.SOFT
            a, b, tail = axis.x(event["start"]), axis.x(event["end"]), lines.get(event["sender"], first)
            if event["receiver"]:
                sheet.arrow(a, tail, b, lines.get(event["receiver"], first + wires), colour, 2.4 if event["bytes"] else 1.4)
            else:
                tip = tail + (WIRE if down else -WIRE) / 2
                sheet.line((a, a), (tail, tip), colour, 1.4)
                if event["lost"]:
                    sheet.cross(a, tip)
            if row is not None:
                at = first - 9 - row * LINE if down else first + wires + (row + 1) * LINE
                sheet.text(x, at, words, 9.5, palette.ALARM if event["reset"] or event["lost"] else palette.INK)

    return PAD * 2 + (len(above) + len(below)) * LINE + (wires or WIRE) + 8, paint
