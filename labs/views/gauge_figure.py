"""How a gauge is drawn: a step line for each value, a dashed one for each capacity."""

from . import escape, palette
from .axis import Axis
from .draw import WIDTH, Sheet

__all__ = ["draw"]

LEFT, RIGHT, HEIGHT = 74, 190, 190
COLOURS = (palette.HOSTS[2], palette.HOSTS[0], palette.HOSTS[3], palette.HOSTS[1])


def draw(gauge):
    """The figure of a `Gauge`."""
    top = 62 if gauge.title else 30
    floor = top + HEIGHT
    steps = list(dict.fromkeys(reading["what"] for reading in gauge.readings)) if gauge.stepped else []
    sheet = Sheet(floor + (62 if steps else 48), origin=escape.plain(gauge.origin or "", 60))
    if gauge.title:
        sheet.text(16, 28, gauge.title, 12, bold=True)
    if not gauge.readings:
        sheet.text(WIDTH / 2, top + 60, "Nothing was measured.", 11, palette.SOFT, "center")
        return sheet.figure
    limits = {gauge.limit(name) for name in gauge.names} - {None}
    most = max([1, *limits, *(reading["value"] for reading in gauge.readings)])

    def y(value):
        return floor - value / most * (HEIGHT - 16)

    _scale(sheet, gauge, most, y)
    if steps:
        places = {what: LEFT + (WIDTH - RIGHT - LEFT) * index / len(steps) for index, what in enumerate(steps)}
        room = (WIDTH - RIGHT - LEFT) / len(steps)
        for what, x in places.items():
            for line, words in enumerate(sheet.wrap(what, room - 8, 9, rows=2)):
                sheet.text(x + 4, floor + 17 + line * 15, words, 9, palette.SOFT)
    else:
        times = [reading["at"] for reading in gauge.readings]
        axis = Axis(min(times), max(times), LEFT, WIDTH - RIGHT)
        axis.draw(sheet, top, floor)
    for limit in limits:
        sheet.line((LEFT, WIDTH - RIGHT), (y(limit), y(limit)), palette.ALARM, 1.4, (5, 3), order=3)
        of = [name for name in gauge.names if gauge.limit(name) == limit]
        words = "capacity" if len(gauge.names) == 1 or len(of) > 1 else f"capacity, {of[0]}"
        sheet.text(LEFT + 4, y(limit) - 5, f"{words} {limit:,}", 9, palette.ALARM, ground=palette.PAPER)
    ends = []
    for index, name in enumerate(gauge.names):
        points = [
            (places[reading["what"]] if steps else axis.x(reading["at"]), reading["value"])
            for reading in gauge.readings
            if reading["name"] == name
        ]
        colour = COLOURS[index % len(COLOURS)]
        _steps(sheet, points, y, colour, floor, fill=len(gauge.names) == 1)
        ends.append([y(points[-1][1]) + 4, name, colour, points[-1][1]])
    last = None
    for end in sorted(ends):
        at = end[0] if last is None else max(end[0], last + 17)
        words = sheet.fit(f"{end[1]}: {end[3]:,}", RIGHT - 20, 9.5, bold=True)
        sheet.text(WIDTH - RIGHT + 8, at, words, 9.5, end[2], bold=True)
        last = at
    return sheet.figure


def _scale(sheet, gauge, most, y):
    """Five values at most along the left side."""
    step = 1
    while most / step > 5:
        step *= 2 if str(step)[0] in "15" else 2.5
    value = 0
    while value <= most:
        sheet.line((LEFT, WIDTH - RIGHT), (y(value), y(value)), palette.FAINT, 0.8, order=0.8)
        sheet.text(LEFT - 8, y(value) + 4, f"{value:,.0f}", 9, palette.SOFT, "right")
        value += step
    if gauge.unit:
        sheet.text(16, y(most) - 12, gauge.unit, 9, palette.SOFT)


def _steps(sheet, points, y, colour, floor, fill):
    end = WIDTH - RIGHT
    for (x, value), following in zip(points, [*points[1:], None]):
        to = following[0] if following else end
        if fill and value:
            sheet.box(x, y(value), to - x, floor - y(value), fill=palette.tint(colour, 0.2), order=1)
        sheet.line((x, to), (y(value), y(value)), colour, 2.4, order=4)
        if following:
            sheet.line((to, to), (y(value), y(following[1])), colour, 2.4, order=4)
