"""TLS as a capture shows it, opened with a key log.

    session = labs.tls(cap, keylog)
    session                       every record: who sent it, in which frames, what it says on the wire, what is inside
    session[3].bytes()            one record, byte by byte
    session[3].plaintext          what was encrypted

It puts the TCP streams together from the frames (chapter 24-tcp-connection), cuts them into records and opens those
(labs.decode.tls_session).  Chapter 16-tls is about it.
"""

from dataclasses import replace

from labs.decode.headers import Headers
from labs.decode.peel import peel, peel_application
from labs.decode.tls import begins, decode, tail, tail12
from labs.decode.tls_handshake import inside
from labs.decode.tls_names import CONTENT_TYPES, GROUPS, SUITES, VERSIONS, called
from labs.decode.tls_session import open_streams
from labs.views.records import RecordBytes, RecordLayers, Records

__all__ = ["Session", "SessionRecord", "streams", "tls"]

TLS13 = 0x0304


def tls(capture, keylog="", nth=1):
    """The `nth` TLS connection of a capture, as a Session; `keylog` is the text of an NSS key log (SSLKEYLOGFILE).

    What cannot be opened stays in the list and says why.  A capture without TLS gives a Session without records.
    """
    if not isinstance(keylog, str):
        raise TypeError(f"expected the text of a key log, got {type(keylog).__name__}: read the file first")
    found = [pair for pair in streams(capture) if any(begins(one.data, 0, len(one.data)) for one in pair)]
    if nth < 1 or nth > max(len(found), 1):
        raise ValueError(
            f"expected nth from 1 to {max(len(found), 1)}, got {nth}: so many connections of the capture begin with a TLS record"
        )
    return Session(*(found[nth - 1] if found else (Stream(), Stream())), keylog, getattr(capture, "origin", ""), len(found))


class Stream:
    """The bytes that one side of a TCP connection got from the other, in order, and which frame brought which."""

    def __init__(self, host="", start=None):
        self.host, self.start, self.data = host, start, b""
        self.syn = None  # (sent, arrived) of its SYN, in nanoseconds
        self.pieces = []  # (first byte, byte behind, frame number, when it was sent, when it arrived), in the order of the bytes
        self._waiting = {}  # offset → (bytes, frame number, sent, arrived)

    def add(self, frame, segment):
        """Take a segment: now, or when the gap before it is filled."""
        at = (segment.seq + bool(segment.flags & 2) - self.start) % 2**32
        arrived = frame.arrivals[0].time if frame.arrivals else frame.time
        if segment.flags & 2:
            self.syn = frame.time, arrived
        if segment.payload and at < 2**31:
            known = self._waiting.get(at)
            if known is None or len(known[0]) < len(segment.payload):
                self._waiting[at] = (segment.payload, frame.number, frame.time, arrived)
        while ready := [at for at in self._waiting if at <= len(self.data)]:
            at = min(ready)
            payload, *when = self._waiting.pop(at)
            new = payload[len(self.data) - at :]
            if new:
                self.pieces.append((len(self.data), len(self.data) + len(new), *when))
                self.data += new

    def frames(self, start, end):
        """The numbers of the frames that brought bytes [start, end), and when the last of them was sent and arrived."""
        parts = [piece[2:] for piece in self.pieces if piece[0] < end and start < piece[1]]
        return tuple(part[0] for part in parts), *(parts[-1][1:] if parts else (0, 0))


def streams(capture):
    """The TCP connections of a capture as pairs (what the opener sent, what the other side sent), in order of their first frame.

    What counts is what arrived: lost frames are left out, and of a frame that the wire changed, the changed bytes.
    """
    found, order = {}, []
    for frame in capture:
        if frame.protocol != "TCP" or frame.seq is None or frame.lost:
            continue
        changed = frame.arrivals[0].raw if frame.arrivals else None
        segment = frame if changed is None else Headers(changed)
        if changed is not None and not _intact(changed):
            continue  # TCP itself threw it away
        key = segment.src, segment.sport, segment.dst, segment.dport
        back = key[2:] + key[:2]
        opens = bool(segment.flags & 2) and not segment.flags & 16
        if opens and (key not in found or found[key].start != (segment.seq + 1) % 2**32) or key not in found:
            pair = Stream(_host(capture, frame, segment.src)), Stream(_host(capture, None, segment.dst))
            found[key], found[back] = pair
            order.append(pair)
        stream = found[key]
        if stream.start is None:
            stream.start = (segment.seq + bool(segment.flags & 2)) % 2**32
        stream.add(frame, segment)
    return order


def _intact(raw):
    """Whether TCP's checksum fits: a receiver throws away what does not."""
    fields = [field for layer in peel(raw) if layer.name == "TCP" for field in layer.fields]
    return any(field.name == "Checksum" and not field.meaning.startswith("wrong") for field in fields)


def _host(capture, frame, address):
    names = getattr(capture, "names", None) or {}
    return names.get(address) or getattr(frame, "sender", "") or str(address)


class Session(Records):
    """A TLS connection: a list of its records, in the order in which they were complete.  Prints as a table, and draws one.

    client, server: host names; version, suite, group, server_name, alpn: what was agreed on, as text, "" where it is not visible;
    keylog_lines: the labels that were used; problems: what was wrong with the streams as such.
    """

    def __init__(self, one, other, keylog, origin="", connections=0):
        if other.data[5:6] == b"\1" and one.data[5:6] != b"\1":
            one, other = other, one  # a capture that begins late: the client is who says ClientHello
        self.client, self.server, self.origin, self.connections = one.host, other.host, origin, connections
        self.keylog = bool(keylog.strip())  # whether one was given
        found = open_streams(keylog, one.data, other.data)
        self.problems, self.hello, self.answer = list(found.problems) if connections else [], found.hello, found.answer
        self.version_number = found.version
        self.version = called(found.version, VERSIONS) if found.version else ""
        self.suite = called(found.suite, SUITES) if found.suite else ""
        sides = {"client": one, "server": other}
        self.opening = [
            (side.host, *side.syn) for side in (one, other) if side.syn
        ]  # TCP's SYN and SYN, ACK: host, sent, arrived
        rows = []
        for opened in found.records:
            frames, *when = sides[opened.sender].frames(opened.offset, opened.offset + len(opened.raw))
            record = SessionRecord(opened, sides[opened.sender].host, frames, when, found.version, origin)
            rows.append((record.time, frames[-1] if frames else 0, record))
        rows.sort(key=lambda row: row[:2])  # stable: records of one frame stay in order
        self.records = [record for _, _, record in rows]
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

    def plaintext(self, sender):
        """All application data of a host, as far as it is open: what its program wrote."""
        return b"".join(
            r.plaintext for r in self.records if r.sender == sender and r.content_type == 23 and r.plaintext is not None
        )

    def __len__(self):
        return len(self.records)

    def __iter__(self):
        return iter(self.records)

    def __getitem__(self, index):
        return self.records[index]

    def find(self, what, sender=None):
        """The first record that is, or holds, `what` ("ClientHello", "close_notify", "application data").  LookupError if none is."""
        for record in self.records:
            if what in record.what and sender in (None, record.sender):
                return record
        raise LookupError(
            f"no record of this session is {what!r}; there are {', '.join(dict.fromkeys(r.what or 'closed ones' for r in self.records)) or 'none'}"
        )


class SessionRecord:
    """One record: number, sender (host), frames (numbers), what it is (`what`), and its bytes, as they were and opened."""

    def __init__(self, opened, sender, frames, when, version, origin):
        self._opened, self.number, self.sender, self.frames, self.origin = opened, 0, sender, frames, origin
        self.segments = ()  # the same frames, counted from 1 among those that carry TLS: no acknowledgement changes these numbers
        self.time, self.arrived = when  # when its last byte was sent, and when that arrived; nanoseconds
        self._version = version if version is not None else TLS13

    def __getattr__(self, name):  # type, raw, encrypted, content_type, plaintext, what, keys, problem: as labs.decode found them
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._opened, name)

    @property
    def header(self):
        """Its first five bytes."""
        return self.raw[:5]

    @property
    def body(self):
        """What follows the header: encrypted, unless it is one of the first records."""
        return self.raw[5:]

    @property
    def wire_type(self):
        """The content type that everyone can read."""
        return called(self.type, CONTENT_TYPES, 1)

    def outside(self):
        """The record as layers, as far as one can read it without keys."""
        layer = decode(self.raw, 0, len(self.raw))[0]
        return (
            layer if self.encrypted or self.problem else replace(layer, fields=layer.fields[:3]),
        )  # its content is named by inside()

    def inside(self):
        """What was encrypted, or lies open: layers that lie over the record's body."""
        opened = self._opened
        if opened.plaintext is None:
            return ()
        at = opened.inner
        layers = (
            peel_application(opened.plaintext, at)
            if opened.content_type == 23
            else inside(opened.content_type, opened.plaintext, at, self._version)
        )
        if opened.encrypted and self._version == TLS13:
            layers += (tail(opened, at),)
        elif opened.encrypted:
            layers += tail12(opened, at)
        return layers

    def _both(self):
        """(layers of the bytes as they are, layers that lie over ciphertext)."""
        return (self.outside(), self.inside()) if self.encrypted else (self.outside() + self.inside(), ())

    def layers(self):
        """The record, field by field."""
        return RecordLayers(self.raw, *self._both(), self.origin)

    def bytes(self):
        """The record's bytes, each with the field that it belongs to: what is encrypted bears the name of what it hides."""
        plain = (self.inner, self.plaintext) if self.encrypted and self.content_type == 23 else (0, b"")
        return RecordBytes(self.raw, *self._both(), self.origin, plain)

    def plain(self):
        """The bytes that were encrypted, in the clear, each with its field."""
        opened = self._opened
        text = opened.plaintext or b""
        layers = peel_application(text) if opened.content_type == 23 else inside(opened.content_type, text, 0, self._version)
        return RecordBytes(text, layers, (), self.origin)

    def __repr__(self):
        return f"record {self.number}, {self.sender}: {self.wire_type}" + (
            f", inside: {self.what}" if self.encrypted and self.what else ""
        )
