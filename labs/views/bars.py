"""Measured numbers side by side: requests a second, wake-ups, connections of each worker.  Built in chapter
22-single-listener-multiple-workers.

The picture has the numbers.  The text has them only where every run gives the same ones (tell="values"); numbers() gives them
at any time.
"""

from collections.abc import Iterable
from typing import Self

from labs.tables import columns, count, number

from . import escape, palette
from .draw import WIDTH, Figure, Sheet
from .view import View

__all__ = ["Bars"]

TELLS = ("names", "values")
LEFT, RIGHT = 210, 330  # pixels: room for the names, and for numbers and notes
ROW, BAR, HEAD = 25, 16, 32  # a row, a bar, the name of a group


class Bars(View):
    """Bars in groups, in the order in which they are added.

    unit  what the numbers count: "requests a second"
    tell  "names": the text says what was measured; "values": it says the numbers, too
    kinds which kinds of bars there are, so that each has its colour (net.hosts: that of the host); by default as they come
    """

    def __init__(
        self, title: str | None = None, unit: str = "", tell: str = "names", origin: str = "", kinds: Iterable[str] = ()
    ):
        if tell not in TELLS:
            raise ValueError(f"tell: expected one of {', '.join(TELLS)}; got {tell!r}")
        super().__init__(title, origin)
        self.unit, self.tell = escape.plain(unit, 60), tell
        self.kinds = [escape.plain(kind, 40) for kind in kinds]
        self.rows = []  # dicts: group, name, value, kind, note

    def bar(self, group: str, name: str, value: float, kind: str = "", note: str = "") -> Self:
        """One bar.  Bars of one kind have one colour; the note stands behind the number, in the picture only."""
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
            raise ValueError(f"expected a number of at least 0 for the bar {name!r}, got {value!r}")
        words = {"group": escape.plain(group, 60), "name": escape.plain(name, 40), "kind": escape.plain(kind, 40)}
        self.rows.append({**words, "value": value, "note": escape.plain(note, 60)})
        if words["kind"] not in self.kinds:
            self.kinds.append(words["kind"])
        return self

    @property
    def groups(self) -> dict[str, list[dict]]:
        """{group: its rows}."""
        groups = {}
        for row in self.rows:
            groups.setdefault(row["group"], []).append(row)
        return groups

    def numbers(self) -> str:
        """All of it as a table in text, numbers included."""
        rows = [row for mine in self.groups.values() for row in mine]
        lines, told = iter(columns([(row["name"], f"{number(row['value']):>9}") for row in rows])), []
        for group, mine in self.groups.items():
            told += [group] * bool(group) + [f"  {next(lines)}" for _ in mine]
        return self.page(told or [self.empty])

    def summary(self) -> str:
        """What was measured, and of how many."""
        if not self.rows:
            return self.empty
        groups = [group for group in self.groups if group]
        where = f" in {count(len(groups), 'group')}" if len(groups) > 1 else ""
        unit = f": {self.unit}" if self.unit else ""
        return f"Each of the {count(len(self.rows), 'bar')}{where} is a number measured here{unit}."

    @property
    def text(self) -> str:
        """The names of the bars; or, with tell="values", numbers()."""
        if self.tell == "values":
            return self.numbers()
        told = [f"{group}{': ' * bool(group)}{', '.join(row['name'] for row in mine)}" for group, mine in self.groups.items()]
        return self.page(told or [self.empty])

    def figure(self) -> Figure:
        """The bars lie, so that their names can be read; all groups share one scale."""
        top = 54 if self.title else 22
        high = sum((HEAD if group else 8) + ROW * len(mine) for group, mine in self.groups.items())
        sheet = Sheet(top + max(high, 60) + 34, origin=self.origin, title=self.title)
        if not self.rows:
            return sheet.nothing(self.empty)
        pixel = (max(row["value"] for row in self.rows) or 1) / (WIDTH - RIGHT - LEFT)
        across = -LEFT * pixel, (WIDTH - LEFT) * pixel
        axes = sheet.panel(0, top, WIDTH, top + high, xlim=across, ylim=(top + high, top), xticks=[], yticks=[])
        y = top
        for place, (group, mine) in enumerate(self.groups.items()):
            first = y + (HEAD if group else 8)
            floor = first + ROW * len(mine)
            if place % 2 == 0:
                axes.axhspan(y, floor, color=palette.QUIET, linewidth=0)
            sheet.text(16, y + 22, group, 10.5, bold=True)
            for at, row in enumerate(mine):
                middle, colour = first + (at + 0.5) * ROW, palette.host_colour(self.kinds.index(row["kind"]))
                axes.barh(middle, row["value"] and max(row["value"], 2 * pixel), BAR, color=colour)
                sheet.text(LEFT - 12, middle + 4, sheet.fit(row["name"], LEFT - 30), align="right")
                _tell(sheet, LEFT + row["value"] / pixel + 8, middle + 4, row)
            sheet.line((LEFT, LEFT), (first, floor))
            y = floor
        sheet.text(LEFT, y + 20, self.unit, 9.5, palette.SOFT)
        return sheet.figure


def _tell(sheet, x, y, row):
    """The number behind a bar, and its note."""
    told = number(row["value"])
    sheet.text(x, y, told, bold=True)
    x += sheet.measure(told, bold=True) + 10
    sheet.text(x, y, sheet.fit(row["note"], WIDTH - 10 - x, 9.5), 9.5, palette.SOFT)
