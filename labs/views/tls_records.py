"""The records of a TLS connection as a table, and one record byte by byte.  Built in chapter 16-tls."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from labs.decode.reading import preview
from labs.tables import columns

from . import escape, palette
from .bytemap import ByteMap
from .layers import Layers
from .names import Names
from .spans import Span, spans
from .view import View, count

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .tls_connection import SessionRecord

__all__ = ["RecordBytes", "RecordLayers", "Records"]

HEAD = ("", "segment", "from", "on the wire", "bytes", "[inside]")
PREVIEW = 48  # bytes of application data that a row shows
# How long these messages are, and what they offer in which order, differs from one TLS library to the next: the pictures show it,
# the texts, which have to be the same everywhere, do not.
CHOSEN = {"ClientHello", "ServerHello", "HelloRetryRequest", "EncryptedExtensions", "Certificate", "NewSessionTicket"}
LISTS = {"Cipher Suites Length", "Extensions Length", "Request Context Length", "Certificate List Length", "Ticket Lifetime"}
KEPT = {"Host Name", "Protocol", "Supported Versions", "Selected Version", "Group", "Selected Group"}  # the programs' own choice


class Records(View):
    """Base of labs.views.tls_connection.Session, which gives records, client, server, network, version, suite, group,
    server_name, alpn and problems; this shows them."""

    def heading(self) -> str:
        """What was agreed on, as far as one can see it."""
        if self.empty:
            return "No TLS in this capture: no TCP stream in it begins with a TLS record."
        parts = [self.version or "TLS, no version agreed on", self.suite, self.group]
        parts += [f"for {self.server_name}"] if self.server_name else []
        parts += [f"ALPN {self.alpn}"] if self.alpn else []
        return " · ".join(escape.plain(part, 80) for part in parts if part)

    def colour(self, host: str) -> str:
        """A host's colour, given by its place in the network."""
        hosts = self.network or (self.client, self.server)
        return palette.host_colour(hosts.index(host) if host in hosts else len(hosts))

    def rows(self) -> list[tuple[str, ...]]:
        """(number, segments, sender, what everyone can read, bytes of the body, what is inside) of each record, as text.

        "·" stands for a length that the TLS library chooses, and for that of a record which is closed.
        """
        return [
            (
                str(r.number),
                _range(r.segments),
                escape.plain(r.sender, 40),
                r.wire_type,
                "·" if _chosen(r) else f"{len(r.body):,}",
                self.told(r),
            )
            for r in self.records
        ]

    def told(self, record: SessionRecord) -> str:
        """What a record is, for the last column: "ClientHello"; "[Finished]" if it was encrypted; "closed: …" with the reason."""
        if record.problem:
            return "closed" if record.encrypted and not self.keylog else f"closed: {escape.plain(record.problem, 160)}"
        what = escape.plain(record.what, 80)
        if record.content_type == 23:
            what += f", {count(len(record.plaintext), 'byte')}: {shown(record.plaintext)}" if record.plaintext else ", empty"
        return f"[{what}]" if record.encrypted else what

    def summary(self) -> str:
        """How many records there are, how many are encrypted, and how many of those were opened."""
        if not self.records:
            return self.heading()
        hidden = [r for r in self.records if r.encrypted]
        closed = [r for r in hidden if r.problem]
        text = f"{count(len(self.records), 'record')}, {len(hidden) or 'none'} of them encrypted"
        if hidden and not self.keylog:
            text += "; to open them, give labs.tls the key log"
        elif hidden:
            text += ", all opened with the key log" if not closed else f", {len(closed)} not opened: {closed[0].problem}"
        return f"{text}."

    @property
    def text(self) -> str:
        """What was agreed on, then one line a record."""
        rows = self.rows()
        lines = [self.heading(), *(["", *columns([HEAD, *rows], "><<<>")] if rows else [])]
        return "\n".join(lines + [f"✗ {escape.plain(problem, 200)}" for problem in self.problems])

    def figure(self) -> Figure:
        """The table as a matplotlib Figure."""
        from .tls_records_figure import draw

        return draw(self)


def shown(data: bytes) -> str:
    """The beginning of some bytes, for people."""
    beginning = preview(data, PREVIEW).partition(f" … ({len(data)} bytes)")[0]
    return escape.plain(beginning, 90) + " …" * (len(data) > PREVIEW)


def _chosen(record):
    return record.plaintext is None or any(part.split(" ")[-1] in CHOSEN for part in record.what.split(", "))


def _range(numbers):
    if not numbers:
        return "–"
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}–{numbers[-1]}"


class RecordBytes(ByteMap):
    """A byte map of one record, or of what it hid: `layers` are those of `raw`, `extra` lie over ciphertext.

    The picture has all of it.  Of a hello (and the other messages in CHOSEN) the text has the beginning, and then only what the
    two programs asked for; `print(record.layers())` names every field.
    """

    most = 416  # bytes drawn: a whole ClientHello

    def __init__(self, raw, layers, extra=(), origin="", plain=(0, b"")):
        self.raw, self.layers, self.extra, self.origin = bytes(raw), tuple(layers), tuple(extra), origin
        self.spans = spans(len(self.raw), self.layers, self.extra)
        self.plain = {plain[0] + at: plain[1][at : at + 1] for at in range(len(plain[1]))}
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

    def __init__(self, raw, layers, extra=(), origin=""):
        self.frame = self.raw = bytes(raw)
        self.layers, self.extra, self.origin, self.names = tuple(layers), tuple(extra), origin, Names({})

    def summary(self) -> str:
        """What lies in what."""
        return super().summary().replace("A frame of", "A record of", 1)
