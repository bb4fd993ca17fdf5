"""Which bytes belong to which fields: the frame cut into spans, for views that walk along its bytes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from labs.decode.fields import Field, Layer

from . import escape

__all__ = ["Span", "depths", "spans", "worded"]


@dataclass(frozen=True)
class Span:
    """Bytes [start, end) that one field fills, or that several share (fields of less than a byte)."""

    start: int
    end: int
    layer: object  # a Layer, or None where nothing was decoded
    fields: tuple
    masked: bool  # another run shows other bytes here

    def words(self) -> str:
        """ "Version 4, IHL 5"; values that vary are "·"."""
        return (
            ", ".join(f"{name} {value}".rstrip() for name, value, _ in worded(self.fields, mask=True, limit=48)) or "not decoded"
        )

    def name(self) -> str:
        """ "Version, IHL"."""
        return ", ".join(name for name, _, _ in worded(self.fields)) or "not decoded"


def worded(fields: Iterable[Field], mask: bool = False, limit: int = 80) -> list[tuple[str, str, str]]:
    """(name, value, meaning) of each field; one-bit fields that stand side by side become one: "Flags", "SYN"."""
    told, bits = [], []
    for field in fields:
        if field.bits and field.bits[1] == 1:
            if not bits or field.offset == bits[-1].offset:
                bits.append(field)
                continue
            told.append(_flags(bits))
            bits = [field]
            continue
        if bits:
            told.append(_flags(bits))
            bits = []
        text = "·" if mask and field.varies else escape.plain(field.text, limit)
        told.append((escape.plain(field.name, 40), text, escape.plain(field.meaning, limit)))
    return told + [_flags(bits)] if bits else told


def _flags(fields):
    if len(fields) == 1:
        return escape.plain(fields[0].name, 40), escape.plain(fields[0].text, 40), escape.plain(fields[0].meaning, 80)
    names = [escape.plain(field.name, 40) for field in fields if field.value]
    return "Flags", ", ".join(names) or "none", ""


def spans(size: int, layers: Sequence[Layer], extra: Sequence[Layer] = ()) -> list[Span]:
    """The frame's `size` bytes as Spans, in order and without gaps.  Fields of `extra` replace those that they lie over."""
    ground = _cut(size, layers)
    if not extra:
        return ground
    above = [span for span in _cut(size, extra) if span.fields]
    masked = {at for span in ground if span.masked for at in range(span.start, span.end)}
    out = [Span(span.start, span.end, span.layer, span.fields, span.masked or span.start in masked) for span in above]
    for span in ground:
        at = span.start
        for cover in above:
            if at < cover.end and cover.start < span.end:
                if at < cover.start:
                    out.append(Span(at, cover.start, span.layer, span.fields, span.masked))
                at = cover.end
        if at < span.end:
            out.append(Span(at, span.end, span.layer, span.fields, span.masked))
    return sorted(out, key=lambda span: span.start)


def _cut(size, layers):
    pairs = [(max(f.offset, 0), min(f.offset + f.length, size), layer, f) for layer in layers for f in layer.fields]
    pairs = sorted((pair for pair in pairs if pair[0] < pair[1]), key=lambda pair: pair[0])
    groups = []  # [start, end, layer, fields]
    for start, end, layer, field in pairs:
        last = groups[-1] if groups else None
        if last and start < last[1]:  # shares a byte with the field before it
            last[1] = max(last[1], end)
            last[3].append(field)
        else:
            groups.append([start, end, layer, [field]])
    out, at = [], 0
    for start, end, layer, fields in groups:
        if start > at:
            out.append(Span(at, start, None, (), False))
        out.append(Span(start, end, layer, tuple(fields), any(field.varies for field in fields)))
        at = end
    return out + [Span(at, size, None, (), False)] if at < size else out


def depths(layers: Sequence[Layer]) -> list[int]:
    """How deep each layer is nested: one more than the layer whose bytes it lies in."""
    open_, out = [], []
    for layer in layers:
        while open_ and not open_[-1].offset + open_[-1].header <= layer.offset < max(
            open_[-1].offset + open_[-1].length, open_[-1].offset + 1
        ):
            open_.pop()
        out.append(len(open_))
        open_.append(layer)
    return out
