"""How bars are drawn: they lie, so that their names can be read; all groups share one scale."""

from . import escape, palette
from .bars import tell
from .draw import WIDTH, Sheet

__all__ = ["draw"]

LEFT, RIGHT = 210, 330  # room for the names, and for numbers and notes
ROW, BAR, HEAD = 25, 16, 32  # pixels: a row, a bar, the name of a group


def draw(bars):
    """The figure of `Bars`."""
    top = 54 if bars.title else 22
    groups = bars.groups
    height = sum((HEAD if group else 8) for group in groups) + ROW * len(bars.rows)
    sheet = Sheet(top + max(height, 60) + 34, origin=escape.plain(bars.origin or "", 60))
    if bars.title:
        sheet.text(16, 28, bars.title, 12, bold=True)
    if not bars.rows:
        sheet.text(WIDTH / 2, top + 30, "Nothing was measured.", 11, palette.SOFT, "center")
        return sheet.figure
    most = max(row["value"] for row in bars.rows) or 1
    y = top
    for place, group in enumerate(groups):
        mine = [row for row in bars.rows if row["group"] == group]
        head = HEAD if group else 8
        if place % 2 == 0:
            sheet.box(0, y, WIDTH, head + ROW * len(mine), fill=palette.QUIET, order=0.4)
        if group:
            sheet.text(16, y + 22, group, 10.5, bold=True)
        for at, row in enumerate(mine):
            _bar(sheet, row, y + head + at * ROW, most, palette.host_colour(bars.kinds.index(row["kind"])))
        sheet.line((LEFT, LEFT), (y + head, y + head + ROW * len(mine)), palette.INK, 1.0, order=4)
        y += head + ROW * len(mine)
    if bars.unit:
        sheet.text(LEFT, y + 20, bars.unit, 9.5, palette.SOFT)
    return sheet.figure


def _bar(sheet, row, y, most, colour):
    middle = y + ROW / 2
    long = (WIDTH - RIGHT - LEFT) * row["value"] / most
    sheet.text(LEFT - 12, middle + 4, sheet.fit(row["name"], LEFT - 30, 10), 10, align="right")
    if row["value"]:
        sheet.box(LEFT, middle - BAR / 2, max(long, 2), BAR, fill=colour, order=3)
    number = tell(row["value"])
    x = LEFT + long + 8
    sheet.text(x, middle + 4, number, 10, bold=True)
    if row["note"]:
        x += sheet.measure(number, 10, bold=True) + 10
        sheet.text(x, middle + 4, sheet.fit(row["note"], WIDTH - 10 - x, 9.5), 9.5, palette.SOFT)
