"""One or several values as they rise and fall: a queue, a buffer, a window.  Built in chapter
18-how-the-backend-accepts-connections.

A value is a level that holds until the next one; `capacity` is the line that it should not cross, or does.
"""

import time

from . import escape
from .view import View
from .watch import Watch

__all__ = ["Gauge"]

TELLS = ("levels", "verdict")


class Gauge(View):
    """Levels over time, or from step to step where each is noted with `what` happened.

    capacity  a number, or {name: number}: a dashed line, and what the verdict compares with
    unit      "connections", "bytes"; stands at the axis
    tell      "levels": the text lists every level in order (for an experiment that runs step by step);
              "verdict": it says where each value starts and ends, and the most that it reached
    """

    def __init__(self, title=None, capacity=None, unit="", tell="levels", origin=""):
        if tell not in TELLS:
            raise ValueError(f"tell: expected one of {', '.join(TELLS)}; got {tell!r}")
        self.title, self.origin, self.tell = title and escape.plain(title, 120), origin, tell
        self.capacity = dict(capacity) if isinstance(capacity, dict) else capacity
        self.unit = escape.plain(unit, 40)
        self.readings = []  # dicts: name, value, at (ns), what

    def level(self, name, value, at=None, what=""):
        """`name` has this value from `at` on (ns; None: from now on); `what` says what happened, where steps count."""
        if not isinstance(value, (int, float)):
            raise TypeError(f"expected a number for the level of {name!r}, got {value!r}")
        at = time.time_ns() if at is None else at
        self.readings.append({"name": escape.plain(name, 40), "value": value, "at": at, "what": escape.plain(what, 60)})
        return self

    def watch(self, read, every=0.001):
        """`with gauge.watch(read):` calls read() again and again; it gives {name: value}, and each new value is a level."""
        return Watch(read, self.level, every)

    @property
    def names(self):
        return list(dict.fromkeys(reading["name"] for reading in self.readings))

    def values(self, name=None):
        """The levels of one value (default: the first), in order."""
        name = name or (self.names or [""])[0]
        return [reading["value"] for reading in self.readings if reading["name"] == name]

    def limit(self, name):
        """The capacity of one value, or None."""
        return self.capacity.get(name) if isinstance(self.capacity, dict) else self.capacity

    @property
    def stepped(self):
        """True if every level was noted with what happened: then steps, not times, lie along the axis."""
        return bool(self.readings) and all(reading["what"] for reading in self.readings)

    def to_record(self):
        """Everything as plain data for JSON, times counted from the first level."""
        zero = min((reading["at"] for reading in self.readings), default=0)
        capacity = [[name, limit] for name, limit in self.capacity.items()] if isinstance(self.capacity, dict) else self.capacity
        readings = [reading | {"at": reading["at"] - zero} for reading in self.readings]
        return {"title": self.title, "capacity": capacity, "unit": self.unit, "tell": self.tell, "readings": readings}

    @classmethod
    def from_record(cls, record, origin="recorded"):
        """The Gauge that `to_record` described."""
        if not isinstance(record, dict) or not isinstance(record.get("readings"), list):
            raise ValueError(f"expected a record as Gauge.to_record() gives it, got {type(record).__name__}")
        capacity = record["capacity"]
        capacity = {name: limit for name, limit in capacity} if isinstance(capacity, list) else capacity
        gauge = cls(record["title"], capacity, record["unit"], record["tell"], origin)
        gauge.readings = [dict(reading) for reading in record["readings"]]
        return gauge

    def verdict(self, name):
        """ "starts at 0, reaches 3, ends at 2; the capacity is 2"."""
        values, limit = self.values(name), self.limit(name)
        words = f"starts at {values[0]:,}, reaches {max(values):,}, ends at {values[-1]:,}"
        return words if limit is None else f"{words}; capacity {limit:,}"

    def summary(self):
        """The verdict on every value."""
        if not self.readings:
            return "Nothing was measured."
        told = "; ".join(f"{name} {self.verdict(name)}" for name in self.names)
        return f"{told[:1].upper()}{told[1:]}."

    @property
    def text(self):
        """The levels in order, as a table where steps are named; or the verdict.  No times."""
        heading = [self.title, ""] if self.title else []
        if not self.readings:
            return "\n".join([*heading, "Nothing was measured."])
        if self.tell == "verdict":
            return "\n".join([*heading, *(f"{name}: {self.verdict(name)}" for name in self.names)])
        if not self.stepped:
            lines = []
            for name in self.names:
                values = self.values(name)
                path = [value for at, value in enumerate(values) if at == 0 or value != values[at - 1]]
                lines.append(f"{name}: {' → '.join(f'{value:,}' for value in path)}" + self._limit_words(name))
            return "\n".join([*heading, *lines])
        steps = list(dict.fromkeys(reading["what"] for reading in self.readings))
        rows = [("", *(f"{name}{self._limit_words(name)}" for name in self.names))]
        for what in steps:
            found = {reading["name"]: reading["value"] for reading in self.readings if reading["what"] == what}
            rows.append((what, *(f"{found[name]:,}" if name in found else "" for name in self.names)))
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        return "\n".join([*heading, *("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)])

    def _limit_words(self, name):
        limit = self.limit(name)
        return "" if limit is None else f" (capacity {limit:,})"

    def figure(self):
        """The levels as a matplotlib Figure."""
        from .gauge_figure import draw

        return draw(self)
