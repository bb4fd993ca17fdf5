"""A frame's bytes in rows of sixteen, each field with its borders and its name.  Built in chapter 09-osi-model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from labs.captures.frame import Frame
from labs.decode.fields import Layer

from . import escape
from .spans import Span, spans
from .view import View, count

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ByteMap"]

LINE = 8  # bytes on a line of the text
LONGEST = 64  # bytes of one field that the text writes out


class ByteMap(View):
    """The bytes of `frame` (a Frame or bytes) and the fields that they make up.

    extra   layers to lay over the payload, for example the plaintext of a TLS record; their offsets count from the frame's start
    plain   (offset, bytes): what encrypted bytes mean, one by one; the picture writes it beneath them
    """

    def __init__(
        self, frame: Frame | bytes, extra: Sequence[Layer] | None = None, origin: str = "", plain: tuple[int, bytes] = (0, b"")
    ):
        from labs.decode import peel

        self.raw = bytes(getattr(frame, "raw", frame))
        self.layers, self.extra = peel(self.raw), tuple(extra or ())
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
        """The byte map as a matplotlib Figure."""
        from .bytemap_figure import draw

        return draw(self)


def _layer_name(span):
    return escape.plain(span.layer.name, 40) if span.layer else ""
