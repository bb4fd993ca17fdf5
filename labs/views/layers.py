"""One frame peeled: what each layer adds, field by field.  Built in chapter 09-osi-model."""

from __future__ import annotations

from collections.abc import Sequence

from labs.decode import peel
from labs.decode.fields import Field, Layer
from labs.decode.headers import Headers

from . import escape, palette
from .draw import WIDTH, Figure, Sheet, measure
from .names import Names
from .spans import depths, worded
from .view import View, count

__all__ = ["Layers"]

EDGE, BAR, LINE = 20, 34, 19  # pixels
TAB = 62  # where meanings begin, after a short value
SMALLEST = 84  # width of a bar's shortest part, so that its name fits
GAP, MOST = 18, 24  # pixels between columns, fields in one column
DATA = 220  # a longer value without a meaning is data; the start of it is enough
WORDS = 280  # room for meanings beside the values, where there is more than one column


class Layers(View):
    """The layers of `frame` (a Frame or bytes), outermost first.

    names   {address: host name}, or the Names of a capture; by default those that the frame brings along
    extra   layers to lay over the payload, for example the plaintext of a TLS record
    layers  what the bytes are, if they are no whole frame
    """

    def __init__(
        self, frame: Headers | bytes, names: Names | dict | None = None, extra: Sequence[Layer] = (), origin: str = "",
        layers: Sequence[Layer] | None = None,
    ):  # fmt: skip
        self.frame, self.raw = frame, bytes(frame.raw if isinstance(frame, Headers) else frame)
        self.layers, self.extra = tuple(peel(self.raw) if layers is None else layers), tuple(extra or ())
        names = getattr(frame, "names", None) if names is None else names
        self.names = names if isinstance(names, Names) else Names(dict(names or {}))
        self.origin = origin or getattr(frame, "origin", "")

    def meaning(self, field: Field) -> str:
        """What the field's value means; an address of a known host means that host."""
        address = str(field.text).lower()
        known = self.names.knows(address) and self.names.host(address) != "all"
        return self.names.host(address) if known else escape.plain(field.meaning, 120)

    def summary(self) -> str:
        """Which layer carries which, with the bytes of each header."""
        if not self.raw:
            return "The frame has no bytes."
        told = [f"{escape.plain(layer.name, 40)} ({count(layer.header or layer.length, 'byte')})" for layer in self.layers]
        broken = sum(bool(layer.error) for layer in self.layers)
        ending = f"; {count(broken, 'layer')} could not be read" if broken else ""
        over = f"; laid over it: {', '.join(escape.plain(layer.name, 40) for layer in self.extra)}" if self.extra else ""
        return f"A frame of {count(len(self.raw), 'byte')}: {', then '.join(told)}{over}{ending}."

    @property
    def text(self) -> str:
        """A tree: each layer with its fields "name: text  (meaning)  [offset:length]  RFC"; "·" for values that vary."""
        layers = [*self.layers, *self.extra]
        out = [count(len(self.raw), "byte") + " on the wire"]
        for layer, depth in zip(layers, depths(layers)):
            indent = "  " * depth
            carried = layer.length - layer.header if layer.header else 0
            size = f"{layer.header or layer.length} bytes" + (f", carries {carried}" if carried > 0 else "")
            over = "  laid over" if any(layer is one for one in self.extra) else ""
            role = f"layer {layer.number}, {palette.LAYER_NAME.get(layer.number, 'other')}"
            out.append(f"{indent}{escape.plain(layer.name, 40)}  {role}: {size}{over}")
            out += [f"{indent}│ {self._line(field)}" for field in layer.fields]
            if layer.error:
                out.append(f"{indent}│ ✗ {escape.plain(layer.error, 200)}")
        return "\n".join(out)

    def _line(self, field):
        meaning = self.meaning(field)
        place = f"[{field.offset}:{field.length}]"
        if field.bits:
            first, bits = field.bits
            place = f"[{field.offset}:{field.length}, {f'bit {first}' if bits == 1 else f'bits {first}–{first + bits - 1}'}]"
        value = "·" if field.varies else escape.plain(field.text, 100)
        name = escape.plain(field.name, 40)
        parts = [f"{name}: {value}" if value else name, f"({meaning})" if meaning else "", place, escape.plain(field.see, 60)]
        return "  ".join(part for part in parts if part)

    def figure(self) -> Figure:
        """Bars that stand inside each other, and below them a column of fields for each layer."""
        layers = [*self.layers, *self.extra]
        nested = depths(layers)
        bands = _bands([_Table(layer, _fields(self, layer)) for layer in layers])
        bars = (max(nested) + 1 if nested else 1) * BAR
        heights = [44 + max(len(table.rows) for table in band) * LINE + 16 for band in bands]
        sheet = Sheet(34 + bars + 22 + sum(heights) + 22, origin=self.origin)
        size = len(self.raw)
        sheet.text(EDGE, 24, f"{size:,} byte{'s' * (size != 1)} on the wire", 10, palette.SOFT)
        place = _scale(layers, size)
        for layer, depth in zip(layers, nested):
            _bar(sheet, layer, place, 34 + depth * BAR)
        y = 34 + bars + 22
        for band, height in zip(bands, heights):
            _draw_band(sheet, band, y)
            y += height
        return sheet.figure


def _fields(view, layer):
    rows = [(name, value, meaning) for name, value, meaning in worded(layer.fields, limit=120)]
    known = {
        escape.plain(field.text, 120): view.meaning(field) for field in layer.fields if view.names.knows(str(field.text).lower())
    }
    rows = [(name, value, known.get(value, meaning)) for name, value, meaning in rows]
    if len(rows) > MOST:
        rows = [*rows[: MOST - 1], (f"… {len(rows) - MOST + 1} more fields", "", "")]
    return rows + ([("✗", "", escape.plain(layer.error, 160))] if layer.error else [])


def _scale(layers, size):
    """A function byte → x: in proportion, but no part narrower than its name."""
    cuts = {0, size} | {at for layer in layers for at in (layer.offset, layer.offset + layer.header, layer.offset + layer.length)}
    cuts = sorted(at for at in cuts if 0 <= at <= size)
    least = min(SMALLEST, (WIDTH - 2 * EDGE) / max(len(cuts) - 1, 1))
    spare = WIDTH - 2 * EDGE - least * (len(cuts) - 1)
    xs, x = {cuts[0]: EDGE}, EDGE
    for before, at in zip(cuts, cuts[1:]):
        x += least + spare * (at - before) / max(size, 1)
        xs[at] = x
    return lambda at: xs[min(max(at, 0), size)]


def _bar(sheet, layer, place, y):
    colour = palette.LAYER.get(layer.number, palette.QUIET)
    header = layer.header or layer.length
    left, middle, right = place(layer.offset), place(layer.offset + header), place(layer.offset + layer.length)
    if right > middle:
        sheet.box(left, y, right - left, BAR - 5, fill=palette.tint(colour), radius=4, order=1)
        carried = layer.length - header
        sheet.text(
            (middle + right) / 2, y + 19, sheet.fit(f"carries {carried} bytes", right - middle - 8, 9), 9, palette.SOFT, "center"
        )
    if middle - left < 2:
        return
    sheet.box(left, y, middle - left, BAR - 5, fill=colour, radius=4, order=2)
    name, ink = escape.plain(layer.name, 40), palette.ink_on(colour)
    for words in (f"{name}  {header} bytes", f"{name} {header}", name):
        if sheet.measure(words, 10, bold=True) <= middle - left - 10:
            break
    sheet.text((left + middle) / 2, y + 19, sheet.fit(words, middle - left - 6, 10, bold=True), 10, ink, "center", bold=True)


class _Table:
    """The fields of one layer, and the room that they need."""

    def __init__(self, layer, rows):
        self.layer, self.rows = layer, rows
        self.names = 6 + max([measure(name, 9) for name, _, _ in rows], default=60) + 14
        sizes = [(measure(value, 9, mono=True), measure(meaning, 9)) for _, value, meaning in rows]
        self.least = max(self.names + min(max([value for value, _ in sizes], default=0), 140) + 10, 190)
        ends = [(max((value if meaning else min(value, DATA)) + 12, TAB) if value else 0) + meaning for value, meaning in sizes]
        self.most = max(self.least, self.names + max(ends, default=0) + 10)


def _bands(tables):
    """As many columns side by side as leave a little room for meanings; a wide one (a payload) goes below."""
    bands, used = [], WIDTH
    for table in tables:
        width = min(table.least + WORDS, table.most) + GAP
        if used + width > WIDTH - 2 * EDGE + GAP:
            bands.append([])
            used = 0
        bands[-1].append(table)
        used += width
    return bands


def _draw_band(sheet, band, y):
    room = WIDTH - 2 * EDGE - GAP * (len(band) - 1)
    spare = room - sum(table.least for table in band)
    wants = sum(table.most - table.least for table in band)
    part = min(max(spare, 0) / wants, 1) if wants else 0
    widths = [min(table.least, room) + (table.most - table.least) * part for table in band]
    x = EDGE
    stretch = max(room - sum(widths), 0) / len(band)
    for table, width in zip(band, widths):
        _column(sheet, table, x, y, width + stretch)
        x += width + stretch + GAP


def _column(sheet, table, x, y, width):
    colour = palette.LAYER.get(table.layer.number, palette.QUIET)
    sheet.box(x, y, width, 26, fill=colour, radius=4, order=2)
    number = f"layer {table.layer.number}"
    name = sheet.fit(escape.plain(table.layer.name, 40), width - 30 - sheet.measure(number, 9), 10, bold=True)
    sheet.text(x + 8, y + 18, name, 10, palette.ink_on(colour), bold=True)
    sheet.text(x + width - 8, y + 18, number, 9, palette.ink_on(colour), "right")
    for line, (name, value, meaning) in enumerate(table.rows):
        base = y + 46 + line * LINE
        if line % 2:
            sheet.box(x, base - 14, width, LINE, fill=palette.QUIET, order=0.5)
        sheet.text(x + 6, base, sheet.fit(name, width - 10, 9), 9, palette.SOFT)
        shown = sheet.fit(value, width - table.names - 6, 9, mono=True)
        sheet.text(x + table.names, base, shown, 9, mono=True)
        begin = table.names + (max(sheet.measure(shown, 9, mono=True) + 12, TAB) if value else 0)
        if meaning and width - begin > 44:
            sheet.text(x + begin, base, sheet.fit(meaning, width - begin - 6, 9), 9, palette.SOFT)
