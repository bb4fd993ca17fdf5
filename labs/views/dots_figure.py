"""How dots are drawn: a panel for each series, one above the other, on one scale."""

from . import escape, palette
from .draw import WIDTH, Sheet

__all__ = ["draw"]

LEFT, RIGHT, PANEL, GAP = 74, 190, 150, 58
COLOURS = (palette.HOSTS[0], palette.HOSTS[1], palette.HOSTS[2], palette.HOSTS[3])


def draw(dots):
    """The figure of `Dots`."""
    top = 76 if dots.title else 46
    high = len(dots.series) * PANEL + max(len(dots.series) - 1, 0) * GAP
    sheet = Sheet(top + max(high, 60) + 56, origin=escape.plain(dots.origin or "", 60))
    if dots.title:
        sheet.text(16, 28, dots.title, 12, bold=True)
    if not any(one["ys"] for one in dots.series):
        sheet.text(WIDTH / 2, top + 30, "Nothing was measured.", 11, palette.SOFT, "center")
        return sheet.figure
    xs = [x for one in dots.series for x in one["xs"]]
    first, last = min(0.0, *xs), max(xs)
    most = max(y for one in dots.series for y in one["ys"]) or 1.0

    def across(x):
        return LEFT + 6 + (x - first) / ((last - first) or 1) * (WIDTH - RIGHT - LEFT - 12)

    for place, one in enumerate(dots.series):
        ceiling = top + place * (PANEL + GAP)
        floor = ceiling + PANEL
        _grid(sheet, first, last, most, across, ceiling, floor)
        sheet.text(LEFT, ceiling - 10, one["name"], 10.5, COLOURS[place % len(COLOURS)], bold=True)
        _cloud(sheet, one, across, lambda y, floor=floor: floor - 3 - y / most * (PANEL - 14), COLOURS[place % len(COLOURS)])
        for line, note in enumerate(one["notes"]):
            sheet.text(WIDTH - RIGHT + 14, ceiling + 20 + line * 20, note, 10)
    sheet.text(LEFT, floor + 36, f"across: {dots.x}   up: {dots.y}", 9.5, palette.SOFT)
    return sheet.figure


def _cloud(sheet, one, across, up, colour):
    from matplotlib.lines import Line2D

    points = Line2D(
        [across(x) for x in one["xs"]], [up(y) for y in one["ys"]],
        linestyle="none", marker="o", markersize=3.6, markerfacecolor=colour, markeredgewidth=0, alpha=0.65, zorder=3,
    )  # fmt: skip
    sheet.axes.add_artist(points)


def _grid(sheet, first, last, most, across, ceiling, floor):
    sheet.box(LEFT, ceiling, WIDTH - RIGHT - LEFT, floor - ceiling, fill=palette.QUIET, order=0.4)
    for x in _ticks(first, last, 8):
        sheet.line((across(x), across(x)), (ceiling, floor), palette.FAINT, 0.8, order=0.8)
        sheet.text(across(x), floor + 16, f"{x:g}", 9, palette.SOFT, "center")
    for y in _ticks(0, most, 4):
        at = floor - 3 - y / most * (floor - ceiling - 14)
        sheet.line((LEFT, WIDTH - RIGHT), (at, at), palette.FAINT, 0.8, order=0.8)
        sheet.text(LEFT - 8, at + 4, f"{y:g}", 9, palette.SOFT, "right")


def _ticks(low, high, most):
    """At most so many values, steps of 1, 2 or 5 times a power of ten."""
    span, step = high - low, 10.0**-9
    while step * most < span:
        step *= 2 if f"{step:.0e}"[0] in "15" else 2.5
    value = (low // step) * step
    value += step * (value < low)
    found = []
    while value <= high + step * 1e-6 and len(found) <= most:
        found.append(round(value, 9))
        value += step
    return found
