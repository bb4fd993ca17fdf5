"""A dot for every single measurement: when it was made, and what it was.  Built in chapter
22-single-listener-multiple-workers.

A mean or a percentile hides what a cloud of dots shows.  Each series has a panel of its own; all panels share both scales.
"""

from . import escape
from .view import View, count

__all__ = ["Dots"]


class Dots(View):
    """Series of dots (x, y), one panel each, in the order in which they are added; `x` and `y` say what is along the axes."""

    def __init__(self, title=None, x="s", y="ms", origin=""):
        self.title, self.origin = title and escape.plain(title, 120), origin
        self.x, self.y = escape.plain(x, 60), escape.plain(y, 60)
        self.series = []  # dicts: name, xs, ys, notes

    def add(self, name, xs, ys, *notes):
        """A series.  Notes stand beside it, in the picture only: numbers such as its percentiles."""
        xs, ys = [float(x) for x in xs], [float(y) for y in ys]
        if len(xs) != len(ys):
            raise ValueError(f"expected as many xs as ys for {name!r}, got {len(xs)} and {len(ys)}")
        notes = [escape.plain(note, 40) for note in notes]
        self.series.append({"name": escape.plain(name, 60), "xs": xs, "ys": ys, "notes": notes})
        return self

    def to_record(self):
        """Everything as plain data for JSON."""
        return {"title": self.title, "x": self.x, "y": self.y, "series": [dict(one) for one in self.series]}

    @classmethod
    def from_record(cls, record, origin="recorded"):
        """The Dots that `to_record` described."""
        if not isinstance(record, dict) or not isinstance(record.get("series"), list):
            raise ValueError(f"expected a record as Dots.to_record() gives it, got {type(record).__name__}")
        dots = cls(record["title"], record["x"], record["y"], origin)
        dots.series = [dict(one) for one in record["series"]]
        return dots

    def numbers(self):
        """The series as text, with how many dots each has, its extent and its notes."""
        lines = []
        for one in self.series:
            told = [count(len(one["ys"]), "dot")]
            if one["ys"]:
                told.append(f"{min(one['ys']):.3g} to {max(one['ys']):.3g} {self.y}")
            lines.append(f"{one['name']}: {', '.join([*told, *one['notes']])}")
        return "\n".join(lines) or "Nothing was measured."

    def summary(self):
        """What each dot is."""
        if not self.series:
            return "Nothing was measured."
        return f"{count(len(self.series), 'panel')} on one scale; each dot is one measurement. Across: {self.x}; up: {self.y}."

    @property
    def text(self):
        heading = [self.title, ""] if self.title else []
        return "\n".join([*heading, *([one["name"] for one in self.series] or ["Nothing was measured."])])

    def figure(self):
        """The panels as a matplotlib Figure."""
        from .dots_figure import draw

        return draw(self)
