"""One TLS record, closed and opened: as layers, and byte by byte.  Built in chapter 16-tls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from labs.captures.frame import Frame
from labs.decode.fields import Layer
from labs.decode.peel import peel_application
from labs.decode.tls import decode, tail, tail12
from labs.decode.tls_handshake import inside
from labs.decode.tls_names import CONTENT_TYPES, called
from labs.decode.tls_session import TLS13

from . import escape
from .bytemap import ByteMap
from .layers import Layers
from .spans import Span
from .view import count

__all__ = ["CHOSEN", "RecordBytes", "RecordLayers", "SessionRecord", "landed"]

# How long these messages are, and what they offer in which order, differs from one TLS library to the next: the pictures show it,
# the texts, which have to be the same everywhere, do not.
CHOSEN = {"ClientHello", "ServerHello", "HelloRetryRequest", "EncryptedExtensions", "Certificate", "NewSessionTicket"}
LISTS = {"Cipher Suites Length", "Extensions Length", "Request Context Length", "Certificate List Length", "Ticket Lifetime"}
KEPT = {"Host Name", "Protocol", "Supported Versions", "Selected Version", "Group", "Selected Group"}  # the programs' own choice


def landed(frame: Frame) -> int:
    """When the frame arrived; one that nobody saw arrive: when it was sent."""
    return frame.arrivals[0].time if frame.arrivals else frame.time


class SessionRecord:
    """One record: number, sender (host), frames (numbers), what it is (`what`), and its bytes, as they were and opened."""

    def __init__(self, opened, sender, frames, version, origin):
        self._opened, self.number, self.sender, self.origin = opened, 0, sender, origin
        self.frames = tuple(frame.number for frame in frames)
        self.segments = ()  # the same frames, counted from 1 among those that carry TLS: no acknowledgement changes these numbers
        self.time, self.arrived = frames[-1].time, landed(frames[-1])  # when its last byte was sent, and arrived; nanoseconds
        self._version = version if version is not None else TLS13

    def __getattr__(self, name):  # type, raw, encrypted, content_type, plaintext, what, keys, problem: as labs.decode found them
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._opened, name)

    @property
    def header(self) -> bytes:
        """Its first five bytes."""
        return self.raw[:5]

    @property
    def body(self) -> bytes:
        """What follows the header: encrypted, unless it is one of the first records."""
        return self.raw[5:]

    @property
    def wire_type(self) -> str:
        """The content type that everyone can read."""
        return called(self.type, CONTENT_TYPES, 1)

    def outside(self) -> tuple[Layer, ...]:
        """The record as layers, as far as one can read it without keys."""
        layer = decode(self.raw, 0, len(self.raw))[0]
        closed = self.encrypted or self.problem
        return (layer if closed else replace(layer, fields=layer.fields[:3]),)  # its content is named by inside()

    def inside(self) -> tuple[Layer, ...]:
        """What was encrypted, or lies open: layers that lie over the record's body."""
        opened = self._opened
        if opened.plaintext is None:
            return ()
        at = opened.inner
        if opened.content_type == 23:
            layers = peel_application(opened.plaintext, at)
        else:
            layers = inside(opened.content_type, opened.plaintext, at, self._version)
        if opened.encrypted and self._version == TLS13:
            layers += (tail(opened, at),)
        elif opened.encrypted:
            layers += tail12(opened, at)
        return layers

    def _both(self):
        """(layers of the bytes as they are, layers that lie over ciphertext)."""
        return (self.outside(), self.inside()) if self.encrypted else (self.outside() + self.inside(), ())

    def layers(self) -> RecordLayers:
        """The record, field by field."""
        layers, extra = self._both()
        return RecordLayers(self.raw, {}, extra, self.origin, layers)

    def bytes(self) -> RecordBytes:
        """The record's bytes, each with the field that it belongs to: what is encrypted bears the name of what it hides."""
        plain = (self.inner, self.plaintext) if self.encrypted and self.content_type == 23 else (0, b"")
        layers, extra = self._both()
        return RecordBytes(self.raw, extra, self.origin, plain, layers)

    def __repr__(self):
        return f"record {self.number}, {self.sender}: {self.wire_type}" + (
            f", inside: {self.what}" if self.encrypted and self.what else ""
        )


class RecordBytes(ByteMap):
    """A byte map of one record, or of what it hid: `layers` are those of `raw`, `extra` lie over ciphertext.

    The picture has all of it.  Of a hello (and the other messages in CHOSEN) the text has the beginning, and then only what the
    two programs asked for; `print(record.layers())` names every field.
    """

    most = 416  # bytes drawn: a whole ClientHello

    def __init__(self, raw: bytes, extra: Sequence[Layer], origin: str, plain: tuple[int, bytes], layers: Sequence[Layer]):
        super().__init__(raw, extra, origin, plain, layers)
        for field in (field for layer in self.layers for field in layer.fields if isinstance(field.value, str)):
            places = range(field.offset, field.offset + field.length)
            self.plain |= {at: self.raw[at : at + 1] for at in places}  # a name: readable

    def summary(self) -> str:
        """How many bytes and fields, and what lies over them."""
        if not self.raw:
            return "There are no bytes to show."
        every = [*self.layers, *self.extra]
        if self._begins():
            return f"Every byte has its field: {', '.join(escape.plain(layer.name, 40) for layer in every)}."
        names = ", ".join(escape.plain(layer.name, 40) for layer in every) or "nothing that has fields"
        fields = sum(len(layer.fields) for layer in every)
        return f"{count(len(self.raw), 'byte')}, {count(fields, 'field')}: {names}."

    def pale(self, span: Span) -> bool:
        """Lengths recede, so that what they are the length of stands out."""
        return all(field.name.endswith("Length") for field in span.fields)

    def value(self, span: Span) -> str:
        """What a field means, where that says more than its bytes do."""
        field = span.fields[0] if span.fields else None
        if field is None or field.meaning == "type of an extension":
            return ""
        told = field.text if field.name.endswith("Length") else field.meaning or ("" if field.varies else field.text)
        return escape.plain(told, 80)

    def _begins(self):
        """Where the lists begin that the TLS library has arranged; 0 if there are none."""
        found = (field for layer in self.layers + self.extra if layer.name in CHOSEN for field in layer.fields)
        return next((field.offset for field in found if field.name in LISTS), 0)

    @property
    def text(self) -> str:
        """As in any byte map, up to the first of those lists; of what follows, the fields that the programs asked for."""
        begins = self._begins()
        if not begins:
            return super().text
        lines = self.lines([_without_length(span) for span in self.spans if span.end <= begins])
        fields = (field for layer in self.layers + self.extra if layer.name in CHOSEN for field in layer.fields)
        told = sorted(f"      {_told(field)}" for field in fields if field.name in KEPT)
        lines.append("      … then lists, whose order and lengths differ between TLS libraries" + ("; in them:" if told else ""))
        return "\n".join([*lines, *told])


def _without_length(span):
    """The same span; its length is another one with another library."""
    if not any(field.name == "Length" for field in span.fields):
        return span
    return replace(span, fields=tuple(replace(field, varies=True) for field in span.fields), masked=True)


def _told(field):
    meaning = f" ({escape.plain(field.meaning, 80)})" if field.meaning else ""
    return f"{field.name} {escape.plain(field.text, 48)}{meaning}"


class RecordLayers(Layers):
    """The fields of one record as a tree."""

    def summary(self) -> str:
        """What lies in what."""
        return super().summary().replace("A frame of", "A record of", 1)
