"""The numbers along an axis.  matplotlib's locators choose where they stand; what they say is the same in all charts."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from . import palette
from .draw import Sheet, plotting

if TYPE_CHECKING:
    from matplotlib.axis import Axis as PlotAxis
    from matplotlib.ticker import MaxNLocator

__all__ = ["Axis", "factors", "locator", "numbers", "tick", "time_in"]

UNITS = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1, "ns"))


def tick(value: float) -> str:
    """A number at an axis, exact and short: "0.25", "4,000", "20 M"."""
    return f"{value / 1e6:,.10g} M" if abs(value) >= 1e7 else f"{value:,.10g}"


def time_in(length: float) -> Callable[[float], str]:
    """How times (ns) are told on an axis as long as that: one unit for all."""
    size, unit = next(((size, unit) for size, unit in UNITS if length >= size), UNITS[-1])
    return lambda at: f"{at / size:,.10g} {unit}" if at else "0"


def locator(most: int, whole: bool = False) -> "MaxNLocator":
    """At most so many steps of 1, 2 or 5 times a power of ten; `whole`: only at whole numbers."""
    return plotting().ticker.MaxNLocator(most, steps=[1, 2, 5, 10], integer=whole, min_n_ticks=1)


def numbers(axis: "PlotAxis", most: int, whole: bool = False, words: Callable[[float], str] = tick) -> None:
    """Put numbers along an axis of a panel."""
    axis.set_major_locator(locator(most, whole))
    axis.set_major_formatter(lambda value, place: words(value))


def factors(axis: "PlotAxis", values: list[float]) -> None:
    """Put numbers along a logarithmic axis that shows these values: 1, 2 and 5 times powers of ten, fewer where they are many."""
    low, high = min(values) / 1.35, max(values) * 1.5  # with room to spare at both ends
    axis.axes.set(**{f"{axis.axis_name}lim": (low, high)})  # type: ignore[attr-defined]  # matplotlib's own stubs lack it
    log = plotting().ticker.LogLocator
    axis.set_major_locator(locator(8) if high < low * 10 else log(subs=(1, 2, 5)) if high < low * 2000 else log(numticks=8))
    axis.set_major_formatter(lambda value, place: tick(value))
    axis.minorticks_off()


class Axis:
    """Time from `start` to `end` (ns) between the pixels `left` and `right`, for pictures that place everything themselves."""

    def __init__(self, start: int, end: int, left: float, right: float):
        self.start, self.length, self.left, self.width = start, max(end - start, 1), left, right - left

    def x(self, at: int) -> float:
        """The pixel of a moment."""
        return self.left + (at - self.start) / self.length * self.width

    def ticks(self, most: int = 10) -> list[tuple[int, str]]:
        """[(ns since the start, "20 ms")]."""
        words = time_in(self.length)
        return [(int(at), words(at)) for at in locator(most, True).tick_values(0, self.length) if at <= self.length]

    def draw(self, sheet: Sheet, top: float, floor: float) -> None:
        """Faint vertical lines from `top` to `floor`, and their times below."""
        for at, words in self.ticks():
            x = self.x(self.start + at)
            sheet.line((x, x), (top, floor), palette.FAINT, 0.8, order=0.8)
            sheet.text(x, floor + 17, words, 9, palette.SOFT, "center")
