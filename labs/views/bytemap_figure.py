"""How a byte map is drawn: sixteen cells a row, a field's cells joined, its name beneath its bytes."""

from matplotlib.figure import Figure

from . import escape, palette
from .bytemap import ByteMap
from .draw import Sheet

__all__ = ["draw"]

ACROSS, MOST = 16, 208  # bytes a row, bytes drawn
CELL, ROW = 62, 58  # pixels
LEFT, TOP, BOTTOM = 62, 84, 36


def draw(view: ByteMap) -> Figure:
    """The figure of a `ByteMap`."""
    size = min(len(view.raw), getattr(view, "most", MOST))
    rows = max(-(-size // ACROSS), 1)
    cut = len(view.raw) - size
    sheet = Sheet(TOP + rows * ROW + BOTTOM + (22 if cut else 0), origin=escape.plain(view.origin or "", 60))
    _legend(sheet, view)
    for column in range(ACROSS):
        sheet.text(LEFT + (column + 0.5) * CELL, TOP - 10, f"{column:x}", 9, palette.SOFT, "center", mono=True)
    for row in range(rows):
        sheet.text(LEFT - 10, TOP + row * ROW + 21, f"0x{row * ACROSS:02x}", 9, palette.SOFT, "right", mono=True)
    if not view.raw:
        sheet.text(LEFT + 8, TOP + 24, "The frame has no bytes.", 11, palette.SOFT)
    for span in view.spans:
        if span.start < size:
            _span(sheet, view, span, min(span.end, size))
    if cut:
        sheet.text(LEFT, TOP + rows * ROW + 22, f"… {cut:,} more byte{'s' * (cut != 1)} not drawn", 10, palette.SOFT)
    return sheet.figure


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
