"""How lanes are drawn: bars with their words beside them, steps, and frames that fall from host to host as time goes on."""

from . import escape, palette
from .axis import Axis
from .draw import WIDTH, Sheet

__all__ = ["draw"]

LEFT, RIGHT = 150, 36  # room for the tracks' names, and behind the last event
ROW, BAR, PAD = 22, 15, 14  # pixels: a row of bars, a bar, the space above and below a track
STEPS, WIRE = 56, 84  # heights of a track of levels, of the space between the first and the last host
MOST_ROWS = 12


def draw(lanes):
    """The figure of `Lanes`."""
    events = lanes.changes()
    top = 54 if lanes.title else 20
    if not events:
        sheet = Sheet(top + 80, origin=escape.plain(lanes.origin or "", 60))
        sheet.text(WIDTH / 2, top + 30, "Nothing was noted.", 11, palette.SOFT, "center")
        return sheet.figure
    start, end = min(event["start"] for event in events), max(event["end"] for event in events)
    axis = Axis(start, end, LEFT + 14, WIDTH - RIGHT)
    ruler = Sheet(10)  # only measures: how high a track is depends on how its words fit
    tracks = []
    for index, name in enumerate(lanes.tracks):
        mine = [event for event in events if event["track"] == index]
        if not mine:
            continue
        kind = "frames" if mine[0]["kind"] == "frame" else "levels" if all(e["kind"] == "level" for e in mine) else "bars"
        plan = None
        if kind == "frames":
            plan = _frames_plan(ruler, axis, mine, lanes.hosts)
        elif kind == "bars":
            plan = _bars_plan(ruler, axis, mine)
        tracks.append((name, kind, mine, plan, _height(kind, plan, lanes.hosts)))
    floor = top + sum(height for *_, height in tracks)
    sheet = Sheet(floor + 52, origin=escape.plain(lanes.origin or "", 60))
    if lanes.title:
        sheet.text(16, 28, lanes.title, 12, bold=True)
    axis.draw(sheet, top, floor)
    y = top
    for place, (name, kind, mine, plan, height) in enumerate(tracks):
        if place % 2 == 0:
            sheet.box(0, y, WIDTH, height, fill=palette.QUIET, order=0.4)
        lines = sheet.wrap(name, LEFT - 28, 10, rows=2, bold=True)
        for line, words in enumerate(lines):
            sheet.text(16, y + PAD + 12 + line * 16, words, 10, bold=True)
        {"frames": _frames, "levels": _levels, "bars": _bars}[kind](sheet, axis, mine, plan, y, height, lanes.hosts)
        y += height
    return sheet.figure


def _height(kind, plan, hosts):
    if kind == "levels":
        return STEPS + 2 * PAD
    if kind == "frames":
        above, below = plan[1]
        return PAD * 2 + (above + below) * 18 + WIRE * max(len(hosts) - 1, 1) + 8
    return 2 * PAD + ROW * plan[1]


def _place(rows, left, right):
    """The first row in which [left, right] is free; it is taken then."""
    for at, taken in enumerate(rows):
        if all(right < a or left > b for a, b in taken):
            taken.append((left, right))
            return at
    if len(rows) < MOST_ROWS:
        rows.append([(left, right)])
        return len(rows) - 1
    return None


# -- bars: spans and instants -------------------------------------------------------------------------------------------------


def _bars_plan(sheet, axis, events):
    """[(event, row, words, where the words begin)], and how many rows there are."""
    rows, plan = [], []
    for event in events:
        a, b = axis.x(event["start"]), axis.x(event["end"])
        words = sheet.fit(event["label"], 420, 9.5)
        room = sheet.measure(words, 9.5)
        x = b + 7
        if b - a > room + 14:  # inside, where it belongs
            x = a + 7
        elif x + room > WIDTH - 10:
            x = a - 7 - room if a - 7 - room > LEFT else max(min(WIDTH - 10, b - 7) - room, LEFT)
        row = _place(rows, min(a, x) - 6, max(b, x + room) + 6)
        if row is not None:
            plan.append((event, row, words, x))
    return plan, len(rows)


def _bars(sheet, axis, events, plan, y, height, hosts):
    for event, row, words, x in plan[0]:
        middle = y + PAD + row * ROW + ROW / 2
        a, b = axis.x(event["start"]), axis.x(event["end"])
        if event["kind"] == "mark":
            sheet.polygon([(a, middle - 6), (a + 6, middle), (a, middle + 6), (a - 6, middle)], palette.INK)
        else:
            colour = palette.HOSTS[3] if event["ends"] else palette.HOSTS[5]
            sheet.box(a, middle - BAR / 2, max(b - a, 3), BAR, fill=colour, order=3)
        over = a - 1 < x < b  # the words lie on their own bar
        sheet.text(x, middle + (4 if over else 5), words, 9.5, palette.PAPER if over and b - a > 40 else palette.INK)


# -- levels -------------------------------------------------------------------------------------------------------------------


def _levels(sheet, axis, events, plan, y, height, hosts):
    values = [event["value"] for event in events if event["value"] is not None]
    most = max([1, *values])
    low = y + PAD + STEPS

    def at(value):
        return low - value / most * (STEPS - 14)

    sheet.line((axis.left, axis.left + axis.width), (low, low), palette.FAINT, 1.0, order=1)
    last = None
    for event, following in zip(events, [*events[1:], None]):
        if event["value"] is None:
            last = None
            continue
        a, b = axis.x(event["start"]), axis.x(following["start"]) if following else axis.left + axis.width
        high = at(event["value"])
        if event["value"]:
            sheet.box(a, high, b - a, low - high, fill=palette.tint(palette.HOSTS[2], 0.25), order=1.2)
        if last is not None:
            sheet.line((a, a), (at(last), high), palette.HOSTS[2], 2.2)
        sheet.line((a, b), (high, high), palette.HOSTS[2], 2.2)
        if b - a > sheet.measure(event["label"], 9.5) + 4 or event["value"] == most:
            sheet.text(a + 4, high - 5, event["label"], 9.5, palette.INK, bold=True)
        last = event["value"]


# -- frames -------------------------------------------------------------------------------------------------------------------


def _frames_plan(sheet, axis, events, hosts):
    """Words of frames that go down stand above the hosts' lines, of those that go up below: [(event, side, row, words, x)]."""
    sides, plan = ([], []), []
    for event in events:
        down = _place_of(event["sender"], hosts) <= _place_of(event["receiver"] or event["sender"], hosts)
        if not event["receiver"]:
            down = _place_of(event["sender"], hosts) < max(len(hosts) - 1, 1)
        told = [words for words in event["told"] if not words.startswith("lost")]
        words = sheet.fit("; ".join([event["label"], *told]), 300, 9.5)
        room = sheet.measure(words, 9.5)
        x = min(max(axis.x(event["start"]) - 4, LEFT + 4), WIDTH - 10 - room)
        row = _place(sides[not down], x - 6, x + room + 6)
        plan.append((event, not down, row, words, x))
    return plan, (len(sides[0]), len(sides[1]))


def _place_of(host, hosts):
    return hosts.index(host) if host in hosts else 0


def _frames(sheet, axis, events, plan, y, height, hosts):
    placed, (above, below) = plan
    first = y + PAD + above * 18 + 4
    lines = {host: first + index * WIRE for index, host in enumerate(hosts)}
    for index, host in enumerate(hosts):
        sheet.line((axis.left - 4, axis.left + axis.width), (lines[host], lines[host]), palette.host_colour(index), 1.4, order=1)
        name = sheet.fit(host, 110, 9.5, bold=True)
        sheet.text(LEFT, lines[host] + 4, name, 9.5, palette.host_colour(index), "right", bold=True)
    bottom = first + WIRE * max(len(hosts) - 1, 0)
    for event, side, row, words, x in placed:
        colour = palette.host_colour(hosts.index(event["sender"])) if event["sender"] in hosts else palette.SOFT
        a, b = axis.x(event["start"]), axis.x(event["end"])
        from_y = lines.get(event["sender"], first)
        if event["receiver"]:
            sheet.arrow(a, from_y, b, lines.get(event["receiver"], bottom), colour, 2.4 if event["bytes"] else 1.4)
        else:
            to_y = from_y + (WIRE if not side else -WIRE) * 0.5
            sheet.line((a, a), (from_y, to_y), colour, 1.4)
            if event["lost"]:
                sheet.cross(a, to_y)
        if row is not None:
            at = first - 9 - row * 18 if not side else bottom + 18 + row * 18
            sheet.text(x, at, words, 9.5, palette.ALARM if event["reset"] or event["lost"] else palette.INK)
