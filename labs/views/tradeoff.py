"""Two costs against each other: each way to do a thing is a point, and low on both axes is good.  Built in chapter 02-polling.

Both axes are logarithmic: what counts is by which factor one way is cheaper than another.
"""

from . import escape
from .view import View, count

__all__ = ["Tradeoff"]


class Tradeoff(View):
    """Points with direct labels, and a table of their numbers beside them.

    x, y  what the axes count, with the unit: "bytes on the wire", "staleness, ms"
    The text names the points and says which of them are beaten; the numbers, which vary, are in the picture.
    """

    def __init__(self, title, x, y, origin=""):
        self.title, self.origin = escape.plain(title, 120), origin
        self.x, self.y = escape.plain(x, 60), escape.plain(y, 60)
        self.points = []  # dicts: name, x, y (their mean), each (every y measured), series, columns

    def point(self, name, x, y, series=0, **columns):
        """Add a point; y is a number, or several, of which the mean counts and each is drawn.

        Points of one series have one colour and are joined, in the order in which they come.  columns: more for the table.
        """
        each = [float(one) for one in (y if isinstance(y, (list, tuple)) else [y])]
        if not each or not x > 0 or not all(one > 0 for one in each):
            raise ValueError(f"expected numbers above 0, as a logarithmic axis has no place for others; got {x!r} and {y!r}")
        self.points.append(
            {
                "name": escape.plain(name, 40), "x": float(x), "y": sum(each) / len(each), "each": each, "series": int(series),
                "columns": {escape.plain(key.replace("_", " "), 20): value for key, value in columns.items()},
            }
        )  # fmt: skip
        return self

    def front(self):
        """The names of the points that no other point beats on one axis without losing on the other."""
        return [
            one["name"]
            for one in self.points
            if not any(
                two["x"] <= one["x"] and two["y"] <= one["y"] and (two["x"] < one["x"] or two["y"] < one["y"])
                for two in self.points
            )
        ]

    def summary(self):
        """Which points are best."""
        if not self.points:
            return "Nothing was measured."
        best, all_of = self.front(), count(len(self.points), "way")
        if len(best) == 1:
            return f"Of {all_of}, “{best[0]}” is lowest on both axes."
        return f"Of {all_of}, none is lowest on both axes."

    @property
    def text(self):
        """The axes and the names of the points.  No numbers."""
        names = ", ".join(point["name"] for point in self.points) or "Nothing was measured."
        return f"{self.title}\n\n{self.y} against {self.x}\n{names}"

    def figure(self):
        """The points and the table as a matplotlib Figure."""
        from .tradeoff_figure import draw

        return draw(self)
