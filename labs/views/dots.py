"""A dot for every single measurement: when it was made, and what it was.  Built in chapter
22-single-listener-multiple-workers.

A mean or a percentile hides what a cloud of dots shows.  Each series has a panel of its own; all panels share both scales.
"""

from collections.abc import Iterable
from math import isfinite
from typing import Self

from labs.tables import count

from . import escape, palette
from .axis import numbers
from .draw import WIDTH, Figure, Sheet
from .view import View

__all__ = ["Dots"]

LEFT, RIGHT, PANEL, GAP = 74, 190, 150, 58  # pixels: room at the sides, height of a panel, space between two


class Dots(View):
    """Series of dots (x, y), one panel each, in the order in which they are added; `x` and `y` say what is along the axes."""

    def __init__(self, title: str | None = None, x: str = "s", y: str = "ms", origin: str = ""):
        super().__init__(title, origin)
        self.x, self.y = escape.plain(x, 60), escape.plain(y, 60)
        self.series = []  # dicts: name, xs, ys, notes

    def add(self, name: str, xs: Iterable[float], ys: Iterable[float], *notes: str) -> Self:
        """A series.  Notes stand beside it, in the picture only: numbers such as its percentiles."""
        xs, ys = [float(x) for x in xs], [float(y) for y in ys]
        if len(xs) != len(ys):
            raise ValueError(f"expected as many xs as ys for {name!r}, got {len(xs)} and {len(ys)}")
        if strange := [value for value in xs + ys if not isfinite(value)]:
            raise ValueError(f"expected finite numbers for {name!r}, as an axis has no place for others; got {strange[0]}")
        self.series.append(
            {"name": escape.plain(name, 60), "xs": xs, "ys": ys, "notes": [escape.plain(note, 40) for note in notes]}
        )
        return self

    def numbers(self) -> str:
        """The series as text, with how many dots each has, its extent and its notes."""
        lines = []
        for one in self.series:
            told = [count(len(one["ys"]), "dot")]
            if one["ys"]:
                told.append(f"{min(one['ys']):.3g} to {max(one['ys']):.3g} {self.y}")
            lines.append(f"{one['name']}: {', '.join([*told, *one['notes']])}")
        return "\n".join(lines) or self.empty

    def summary(self) -> str:
        """What each dot is."""
        if not self.series:
            return self.empty
        return f"{count(len(self.series), 'panel')} on one scale; each dot is one measurement. Across: {self.x}; up: {self.y}."

    @property
    def text(self) -> str:
        """The names of the series."""
        return self.page([one["name"] for one in self.series] or [self.empty])

    def figure(self) -> Figure:
        """A panel for each series, one above the other."""
        top = 76 if self.title else 46
        high = len(self.series) * (PANEL + GAP) - GAP
        sheet = Sheet(top + max(high, 60) + 56, origin=self.origin, title=self.title)
        if not any(one["ys"] for one in self.series):
            return sheet.nothing(self.empty)
        xs, ys = ([value for one in self.series for value in one[name]] for name in ("xs", "ys"))
        first, last, low, most = min(0.0, *xs), max(0.0, *xs), min(0.0, *ys), max(0.0, *ys)
        wide, tall = last - first or 1.0, most - low or 1.0
        for place, one in enumerate(self.series):
            ceiling, colour = top + place * (PANEL + GAP), palette.HOSTS[place % 4]
            floor = ceiling + PANEL
            axes = sheet.panel(LEFT, ceiling, WIDTH - RIGHT, floor, facecolor=palette.QUIET)
            axes.set(xlim=(first - 0.008 * wide, last + 0.008 * wide), ylim=(low - 0.025 * tall, low + 1.08 * tall))
            numbers(axes.xaxis, 8)
            numbers(axes.yaxis, 4)
            axes.plot(one["xs"], one["ys"], "o", color=colour, markersize=3.6, markeredgewidth=0, alpha=0.65)
            sheet.text(LEFT, ceiling - 10, one["name"], 10.5, colour, bold=True)
            for line, note in enumerate(one["notes"]):
                sheet.text(WIDTH - RIGHT + 14, ceiling + 20 + line * 20, sheet.fit(note, RIGHT - 24))
        sheet.text(LEFT, floor + 36, f"across: {self.x}   up: {self.y}", 9.5, palette.SOFT)
        return sheet.figure
