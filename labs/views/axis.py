"""The time axis that Lanes and Gauge share."""

from . import palette

__all__ = ["Axis"]

_UNITS = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1, "ns"))


class Axis:
    """Time from `start` to `end` (ns) between the pixels `left` and `right`."""

    def __init__(self, start, end, left, right):
        self.start, self.length, self.left, self.width = start, max(end - start, 1), left, right - left

    def x(self, at):
        """The pixel of a moment."""
        return self.left + (at - self.start) / self.length * self.width

    def ticks(self, most=10):
        """[(ns since the start, "20 ms")]: steps of 1, 2 or 5 times a power of ten."""
        size, unit = next(((size, unit) for size, unit in _UNITS if self.length >= size), _UNITS[-1])
        step = 1
        while self.length / step > most:
            step *= 2.5 if str(step)[0] == "2" else 2
            step = round(step)
        return [(at, f"{at / size:g} {unit}" if at else "0") for at in range(0, int(self.length) + 1, step)]

    def draw(self, sheet, top, floor):
        """Faint vertical lines from `top` to `floor`, and their times below."""
        for at, words in self.ticks():
            x = self.x(self.start + at)
            sheet.line((x, x), (top, floor), palette.FAINT, 0.8, order=0.8)
            sheet.text(x, floor + 17, words, 9, palette.SOFT, "center")
