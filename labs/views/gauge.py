"""One or several values as they rise and fall: a queue, a buffer, a window.  Built in chapter
18-how-the-backend-accepts-connections.

A value is a level that holds until the next one; `capacity` is the line that it should not cross, or does.
"""

import time
from collections.abc import Callable
from itertools import groupby
from math import isfinite
from typing import Any, Self

from labs.tables import columns

from . import escape, palette
from .axis import numbers, time_in
from .draw import WIDTH, Figure, Sheet
from .view import Noted
from .watch import Watch

__all__ = ["Gauge"]

TELLS = ("levels", "verdict")
LEFT, RIGHT, HEIGHT = 74, 190, 190  # pixels: room at the sides, height of the panel
COLOURS = (palette.HOSTS[2], palette.HOSTS[0], palette.HOSTS[3], palette.HOSTS[1])


class Gauge(Noted):
    """Levels over time, or from step to step where each is noted with `what` happened.

    capacity  a number, or {name: number}: a dashed line, and what the verdict compares with
    unit      "connections", "bytes"; stands at the axis
    tell      "levels": the text lists every level in order (for an experiment that runs step by step);
              "verdict": it says where each value starts and ends, and the most that it reached
    """

    kept = ("title", "capacity", "unit", "tell", "readings")

    def __init__(
        self, title: str | None = None, capacity: float | dict[str, float] | None = None, unit: str = "",
        tell: str = "levels", origin: str = "",
    ):  # fmt: skip
        if tell not in TELLS:
            raise ValueError(f"tell: expected one of {', '.join(TELLS)}; got {tell!r}")
        super().__init__(title, origin)
        self.capacity: Any = [list(pair) for pair in capacity.items()] if isinstance(capacity, dict) else capacity
        self.unit, self.tell = escape.plain(unit, 40), tell
        self.readings = []  # dicts: name, value, at (ns), what

    def level(self, name: str, value: float, at: int | None = None, what: str = "") -> Self:
        """`name` has this value from `at` on (ns; None: from now on); `what` says what happened, where steps count."""
        if not isinstance(value, (int, float)) or not isfinite(value):
            raise TypeError(f"expected a number for the level of {name!r}, got {value!r}")
        at = time.time_ns() if at is None else at
        self.readings.append({"name": escape.plain(name, 40), "value": value, "at": at, "what": escape.plain(what, 60)})
        return self

    def watch(self, read: Callable[[], dict[str, float]], every: float = 0.001) -> Watch:
        """`with gauge.watch(read):` calls read() again and again; it gives {name: value}, and each new value is a level."""
        return Watch(read, self.level, every)

    @property
    def names(self) -> list[str]:
        """What has levels, in the order of its first."""
        return list(dict.fromkeys(reading["name"] for reading in self.readings))

    @property
    def steps(self) -> list[str]:
        """What happened, if every level was noted with it: then steps, not times, lie along the axis."""
        return list(dict.fromkeys(reading["what"] for reading in self.readings)) if all(r["what"] for r in self.readings) else []

    def values(self, name: str | None = None) -> list[float]:
        """The levels of one value (default: the first), in order."""
        name = name or (self.names or [""])[0]
        return [reading["value"] for reading in self.readings if reading["name"] == name]

    def limit(self, name: str) -> float | None:
        """The capacity of one value, or None."""
        if isinstance(self.capacity, list):
            return next((most for one, most in self.capacity if one == name), None)
        return self.capacity

    def to_record(self) -> dict:
        """Everything as plain data for JSON, times counted from the first level."""
        record = super().to_record()
        zero = min((reading["at"] for reading in self.readings), default=0)
        for reading in record["readings"]:
            reading["at"] -= zero
        return record

    def verdict(self, name: str) -> str:
        """ "starts at 0, reaches 3, ends at 2; capacity 2"."""
        values, limit = self.values(name), self.limit(name)
        words = f"starts at {values[0]:,}, reaches {max(values):,}, ends at {values[-1]:,}"
        return words if limit is None else f"{words}; capacity {limit:,}"

    def summary(self) -> str:
        """The verdict on every value."""
        told = "; ".join(f"{name} {self.verdict(name)}" for name in self.names)
        return f"{told[:1].upper()}{told[1:]}." if told else self.empty

    @property
    def text(self) -> str:
        """The levels in order, as a table where steps are named; or the verdict.  No times."""
        if not self.readings:
            return self.page([self.empty])
        if self.tell == "verdict":
            return self.page([f"{name}: {self.verdict(name)}" for name in self.names])
        limits = {name: "" if self.limit(name) is None else f" (capacity {self.limit(name):,})" for name in self.names}
        if not self.steps:
            paths = {name: [f"{value:,}" for value, _ in groupby(self.values(name))] for name in self.names}
            return self.page([f"{name}: {' → '.join(path)}{limits[name]}" for name, path in paths.items()])
        found = {(reading["what"], reading["name"]): f"{reading['value']:,}" for reading in self.readings}
        rows = [[what, *(found.get((what, name), "") for name in self.names)] for what in self.steps]
        return self.page(columns([["", *map("".join, limits.items())], *rows]))

    def figure(self) -> Figure:
        """A step line for each value, a dashed one for each capacity."""
        top = 62 if self.title else 30
        floor, right, steps = top + HEIGHT, WIDTH - RIGHT, self.steps
        sheet = Sheet(floor + (62 if steps else 48), origin=self.origin, title=self.title)
        if not self.readings:
            return sheet.nothing(self.empty)
        limits = {limit for name in self.names if (limit := self.limit(name)) is not None}
        values = [reading["value"] for reading in self.readings]
        times = [reading["at"] for reading in self.readings]
        begin, end = min(times), len(steps) or max(max(times) - min(times), 1)
        most = max(1, *limits, *values)
        axes = sheet.panel(LEFT, top, right, floor, xlim=(0, end), ylim=(min(0, *values), most * HEIGHT / (HEIGHT - 16)))
        numbers(axes.yaxis, 6, whole=all(value == int(value) for value in values))
        sheet.text(16, top + 4, self.unit, 9, palette.SOFT)
        numbers(axes.xaxis, 10, whole=True, words=time_in(end))
        if steps:
            _below(sheet, axes, floor, steps)
        told = []  # what stands in the right margin: height, words, colour, bold
        for limit in limits:
            axes.axhline(limit, color=palette.ALARM, linewidth=1.4, dashes=(5, 3), zorder=5)
            told.append((limit, f"capacity {limit:,}", palette.ALARM, False))
        for index, name in enumerate(self.names):
            mine = [reading for reading in self.readings if reading["name"] == name]
            xs = [steps.index(reading["what"]) if steps else reading["at"] - begin for reading in mine] + [end]
            ys = [reading["value"] for reading in mine] + [mine[-1]["value"]]
            colour, alone = COLOURS[index % len(COLOURS)], len(self.names) == 1
            width = 2.4 if alone else max(5.4 - 2.6 * index, 1.6)  # equal levels: the thinner lies on the wider line
            axes.step(xs, ys, where="post", color=colour, linewidth=width, solid_capstyle="butt", clip_on=False, zorder=4)
            if alone:
                axes.fill_between(xs, ys, step="post", color=palette.tint(colour, 0.2), linewidth=0, zorder=1)
            told.append((ys[-1], f"{name}: {ys[-1]:,}", colour, True))
        _beside(sheet, axes, right + 8, told)
        return sheet.figure


def _below(sheet, axes, floor, steps):
    """What happened at each step, instead of numbers."""
    axes.set_xticks([])
    room = (WIDTH - RIGHT - LEFT) / len(steps)
    for at, what in enumerate(steps):
        for line, words in enumerate(sheet.wrap(what, room - 8, 9)):
            sheet.text(LEFT + at * room + 4, floor + 17 + line * 15, words, 9, palette.SOFT)


def _beside(sheet, axes, x, told):
    """Words beside the heights of a panel that they tell of, one below the other where they would meet."""
    lowest = 0
    for value, words, colour, bold in sorted(told, reverse=True):
        lowest = max(sheet.pixel(axes, 0, value)[1] + 4, lowest + 17)
        sheet.text(x, lowest, sheet.fit(words, WIDTH - 8 - x, 9.5, bold), 9.5, colour, bold=bold)
