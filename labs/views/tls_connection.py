"""TLS as a capture shows it, opened with a key log.

    session = labs.tls(cap, keylog)
    session                       every record: who sent it, in which frames, what it says on the wire, what is inside
    session[3].bytes()            one record, byte by byte
    session[3].plaintext          what was encrypted

It puts the TCP streams together from the frames (chapter 24-tcp-connection), cuts them into records and opens those
(labs.decode.tls_session).  Chapter 16-tls is about it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate
from types import SimpleNamespace
from typing import TYPE_CHECKING

from labs.captures.frame import Frame
from labs.captures.stream import saying, streams
from labs.decode.conversation import conversation
from labs.decode.fields import DecodeError
from labs.decode.http2 import Http2Frame
from labs.decode.peel import peel
from labs.decode.protocol import Unit
from labs.decode.reading import preview
from labs.decode.tls import begins
from labs.decode.tls_names import GROUPS, SUITES, VERSIONS, called
from labs.decode.tls_session import open_streams
from labs.tables import columns

from . import escape, palette
from .draw import Figure
from .tls_record import CHOSEN, SessionRecord, landed
from .view import View, count

if TYPE_CHECKING:
    from labs.captures.capture import Capture

__all__ = ["Session", "SessionRecord", "shown", "tls"]

SIDES = ("client", "server")
HEAD = ("", "segment", "from", "on the wire", "bytes", "[inside]")
PREVIEW = 48  # bytes of application data that a row shows


def tls(capture: Capture, keylog: str = "", nth: int = 1) -> Session:
    """The `nth` TLS connection of a capture, as a Session; `keylog` is the text of an NSS key log (SSLKEYLOGFILE).

    What cannot be opened stays in the list and says why.  A capture without TLS gives a Session without records.
    """
    if not isinstance(keylog, str):
        raise TypeError(f"expected the text of a key log, got {type(keylog).__name__}: read the file first")
    found = [stream for stream in streams(_arrived(capture)) if any(begins(d, 0, len(d)) for d in map(stream.sent, SIDES))]
    if nth < 1 or nth > max(len(found), 1):
        most = max(len(found), 1)
        raise ValueError(f"expected nth from 1 to {most}, got {nth}: so many TCP connections here begin with a TLS record")
    return Session(found[nth - 1] if found else None, keylog, getattr(capture, "origin", ""), getattr(capture, "hosts", ()))


def _arrived(capture):
    """The frames as the receivers got them: without those that were lost, and with the bytes that the wire changed."""
    frames = []
    for frame in capture:
        changed = frame.arrivals[0].raw if frame.arrivals else None
        if changed is not None and not frame.lost:
            if not _intact(changed):
                continue  # TCP itself threw it away
            arrivals, frame = frame.arrivals, Frame(changed, number=frame.number, time=frame.time, sender=frame.sender)
            frame.arrivals = arrivals
        if not frame.lost:
            frames.append(frame)
    return SimpleNamespace(frames=frames, names=getattr(capture, "names", None) or {})


def _intact(raw):
    """Whether TCP's checksum fits: a receiver throws away what does not."""
    fields = [field for layer in peel(raw) if layer.name == "TCP" for field in layer.fields]
    return any(field.name == "Checksum" and not field.meaning.startswith("wrong") for field in fields)


class Session(View):
    """A TLS connection: a list of its records, in the order in which they were complete.  Prints as a table, and draws one.

    client, server: host names; version, suite, group, server_name, alpn: what was agreed on, as text, "" where it is not visible;
    opening: (host, sent, arrived) of TCP's SYN and SYN, ACK; problems: what was wrong with the streams as such.
    """

    def __init__(self, stream, keylog, origin="", network=()):
        data = {side: stream.sent(side) if stream else b"" for side in SIDES}
        there = dict(zip(SIDES, SIDES))  # role in TLS → side of the TCP connection
        if data["server"][5:6] == b"\1" and data["client"][5:6] != b"\1":
            there = dict(zip(SIDES, reversed(SIDES)))  # a capture that begins late: the client is who says ClientHello
        hosts = {role: _host(getattr(stream, there[role])) if stream else role for role in SIDES}
        self.network = tuple(network)  # all hosts in their order: what gives each its colour
        self.client, self.server, self.origin, self.empty = hosts["client"], hosts["server"], origin, stream is None
        self.keylog = bool(keylog.strip())  # whether one was given
        found = open_streams(keylog, data[there["client"]], data[there["server"]])
        self.problems, self.hello, self.answer = [] if self.empty else list(found.problems), found.hello, found.answer
        self.version_number = found.version
        self.version = called(found.version, VERSIONS) if found.version else ""
        self.suite = called(found.suite, SUITES) if found.suite else ""
        syns = [frame for frame in stream.frames if frame.syn][:2] if stream else []
        self.opening = [(hosts["server" if syn.is_ack else "client"], syn.time, landed(syn)) for syn in syns]
        rows, latest = [], dict.fromkeys(SIDES, (0, 0))
        for opened in found.records:
            frames = stream.frames_of(there[opened.sender], opened.offset, len(opened.raw))
            came = max((frame.time, frame.number) for frame in frames)
            latest[opened.sender] = max(latest[opened.sender], came)  # TCP keeps order
            rows.append((latest[opened.sender], SessionRecord(opened, hosts[opened.sender], frames, found.version, origin)))
        rows.sort(key=lambda row: row[0])  # stable: records of one frame stay in order
        self.records = [record for _, record in rows]
        order = {frame: at for at, frame in enumerate(dict.fromkeys(f for r in self.records for f in r.frames), 1)}
        for number, record in enumerate(self.records, 1):
            record.number, record.segments = number, tuple(order[frame] for frame in record.frames)
        self._agreed()

    def _agreed(self):
        said = {"server_name": "", "alpn": "", "group": ""}
        layers = [layer for record in self.records for layer in record.inside() if layer.number == 6]
        for field in self.hello.fields if self.hello else ():
            if field.name == "Host Name":
                said["server_name"] = field.value
        for layer in layers:
            if layer.name in ("ServerHello", "EncryptedExtensions", "ServerKeyExchange"):
                for field in layer.fields:
                    if field.name == "Protocol":
                        said["alpn"] = field.value
                    elif field.name in ("Group", "Named Curve"):
                        said["group"] = called(field.value, GROUPS)
        self.server_name, self.alpn, self.group = said["server_name"], said["alpn"], said["group"]

    def plaintext(self, sender: str) -> bytes:
        """All application data of a host, as far as it is open: what its program wrote."""
        return b"".join(record.plaintext for record in self._open(sender))

    def _open(self, sender):
        return [r for r in self.records if r.sender == sender and r.content_type == 23 and r.plaintext is not None]

    def units(self) -> list[tuple[int, Unit]]:
        """What the programs said inside, in whatever protocol (ALPN says it): [(number of the frame that brought it, Unit), …].

        One that is spread over several records has the number of the first.
        """
        found, hosts = [], dict(zip(SIDES, (self.client, self.server)))
        records = {side: self._open(host) for side, host in hosts.items()}
        ends = {side: list(accumulate(len(record.plaintext) for record in some)) for side, some in records.items()}
        for unit in conversation(self.plaintext(self.client), self.plaintext(self.server), handed_over_by=("ALPN", self.alpn)):
            record = records[unit.side][bisect_right(ends[unit.side], unit.offset)]
            found.append((record.frames[-1], unit))
        return sorted(found, key=lambda pair: pair[0])

    def said(self) -> Callable[[Frame], tuple[str, str] | None]:
        """A function for cap.ladder(say=…): a ladder of what the programs said inside."""
        return saying(self.units())

    def http2(self) -> list[tuple[int, Http2Frame]]:
        """The HTTP/2 frames inside, as they came: [(number of the captured frame that brought it, Http2Frame), …].

        Raises DecodeError where the client speaks something else.  RFC 9113 §4.
        """
        said = self.units()
        for _, unit in said:
            if not isinstance(unit.detail, Http2Frame):
                raise DecodeError(f"expected HTTP/2 inside this connection, got {unit.protocol}: {unit.words}")
        return [(number, unit.detail) for number, unit in said]

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
        rows: list[tuple[str, ...]] = []
        for r in self.records:
            size = "·" if _chosen(r) else f"{len(r.body):,}"
            rows.append((str(r.number), _range(r.segments), escape.plain(r.sender, 40), r.wire_type, size, self.told(r)))
        return rows

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
        from .tls_figure import draw

        return draw(self)

    def __len__(self):
        return len(self.records)

    def __iter__(self):
        return iter(self.records)

    def __getitem__(self, index):
        return self.records[index]

    def find(self, what: str, sender: str | None = None) -> SessionRecord:
        """The first record that is, or holds, `what`: "ClientHello", "close_notify", "application data".  Else a LookupError."""
        for record in self.records:
            if what in record.what and sender in (None, record.sender):
                return record
        there = ", ".join(dict.fromkeys(record.what or "closed ones" for record in self.records)) or "none"
        raise LookupError(f"no record of this session is {what!r}; there are {there}")


def _host(end):
    return end.name or end.address


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
