"""Measured numbers side by side: requests a second, wake-ups, connections of each worker.  Built in chapter
22-single-listener-multiple-workers.

The picture has the numbers.  The text has them only where every run gives the same ones (tell="values"); numbers() gives them
at any time.
"""

from . import escape
from .view import View, count

__all__ = ["Bars"]

TELLS = ("names", "values")


class Bars(View):
    """Bars in groups, in the order in which they are added.

    unit  what the numbers count: "requests a second"
    tell  "names": the text says what was measured; "values": it says the numbers, too
    kinds which kinds of bars there are, so that each has its colour (net.hosts: that of the host); by default as they come
    """

    def __init__(self, title=None, unit="", tell="names", origin="", kinds=()):
        if tell not in TELLS:
            raise ValueError(f"tell: expected one of {', '.join(TELLS)}; got {tell!r}")
        self.title, self.unit, self.tell, self.origin = title and escape.plain(title, 120), escape.plain(unit, 60), tell, origin
        self.kinds = [escape.plain(kind, 40) for kind in kinds]
        self.rows = []  # dicts: group, name, value, kind, note

    def bar(self, group, name, value, kind="", note=""):
        """One bar.  Bars of one kind have one colour; the note stands behind the number, in the picture only."""
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
            raise ValueError(f"expected a number of at least 0 for the bar {name!r}, got {value!r}")
        words = {"group": escape.plain(group, 60), "name": escape.plain(name, 40), "kind": escape.plain(kind, 40)}
        self.rows.append({**words, "value": value, "note": escape.plain(note, 60)})
        if words["kind"] not in self.kinds:
            self.kinds.append(words["kind"])
        return self

    @property
    def groups(self):
        return list(dict.fromkeys(row["group"] for row in self.rows))

    def of(self, group):
        """{name: value} of one group."""
        return {row["name"]: row["value"] for row in self.rows if row["group"] == group}

    def to_record(self):
        """Everything as plain data for JSON."""
        rows = [dict(row) for row in self.rows]
        return {"title": self.title, "unit": self.unit, "tell": self.tell, "kinds": list(self.kinds), "rows": rows}

    @classmethod
    def from_record(cls, record, origin="recorded"):
        """The Bars that `to_record` described."""
        if not isinstance(record, dict) or not isinstance(record.get("rows"), list):
            raise ValueError(f"expected a record as Bars.to_record() gives it, got {type(record).__name__}")
        bars = cls(record["title"], record["unit"], record["tell"], origin, record["kinds"])
        bars.rows = [dict(row) for row in record["rows"]]
        return bars

    def numbers(self):
        """All of it as a table in text, numbers included."""
        return self._table(True)

    def summary(self):
        """What was measured, and of how many."""
        if not self.rows:
            return "Nothing was measured."
        groups = [group for group in self.groups if group]
        where = f" in {count(len(groups), 'group')}" if len(groups) > 1 else ""
        unit = f": {self.unit}" if self.unit else ""
        return f"Each of the {count(len(self.rows), 'bar')}{where} is a number measured here{unit}."

    @property
    def text(self):
        return self._table(self.tell == "values")

    def _table(self, values):
        lines = [self.title, ""] if self.title else []
        if not self.rows:
            return "\n".join([*lines, "Nothing was measured."])
        wide = max(len(row["name"]) for row in self.rows)
        for group in self.groups:
            mine = [row for row in self.rows if row["group"] == group]
            if not values:
                lines.append(f"{group + ': ' if group else ''}{', '.join(row['name'] for row in mine)}")
                continue
            lines += [group] if group else []
            lines += [f"  {row['name'].ljust(wide)}  {tell(row['value']):>9}" for row in mine]
        return "\n".join(lines)

    def figure(self):
        """The bars as a matplotlib Figure."""
        from .bars_figure import draw

        return draw(self)


def tell(value):
    """As many digits as mean something: 4,176, 20.5, 0.04."""
    if value == int(value) or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2g}"
