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
    ends = []  # what stands in the right margin: [height, words, colour, bold]
    for limit in limits:
        sheet.line((LEFT, WIDTH - RIGHT), (y(limit), y(limit)), palette.ALARM, 1.4, (5, 3), order=6)
        ends.append([y(limit) + 4, f"capacity {limit:,}", palette.ALARM, False])
    for index, name in enumerate(gauge.names):
        points = [
            (places[reading["what"]] if steps else axis.x(reading["at"]), reading["value"])
            for reading in gauge.readings
            if reading["name"] == name
        ]
        colour = COLOURS[index % len(COLOURS)]
        width = 2.4 if len(gauge.names) == 1 else max(5.4 - 2.6 * index, 1.6)  # equal levels: the thinner lies on the wider line
        _steps(sheet, points, y, colour, floor, width, fill=len(gauge.names) == 1)
        ends.append([y(points[-1][1]) + 4, f"{name}: {points[-1][1]:,}", colour, True])
    last = None
    for at, words, colour, bold in sorted(ends):
        at = at if last is None else max(at, last + 17)
        sheet.text(WIDTH - RIGHT + 8, at, sheet.fit(words, RIGHT - 16, 9.5, bold=bold), 9.5, colour, bold=bold)
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


def _steps(sheet, points, y, colour, floor, width, fill):
    end = WIDTH - RIGHT
    for (x, value), following in zip(points, [*points[1:], None]):
        to = following[0] if following else end
        if fill and value:
            sheet.box(x, y(value), to - x, floor - y(value), fill=palette.tint(colour, 0.2), order=1)
        sheet.line((x, to), (y(value), y(value)), colour, width, order=4)
        if following:
            sheet.line((to, to), (y(value), y(following[1])), colour, width, order=4)
