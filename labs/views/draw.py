"""A sheet of white paper measured in pixels, for views that place every line and word themselves.

Charts have axes; these pictures have positions.  One figure, one coordinate system with its origin at the top left, text that is
never read as a formula, and the few shapes that views share.  It is built without pyplot: nothing global, nothing to close.
"""

from functools import cache, lru_cache

from labs.interrupts import uninterrupted

from . import palette

__all__ = ["DPI", "Sheet", "WIDTH", "known", "measure"]

WIDTH = 1100  # pixels: fits a notebook's output area without being scaled to illegible
DPI = 100  # so 9 pt are 12.5 pixels
SANS, MONO = "DejaVu Sans", "DejaVu Sans Mono"  # both come with matplotlib, so a figure looks the same everywhere


@cache
def _glyphs(mono):
    with uninterrupted():
        from matplotlib import font_manager

    return frozenset(font_manager.get_font(font_manager.findfont(MONO if mono else SANS)).get_charmap())


def known(words, mono=False):
    """`words` with "�" for characters that the font lacks: matplotlib would warn about them in the middle of a notebook."""
    glyphs = _glyphs(mono)
    return "".join(c if ord(c) in glyphs else "�" for c in words)


def measure(words, size=10, bold=False, mono=False):
    """The width of `words` in pixels."""
    return _measure(known(words, mono), size, bold, mono)


class Sheet:
    """A figure of `width` × `height` pixels, y downwards.  `sheet.figure` is the matplotlib Figure."""

    def __init__(self, height, width=WIDTH, origin=""):
        with uninterrupted():
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure

        self.width, self.height = width, height
        self.figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor=palette.PAPER)
        FigureCanvasAgg(self.figure)  # the figure keeps it, and saves itself with it
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, width), ylim=(height, 0), autoscale_on=False)
        self.axes.set_axis_off()
        if origin:
            self.text(width - 12, height - 8, origin, size=9, colour=palette.SOFT, align="right", baseline="bottom")

    def text(
        self,
        x,
        y,
        words,
        size=10,
        colour=palette.INK,
        align="left",
        baseline="baseline",
        bold=False,
        mono=False,
        ground=None,
        order=5,
    ):
        """Write `words` at (x, y); characters that the font lacks become "�"."""
        words = known(words, mono)
        artist = self.axes.text(
            x, y, words, color=colour, ha=align, va=baseline, parse_math=False,
            fontproperties=_face(size, bold, mono), zorder=order, clip_on=False,
        )  # fmt: skip
        if ground:
            artist.set_bbox({"facecolor": ground, "edgecolor": "none", "pad": 1.2})

    def measure(self, words, size=10, bold=False, mono=False):
        """The width of `words` in pixels."""
        return measure(words, size, bold, mono)

    def fit(self, words, room, size=10, bold=False, mono=False):
        """`words`, cut with "…" so that they take at most `room` pixels."""
        if self.measure(words, size, bold, mono) <= room:
            return words
        low, high = 0, len(words)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (
                (middle, high) if self.measure(words[:middle].rstrip() + "…", size, bold, mono) <= room else (low, middle - 1)
            )
        return words[:low].rstrip() + "…" if low else ""

    def wrap(self, words, room, size=10, rows=2, bold=False):
        """`words` as at most `rows` lines that each fit into `room` pixels, cut with "…" if need be."""
        lines, todo = [], words.split()
        while todo and len(lines) < rows - 1:
            taken = 1
            while taken < len(todo) and self.measure(" ".join(todo[: taken + 1]), size, bold) <= room:
                taken += 1
            lines.append(self.fit(" ".join(todo[:taken]), room, size, bold))
            todo = todo[taken:]
        return lines + [self.fit(" ".join(todo), room, size, bold)] if todo else lines

    def line(self, xs, ys, colour=palette.INK, width=1.0, dash=None, order=2):
        """A line through points; width in points; dash as matplotlib's on/off tuple."""
        from matplotlib.lines import Line2D

        line = Line2D(xs, ys, color=colour, linewidth=width, zorder=order, solid_capstyle="butt")
        if dash:
            line.set_dashes(dash)
        self.axes.add_artist(line)

    def polygon(self, points, fill, edge="none", width=0.0, order=3):
        """A filled shape."""
        from matplotlib.patches import Polygon

        self.axes.add_artist(Polygon(points, closed=True, facecolor=fill, edgecolor=edge, linewidth=width, zorder=order))

    def box(self, x, y, width, height, fill="none", edge="none", line=0.8, radius=0, order=1):
        """A rectangle, with round corners if `radius` > 0."""
        from matplotlib.patches import BoxStyle, FancyBboxPatch, Rectangle

        style = {"facecolor": fill, "edgecolor": edge, "linewidth": line, "zorder": order}
        if radius:
            shape = FancyBboxPatch((x, y), width, height, boxstyle=BoxStyle("Round", pad=0, rounding_size=radius), **style)
        else:
            shape = Rectangle((x, y), width, height, **style)
        self.axes.add_artist(shape)

    def arrow(self, x0, y0, x1, y1, colour, width=1.4, head=True, dash=None, order=3):
        """A straight arrow with a filled head of constant size."""
        length = max(((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5, 1e-6)
        ux, uy = (x1 - x0) / length, (y1 - y0) / length
        tip = 11 if head else 0
        self.line((x0, x1 - ux * tip * 0.8), (y0, y1 - uy * tip * 0.8), colour, width, dash, order)
        if head:
            back = x1 - ux * tip, y1 - uy * tip
            self.polygon(
                [(x1, y1), (back[0] - uy * 4.6, back[1] + ux * 4.6), (back[0] + uy * 4.6, back[1] - ux * 4.6)],
                colour,
                order=order,
            )

    def cross(self, x, y, colour=palette.ALARM, size=6):
        """The sign for "lost here"."""
        self.line((x - size, x + size), (y - size, y + size), colour, 2.4, order=6)
        self.line((x - size, x + size), (y + size, y - size), colour, 2.4, order=6)

    def pill(self, x, y, words, fill, size=10, bold=True, align="center", height=24, room=None, edge="none", mono=False):
        """A rounded label with its centre line at y; `align` says what x is.  Returns (left, right)."""
        words = self.fit(words, room - 20, size, bold, mono) if room else words
        width = self.measure(words, size, bold, mono) + 20
        left = {"center": x - width / 2, "left": x, "right": x - width}[align]
        self.box(left, y - height / 2, width, height, fill=fill, edge=edge, radius=height / 2 - 0.5, order=4)
        self.text(left + width / 2, y + size * 0.51, words, size, palette.ink_on(fill), "center", bold=bold, mono=mono, order=6)
        return left, left + width


@cache
def _ruler():
    """A renderer that only measures: it knows how the font is hinted at this size, as a sum of advances would not."""
    with uninterrupted():
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

    return FigureCanvasAgg(Figure(figsize=(1, 1), dpi=DPI)).get_renderer()


@cache
def _face(size, bold, mono):
    from matplotlib.font_manager import FontProperties

    return FontProperties(family=MONO if mono else SANS, weight="bold" if bold else "normal", size=size)


@lru_cache(4096)
def _measure(words, size, bold, mono):
    return _ruler().get_text_width_height_descent(words, _face(size, bold, mono), False)[0] if words else 0
