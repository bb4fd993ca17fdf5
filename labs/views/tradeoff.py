"""Two costs against each other: each way to do a thing is a point, and low on both axes is good.  Built in chapter 02-polling.

Both axes are logarithmic: what counts is by which factor one way is cheaper than another.
"""

from collections.abc import Iterable
from typing import Any, Self

from labs.tables import count, number

from . import escape, palette
from .axis import factors
from .draw import WIDTH, Figure, Sheet
from .view import View

__all__ = ["Tradeoff"]

LEFT, RIGHT, TOP, FLOOR, BOTTOM = 76, 626, 84, 404, 66  # pixels: the panel, and what lies below it
ROW, COLUMN = 30, 78  # of the table


class Tradeoff(View):
    """Points with direct labels, and a table of their numbers beside them.

    x, y  what the axes count, with the unit: "bytes on the wire", "staleness, ms"
    The text names the points and says which of them are beaten; the numbers, which vary, are in the picture.
    """

    def __init__(self, title: str, x: str, y: str, origin: str = ""):
        super().__init__(title, origin)
        self.x, self.y = escape.plain(x, 60), escape.plain(y, 60)
        self.points = []  # dicts: name, x, y (their mean), each (every y measured), series, columns

    def point(self, name: str, x: float, y: float | Iterable[float], series: int = 0, **columns: float) -> Self:
        """Add a point; y is a number, or several, of which the mean counts and each is drawn.

        Points of one series have one colour and are joined, in the order in which they come.  columns: more for the table.
        """
        each = [float(one) for one in (y if isinstance(y, Iterable) else [y])]
        if not each or not all(0 < one < float("inf") for one in (x, *each)):
            raise ValueError(f"expected numbers above 0, as a logarithmic axis has no place for others; got {x!r} and {y!r}")
        self.points.append(
            {
                "name": escape.plain(name, 40), "x": float(x), "y": sum(each) / len(each), "each": each, "series": int(series),
                "columns": {escape.plain(key.replace("_", " "), 20): value for key, value in columns.items()},
            }
        )  # fmt: skip
        return self

    def front(self) -> list[str]:
        """The names of the points that no other point beats on one axis without losing on the other."""
        beats = lambda two, one: two["x"] <= one["x"] and two["y"] <= one["y"] and (two["x"], two["y"]) != (one["x"], one["y"])
        return [one["name"] for one in self.points if not any(beats(two, one) for two in self.points)]

    def summary(self) -> str:
        """Which points are best."""
        if not self.points:
            return self.empty
        best, all_of = self.front(), count(len(self.points), "way")
        if len(best) == 1:
            return f"Of {all_of}, “{best[0]}” is lowest on both axes."
        return f"Of {all_of}, none is lowest on both axes."

    @property
    def text(self) -> str:
        """The axes and the names of the points.  No numbers."""
        return self.page([f"{self.y} against {self.x}", ", ".join(point["name"] for point in self.points) or self.empty])

    def figure(self) -> Figure:
        """Two logarithmic axes with the points, and on the right their numbers."""
        sheet = Sheet(FLOOR + BOTTOM, origin=self.origin, title=self.title)
        if not self.points:
            return sheet.nothing(self.empty)
        axes = sheet.panel(LEFT, TOP, RIGHT, FLOOR, xscale="log", yscale="log")
        factors(axes.xaxis, [point["x"] for point in self.points])
        factors(axes.yaxis, [one for point in self.points for one in point["each"]])
        sheet.text(16, TOP - 16, self.y)
        sheet.text(RIGHT, FLOOR + 40, self.x, align="right")
        series = {point["series"]: [] for point in self.points}
        for point in self.points:
            series[point["series"]].append(point)
        for index, points in series.items():
            colour = palette.host_colour(index)
            xs, ys = ([point[axis] for point in points] for axis in "xy")
            edge: dict[str, Any] = {"markersize": 8.4, "markeredgecolor": palette.PAPER, "markeredgewidth": 1.2}
            axes.plot(xs, ys, "o-", color=colour, linewidth=1.2, solid_capstyle="butt", clip_on=False, zorder=4, **edge)
            every = [(point["x"], one) for point in points if len(point["each"]) > 1 for one in point["each"]]
            axes.plot(*zip(*every), "s", color=palette.tint(colour, 0.6), markersize=2.8, zorder=3) if every else None
        self._name(sheet, axes)
        self._table(sheet)
        return sheet.figure

    def _name(self, sheet, axes):
        """Each name at the upper right of its point, or where nothing else is."""
        places = [(point, *sheet.pixel(axes, point["x"], point["y"])) for point in self.points]
        taken = [(x - 6, x + 6, y - 6, y + 6) for _, x, y in places]  # (left, right, top, bottom) of what no name may cover
        for point, x, y in places:
            width = sheet.measure(point["name"], bold=True)
            for left, base in ((x + 10, y - 8), (x - 10 - width, y + 18), (x - width / 2, y + 24), (x - width / 2, y - 14)):
                box = (left - 2, left + width + 2, base - 12, base + 4)
                free = not any(box[0] < b and a < box[1] and box[2] < d and c < box[3] for a, b, c, d in taken)
                if free and LEFT < box[0] and box[1] < RIGHT:
                    break
            taken.append(box)
            sheet.text(left, base, point["name"], colour=palette.host_colour(point["series"]), bold=True, ground=palette.PAPER)

    def _table(self, sheet):
        heads = dict.fromkeys(key for point in self.points for key in point["columns"])
        rows = [[point["columns"].get(head) for head in heads] + [point["x"], point["y"]] for point in self.points]
        cells = [["" if value is None else number(value) for value in row] for row in rows]
        left, right = RIGHT + 44, WIDTH - 20
        at = right
        for head, *column in reversed([*zip([*heads, self.x, self.y], *cells)]):
            lines = sheet.wrap(head, COLUMN - 8, 9, rows=3)
            for line, words in enumerate(lines):
                sheet.text(at, TOP + 34 - (len(lines) - 1 - line) * 14, words, 9, palette.SOFT, "right")
            for row, words in enumerate(column):
                sheet.text(at, TOP + 66 + row * ROW, words, align="right")
            at -= max(COLUMN, *(sheet.measure(words) + 16 for words in column))
        for row, point in enumerate(self.points):
            if row % 2 == 0:
                sheet.box(left - 10, TOP + 46 + row * ROW, right - left + 20, ROW, fill=palette.QUIET, order=0.5)
            sheet.text(left, TOP + 66 + row * ROW, point["name"], colour=palette.host_colour(point["series"]), bold=True)
