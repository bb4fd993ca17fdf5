"""One frame peeled: what each layer adds, field by field.  Built in chapter 09-osi-model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from labs.captures.frame import Frame
from labs.decode.fields import Field, Layer

from . import escape, palette
from .names import Names
from .spans import depths
from .view import View, count

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Layers"]


class Layers(View):
    """The layers of `frame` (a Frame or bytes), outermost first.

    names   {address: host name}, or the Names of a capture; by default those that the frame brings along
    extra   layers to lay over the payload, for example the plaintext of a TLS record
    """

    def __init__(self, frame: Frame | bytes, names: Names | dict | None = None, extra: Sequence[Layer] = (), origin: str = ""):
        from labs.decode import peel

        self.frame, self.raw = frame, bytes(getattr(frame, "raw", frame))
        self.layers, self.extra = peel(self.raw), tuple(extra or ())
        names = getattr(frame, "names", None) if names is None else names
        self.names = names if isinstance(names, Names) else Names(dict(names or {}))
        self.origin = origin or getattr(frame, "origin", "")

    def meaning(self, field: Field) -> str:
        """What the field's value means; an address of a known host means that host."""
        host = self.names.host(str(field.text).lower()) if self.names.knows(str(field.text).lower()) else "all"
        if host != "all":
            return host
        return escape.plain(field.meaning, 120)

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
        """The peeled frame as a matplotlib Figure."""
        from .layers_figure import draw

        return draw(self)
