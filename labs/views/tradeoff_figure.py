"""How a trade-off is drawn: two logarithmic axes with the points, and on the right their numbers."""

from math import log10

from . import escape, palette
from .draw import WIDTH, Sheet

__all__ = ["draw"]

LEFT, TOP, TALL, BOTTOM = 66, 84, 320, 66  # pixels
PLOT = 560  # width of the plot
ROW, COLUMN = 30, 78  # of the table


def draw(view):
    """The figure of a `Tradeoff`."""
    sheet = Sheet(TOP + TALL + BOTTOM, origin=escape.plain(view.origin or "", 60))
    sheet.text(16, 28, view.title, 12, bold=True)
    if not view.points:
        sheet.text(WIDTH / 2, TOP + 60, "Nothing was measured.", 11, palette.SOFT, "center")
        return sheet.figure
    x = _Scale([point["x"] for point in view.points], LEFT, LEFT + PLOT)
    y = _Scale([one for point in view.points for one in point["each"]], TOP + TALL, TOP)
    for value in x.ticks():
        sheet.line((x(value), x(value)), (TOP, TOP + TALL), palette.FAINT, 0.8, order=0.8)
        sheet.text(x(value), TOP + TALL + 18, _short(value), 9, palette.SOFT, "center")
    for value in y.ticks():
        sheet.line((LEFT, LEFT + PLOT), (y(value), y(value)), palette.FAINT, 0.8, order=0.8)
        sheet.text(LEFT - 8, y(value) + 4, _short(value), 9, palette.SOFT, "right")
    sheet.text(LEFT - 50, TOP - 16, view.y, 10)
    sheet.text(LEFT + PLOT, TOP + TALL + 40, view.x, 10, align="right")
    taken = []  # (left, right, top, bottom) of what no label may cover
    for point in view.points:
        taken.append((x(point["x"]) - 6, x(point["x"]) + 6, y(point["y"]) - 6, y(point["y"]) + 6))
    for series in dict.fromkeys(point["series"] for point in view.points):
        _series(sheet, [point for point in view.points if point["series"] == series], palette.host_colour(series), x, y, taken)
    _table(sheet, view)
    return sheet.figure


class _Scale:
    """A logarithmic axis from pixel `low` to pixel `high`, with room to spare at both ends."""

    def __init__(self, values, low, high):
        least, most = min(values) / 1.35, max(values) * 1.5
        self.least, self.most = least, most
        self.low, self.per = low, (high - low) / (log10(most) - log10(least))

    def __call__(self, value):
        return self.low + (log10(value) - log10(self.least)) * self.per

    def ticks(self):
        """1, 2, 5 times powers of ten."""
        powers = range(int(log10(self.least)) - 1, int(log10(self.most)) + 2)
        return [step * 10**power for power in powers for step in (1, 2, 5) if self.least <= step * 10**power <= self.most]


def _series(sheet, points, colour, x, y, taken):
    if len(points) > 1:
        sheet.line([x(point["x"]) for point in points], [y(point["y"]) for point in points], colour, 1.2, order=2)
    for point in points:
        at = x(point["x"])
        for one in point["each"] if len(point["each"]) > 1 else ():
            sheet.box(at - 2, y(one) - 2, 4, 4, fill=palette.tint(colour, 0.6), order=2.5)
        sheet.box(at - 6, y(point["y"]) - 6, 12, 12, fill=colour, edge=palette.PAPER, line=1.2, radius=6, order=4)
        left, base = _place(sheet.measure(point["name"], 10, bold=True), at, y(point["y"]), taken)
        sheet.text(left, base, point["name"], 10, colour, bold=True, ground=palette.PAPER, order=5)


def _place(width, x, y, taken):
    """Where a label begins: at the upper right of its point, or where nothing else is."""
    for left, base in ((x + 10, y - 8), (x - 10 - width, y + 18), (x - width / 2, y + 24), (x - width / 2, y - 14)):
        box = (left - 2, left + width + 2, base - 12, base + 4)
        free = not any(box[0] < b and a < box[1] and box[2] < d and c < box[3] for a, b, c, d in taken)
        if free and LEFT < box[0] and box[1] < LEFT + PLOT:
            break
    taken.append(box)
    return left, base


def _table(sheet, view):
    columns = list(dict.fromkeys(key for point in view.points for key in point["columns"]))
    heads = [*columns, view.x, view.y]
    right = WIDTH - 20
    places = [right - COLUMN * (len(heads) - 1 - index) for index in range(len(heads))]
    left = LEFT + PLOT + 44
    for head, at in zip(heads, places):
        lines = sheet.wrap(head, COLUMN - 8, 9, rows=3)
        for number, words in enumerate(lines):
            sheet.text(at, TOP + 34 - (len(lines) - 1 - number) * 14, words, 9, palette.SOFT, "right")
    for row, point in enumerate(view.points):
        top = TOP + 46 + row * ROW
        if row % 2 == 0:
            sheet.box(left - 10, top, right - left + 20, ROW, fill=palette.QUIET, order=0.5)
        sheet.text(left, top + 20, point["name"], 10, palette.host_colour(point["series"]), bold=True)
        for key, at in zip(heads, places):
            value = point["columns"].get(key) if key in columns else point["x"] if key == view.x else point["y"]
            sheet.text(at, top + 20, "" if value is None else _short(value), 10, palette.INK, "right")


def _short(value):
    """Three digits are enough."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.1f}" if value >= 1 else f"{value:.2g}"
