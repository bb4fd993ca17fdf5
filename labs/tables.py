"""Words and numbers as text: cells that stand under each other, counts, quantities with as many digits as mean something."""

from collections.abc import Iterable, Sequence

__all__ = ["columns", "count", "duration", "number"]


def columns(rows: Iterable[Sequence[object]], align: str = "", gap: str | Sequence[str] = "  ") -> list[str]:
    """Rows of cells as lines in which each column is as wide as its widest cell.  No line ends in spaces.

    align  "<" (left) or ">" (right) for each column; left for those that it does not name
    gap    what stands between two columns: one for all, or one for each place
    """
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    gaps = ["", *([gap] * len(widths) if isinstance(gap, str) else gap)]
    form = "".join(f"{space}{{:{side}{wide}}}" for space, side, wide in zip(gaps, align.ljust(len(widths), "<"), widths))
    return [form.format(*row).rstrip() for row in rows]


def count(number: float, noun: str, plural: str | None = None) -> str:
    """ "1 frame", "2 frames", "1,200 bytes"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def number(value: float) -> str:
    """A measured number, with as many digits as mean something: "4,176", "20.5", "0.04"."""
    if value == int(value) or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2g}"


def duration(nanoseconds: int) -> str:
    """A time in the unit that suits it: "0", "137 µs", "1.10 ms", "2.004 s"."""
    value, sign = abs(nanoseconds), "−" if nanoseconds < 0 else ""
    if value == 0:
        return "0"
    for unit, size, digits in (("s", 1e9, 3), ("ms", 1e6, 2), ("µs", 1e3, 0)):
        if value >= size:
            return f"{sign}{value / size:,.{digits}f} {unit}"
    return f"{sign}{value} ns"
