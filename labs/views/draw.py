"""A sheet of white paper measured in pixels, for views that place every line and word themselves.

Charts have axes; most of these pictures have positions.  One figure, one coordinate system with its origin at the top left, text
that is never read as a formula, and the few shapes that views share.  A chart lays a panel, matplotlib's own axes, on the sheet.
It is built without pyplot: nothing global, nothing to close.
"""

from collections.abc import Sequence
from functools import cache, lru_cache
from types import ModuleType
from typing import TYPE_CHECKING

from labs.interrupts import uninterrupted

from . import escape, palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties
else:
    Figure = "matplotlib.figure.Figure"  # as an annotation: matplotlib is loaded when the first picture is drawn

__all__ = ["DPI", "Figure", "Sheet", "WIDTH", "known", "measure", "plotting"]

WIDTH = 1100  # pixels: fits a notebook's output area without being scaled to illegible
DPI = 100  # so 9 pt are 12.5 pixels
SANS, MONO = "DejaVu Sans", "DejaVu Sans Mono"  # both come with matplotlib, so a figure looks the same everywhere


@cache
@uninterrupted()
def plotting() -> ModuleType:
    """matplotlib, with the parts of it that pictures need.  It is imported here alone, and only when a picture is drawn."""
    import matplotlib.backends.backend_agg
    import matplotlib.figure
    import matplotlib.font_manager
    import matplotlib.lines
    import matplotlib.patches
    import matplotlib.ticker

    return matplotlib


@cache
def _glyphs(mono: bool) -> frozenset[int]:
    fonts = plotting().font_manager
    return frozenset(fonts.get_font(fonts.findfont(MONO if mono else SANS)).get_charmap())


def known(words: str, mono: bool = False) -> str:
    """`words` with "�" for characters that the font lacks: matplotlib would warn about them in the middle of a notebook."""
    glyphs = _glyphs(mono)
    return "".join(c if ord(c) in glyphs else "�" for c in words)


def measure(words: str, size: float = 10, bold: bool = False, mono: bool = False) -> float:
    """The width of `words` in pixels."""
    return _measure(known(words, mono), size, bold, mono)


def _figure(width: float, height: float) -> Figure:
    figure = plotting().figure.Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor=palette.PAPER)
    plotting().backends.backend_agg.FigureCanvasAgg(figure)  # the figure keeps it, and saves itself with it
    return figure


class Sheet:
    """A figure of `width` × `height` pixels, y downwards.  `sheet.figure` is the matplotlib Figure."""

    def __init__(self, height: float, width: float = WIDTH, origin: str = "", title: str | None = ""):
        self.width, self.height = width, height
        self.figure = _figure(width, height)
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, width), ylim=(height, 0), autoscale_on=False)
        self.axes.set_axis_off()
        if title:
            self.text(16, 28, self.fit(title, width - 32, 12, bold=True), 12, bold=True)
        if origin:
            self.text(width - 12, height - 8, escape.plain(origin, 60), 9, palette.SOFT, "right", "bottom")

    def nothing(self, words: str) -> Figure:
        """The figure of a view that has nothing to show, and says so."""
        self.text(self.width / 2, self.height / 2 + 12, words, 11, palette.SOFT, "center")
        return self.figure

    def panel(self, left: float, top: float, right: float, bottom: float, **how: object) -> "Axes":
        """A chart's own axes between these pixels, in the style of the house: faint lines, grey numbers, no box.

        how: what Axes.set() takes, such as xlim and ylim.  The panel lies below what is drawn on the sheet itself.
        """
        place = left / self.width, 1 - bottom / self.height, (right - left) / self.width, (bottom - top) / self.height
        axes = self.figure.add_axes(place, zorder=-1, facecolor="none")
        axes.set(axisbelow=True, **how)
        axes.spines[:].set_visible(False)
        axes.minorticks_off()
        axes.grid(True, color=palette.FAINT, linewidth=0.8, linestyle="-", alpha=1, solid_capstyle="butt")
        axes.tick_params(length=0, pad=5, labelsize=9, labelcolor=palette.SOFT, labelfontfamily=SANS)
        return axes

    def pixel(self, axes: "Axes", x: float, y: float) -> tuple[float, float]:
        """Where a point of a panel lies on the sheet."""
        across, up = axes.transData.transform((x, y))
        return float(across), float(self.height - up)

    def text(
        self, x: float, y: float, words: str, size: float = 10, colour: str = palette.INK, align: str = "left",
        baseline: str = "baseline", bold: bool = False, mono: bool = False, ground: str | None = None, order: float = 5,
    ) -> None:  # fmt: skip
        """Write `words` at (x, y); characters that the font lacks become "�"."""
        words = known(words, mono)
        artist = self.axes.text(
            x, y, words, color=colour, ha=align, va=baseline, parse_math=False,
            fontproperties=_face(size, bold, mono), zorder=order, clip_on=False,
        )  # fmt: skip
        if ground:
            artist.set_bbox({"facecolor": ground, "edgecolor": "none", "pad": 1.2})

    measure = staticmethod(measure)

    @staticmethod
    def fit(words: str, room: float, size: float = 10, bold: bool = False, mono: bool = False) -> str:
        """`words`, cut with "…" so that they take at most `room` pixels."""
        if measure(words, size, bold, mono) <= room:
            return words
        low, high = 0, len(words)
        while low < high:
            middle = (low + high + 1) // 2
            fits = measure(words[:middle].rstrip() + "…", size, bold, mono) <= room
            low, high = (middle, high) if fits else (low, middle - 1)
        return words[:low].rstrip() + "…" if low else ""

    @staticmethod
    def wrap(words: str, room: float, size: float = 10, rows: int = 2, bold: bool = False) -> list[str]:
        """`words` as at most `rows` lines that each fit into `room` pixels, cut with "…" if need be."""
        lines, todo = [], words.split()
        while todo and len(lines) < rows - 1:
            taken = 1
            while taken < len(todo) and measure(" ".join(todo[: taken + 1]), size, bold) <= room:
                taken += 1
            lines.append(Sheet.fit(" ".join(todo[:taken]), room, size, bold))
            todo = todo[taken:]
        return lines + [Sheet.fit(" ".join(todo), room, size, bold)] if todo else lines

    def line(
        self, xs: Sequence[float], ys: Sequence[float], colour: str = palette.INK, width: float = 1.0,
        dash: Sequence[float] | None = None, order: float = 2,
    ) -> None:  # fmt: skip
        """A line through points; width in points; dash as matplotlib's on/off tuple."""
        line = plotting().lines.Line2D(xs, ys, color=colour, linewidth=width, zorder=order, solid_capstyle="butt")
        if dash:
            line.set_dashes(dash)
        self.axes.add_artist(line)

    def polygon(self, points: Sequence[tuple[float, float]], fill: str, order: float = 3) -> None:
        """A filled shape."""
        self.axes.add_artist(plotting().patches.Polygon(points, facecolor=fill, edgecolor="none", zorder=order))

    def box(
        self, x: float, y: float, width: float, height: float, fill: str = "none", edge: str = "none",
        line: float = 0.8, radius: float = 0, order: float = 1,
    ) -> None:  # fmt: skip
        """A rectangle, with round corners if `radius` > 0."""
        form = f"Round, pad=0, rounding_size={radius}" if radius else "Square, pad=0"
        style = {"facecolor": fill, "edgecolor": edge, "linewidth": line, "zorder": order}
        self.axes.add_artist(plotting().patches.FancyBboxPatch((x, y), width, height, boxstyle=form, **style))

    def arrow(
        self, x0: float, y0: float, x1: float, y1: float, colour: str, width: float = 1.4,
        head: bool = True, dash: Sequence[float] | None = None, order: float = 3,
    ) -> None:  # fmt: skip
        """A straight arrow with a filled head of constant size."""
        length = max(((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5, 1e-6)
        ux, uy = (x1 - x0) / length, (y1 - y0) / length
        tip = 11 if head else 0
        self.line((x0, x1 - ux * tip * 0.8), (y0, y1 - uy * tip * 0.8), colour, width, dash, order)
        if head:
            back = x1 - ux * tip, y1 - uy * tip
            sides = (back[0] - uy * 4.6, back[1] + ux * 4.6), (back[0] + uy * 4.6, back[1] - ux * 4.6)
            self.polygon([(x1, y1), *sides], colour, order)

    def cross(self, x: float, y: float) -> None:
        """The sign for "lost here"."""
        self.line((x - 6, x + 6), (y - 6, y + 6), palette.ALARM, 2.4, order=6)
        self.line((x - 6, x + 6), (y + 6, y - 6), palette.ALARM, 2.4, order=6)

    def pill(
        self, x: float, y: float, words: str, fill: str, size: float = 10, bold: bool = True, align: str = "center",
        height: float = 24, room: float | None = None, edge: str = "none",
    ) -> tuple[float, float]:  # fmt: skip
        """A rounded label with its centre line at y; `align` says what x is.  Returns (left, right)."""
        words = self.fit(words, room - 20, size, bold) if room else words
        width = self.measure(words, size, bold) + 20
        left = {"center": x - width / 2, "left": x, "right": x - width}[align]
        self.box(left, y - height / 2, width, height, fill=fill, edge=edge, radius=height / 2 - 0.5, order=4)
        self.text(left + width / 2, y + size * 0.51, words, size, palette.ink_on(fill), "center", bold=bold, order=6)
        return left, left + width


@cache
def _ruler():
    """A renderer that only measures: it knows how the font is hinted at this size, as a sum of advances would not."""
    return _figure(DPI, DPI).canvas.get_renderer()


@cache
def _face(size: float, bold: bool, mono: bool) -> "FontProperties":
    family = MONO if mono else SANS
    return plotting().font_manager.FontProperties(family=family, weight="bold" if bold else "normal", size=size)


@lru_cache(4096)
def _measure(words: str, size: float, bold: bool, mono: bool) -> float:
    return _ruler().get_text_width_height_descent(words, _face(size, bold, mono), False)[0] if words else 0
