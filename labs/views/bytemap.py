"""A frame's bytes in rows of sixteen, each field with its borders and its name.  Built in chapter 09-osi-model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from labs.decode import peel
from labs.decode.fields import Layer
from labs.decode.headers import Headers

from . import escape, palette
from .draw import Figure, Sheet
from .spans import Span, spans
from .view import View, count

__all__ = ["ByteMap"]

ACROSS = 16  # bytes a row
CELL, ROW = 62, 58  # pixels
LEFT, TOP, BOTTOM = 62, 84, 36
LINE = 8  # bytes on a line of the text
LONGEST = 64  # bytes of one field that the text writes out


class ByteMap(View):
    """The bytes of `frame` (a Frame or bytes) and the fields that they make up.

    extra   layers to lay over the payload, for example the plaintext of a TLS record; their offsets count from the frame's start
    plain   (offset, bytes): what encrypted bytes mean, one by one; the picture writes it beneath them
    layers  what the bytes are, if they are no whole frame
    """

    most = 208  # bytes drawn

    def __init__(
        self, frame: Headers | bytes, extra: Sequence[Layer] | None = None, origin: str = "",
        plain: tuple[int, bytes] = (0, b""), layers: Sequence[Layer] | None = None,
    ):  # fmt: skip
        self.raw = bytes(frame.raw if isinstance(frame, Headers) else frame)
        self.layers, self.extra = tuple(peel(self.raw) if layers is None else layers), tuple(extra or ())
        self.spans = spans(len(self.raw), self.layers, self.extra)
        self.plain = {plain[0] + at: plain[1][at : at + 1] for at in range(len(plain[1]))}  # byte of the frame → its meaning
        self.origin = origin or getattr(frame, "origin", "")

    def summary(self) -> str:
        """How many bytes and fields, and how much of them is payload."""
        if not self.raw:
            return "The frame has no bytes."
        fields = sum(len(layer.fields) for layer in self.layers)
        names = ", ".join(escape.plain(layer.name, 40) for layer in self.layers)
        return f"{count(len(self.raw), 'byte')}, {count(fields, 'field')} in {count(len(self.layers), 'layer')}: {names}."

    @property
    def text(self) -> str:
        """Lines of offset, bytes ("··" where another run shows others), layer, and the fields with their values."""
        return "\n".join(self.lines(self.spans)) if self.raw else "The frame has no bytes."

    def lines(self, spans: Iterable[Span]) -> list[str]:
        """The text of some of the spans."""
        wide = max((len(_layer_name(span)) for span in spans), default=0)
        out = []
        for span in spans:
            end = min(span.end, span.start + LONGEST)
            for at in range(span.start, end, LINE):
                data = self.raw[at : min(at + LINE, end)]
                shown = " ".join(["··"] * len(data)) if span.masked else data.hex(" ")
                words = f"{_layer_name(span):<{wide}}  {span.words()}" if at == span.start else ""
                out.append(f"0x{at:02x}  {shown:<{LINE * 3 - 1}}  {words}".rstrip())
            if end < span.end:
                out.append(f"      … {count(span.end - end, 'more byte')}")
        return out

    def pale(self, span: Span) -> bool:
        """Whether the picture draws this span in a lighter shade of its layer's colour."""
        return False

    def value(self, span: Span) -> str:
        """What the picture writes under the name of this span's field, "" for nothing."""
        return ""

    def figure(self) -> Figure:
        """Sixteen cells a row, a field's cells joined, its name beneath its bytes."""
        size = min(len(self.raw), self.most)
        rows = max(-(-size // ACROSS), 1)
        cut = len(self.raw) - size
        sheet = Sheet(TOP + rows * ROW + BOTTOM + (22 if cut else 0), origin=self.origin)
        _legend(sheet, self)
        for column in range(ACROSS):
            sheet.text(LEFT + (column + 0.5) * CELL, TOP - 10, f"{column:x}", 9, palette.SOFT, "center", mono=True)
        for row in range(rows):
            sheet.text(LEFT - 10, TOP + row * ROW + 21, f"0x{row * ACROSS:02x}", 9, palette.SOFT, "right", mono=True)
        if not self.raw:
            sheet.text(LEFT + 8, TOP + 24, "The frame has no bytes.", 11, palette.SOFT)
        for span in self.spans:
            if span.start < size:
                _span(sheet, self, span, min(span.end, size))
        if cut:
            sheet.text(LEFT, TOP + rows * ROW + 22, f"… {cut:,} more byte{'s' * (cut != 1)} not drawn", 10, palette.SOFT)
        return sheet.figure


def _layer_name(span):
    return escape.plain(span.layer.name, 40) if span.layer else ""


def _legend(sheet, view):
    x = LEFT
    for layer in dict.fromkeys(span.layer for span in view.spans if span.layer):
        words = f"{escape.plain(layer.name, 40)}  {layer.header or layer.length} bytes"
        if x + sheet.measure(words, 10) + 20 > sheet.width - 16:
            break
        _, x = sheet.pill(x, 28, words, palette.LAYER.get(layer.number, palette.QUIET), 10, bold=False, align="left")
        x += 8


def _span(sheet, view, span, end):
    raw, plain = view.raw, view.plain
    fill = palette.LAYER.get(span.layer.number, palette.QUIET) if span.layer else palette.QUIET
    if view.pale(span):
        fill = palette.tint(fill, 0.45)
    parts = []  # (first, end) of the span on each row that it touches
    at = span.start
    while at < end:
        stop = min(end, (at // ACROSS + 1) * ACROSS)
        parts.append((at, stop))
        at = stop
    readable = (span.layer is None or span.layer.number == 7) and not span.masked or span.start in plain
    needed = sheet.measure(span.name(), 9) + 10
    named = next((part for part in parts if (part[1] - part[0]) * CELL >= needed), max(parts, key=lambda part: part[1] - part[0]))
    for start, stop in parts:
        x, y, width = LEFT + start % ACROSS * CELL, TOP + start // ACROSS * ROW, (stop - start) * CELL
        sheet.box(x + 1, y + 1, width - 2, ROW - 2, fill=fill, radius=3, order=2)
        for at in range(start, stop):
            middle = LEFT + (at % ACROSS + 0.5) * CELL
            sheet.text(middle, y + 20, f"{raw[at]:02x}", 11, palette.INK, "center", mono=True)
            if readable:
                sheet.text(middle, y + 35, escape.ascii_of(plain.get(at, raw[at : at + 1])), 9, palette.INK, "center", mono=True)
        if (start, stop) == named:
            _name(sheet, span.name(), view.value(span), x + 5, y, width - 8, 1 if readable else 2)


def _name(sheet, words, value, x, y, room, rows):
    """The field's name beneath its bytes: on one line, or on two; the value under it, if there is room for all of it."""
    lines = sheet.wrap(words, room, 9, rows)
    if len(lines) == 2 and sheet.measure(words, 9) <= room:
        lines = [words]
    for line, part in enumerate(lines):
        sheet.text(x, y + (51 if rows == 1 else 36 + line * 14), part, 9, palette.INK)
    if len(lines) < rows and value and sheet.measure(value, 9, bold=True) <= room:
        sheet.text(x, y + 50, value, 9, palette.INK, bold=True)
