"""DNS messages, RFC 1035 §4: a header of 12 bytes, then questions and resource records, over UDP or TCP.

A name is a row of labels, each with its length before it.  To save bytes, the end of a name may be a pointer to an earlier place
of the message where the same labels stand (RFC 1035 §4.1.4).  A forged one could lead in a circle: here it may only lead back.
Built in chapter 08-introduction-to-protocols.
"""

from ipaddress import IPv4Address, IPv6Address

from labs.decode.fields import DecodeError, Field, Layer
from labs.decode.headers import Headers
from labs.decode.protocol import Decoded, Protocol, Unit
from labs.decode.reader import Reader
from labs.decode.reading import need, preview

__all__ = ["PROTOCOLS", "begins", "decode", "message", "units", "words"]

SEE = "RFC 1035 §4.1.1"
OPCODES = {0: "standard query", 1: "inverse query", 2: "server status", 4: "notify", 5: "update", 6: "stateful operation"}
RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
TYPES = {
    1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA", 33: "SRV", 41: "OPT", 43: "DS",
    46: "RRSIG", 48: "DNSKEY", 65: "HTTPS", 252: "AXFR", 255: "ANY",
}  # fmt: skip
CLASSES = {1: "IN", 3: "CH", 4: "HS", 254: "NONE", 255: "ANY"}
SECTIONS = {"Question": "QD", "Answer": "AN", "Authority": "NS", "Additional": "AR"}
SOA = ("Serial", "Refresh", "Retry", "Expire", "Minimum")
TELLING = {f"Answer {what}" for what in ("A", "AAAA", "NS", "CNAME", "PTR", "MX", "TXT", "SOA")}
LABELS = 127  # in a name of 255 bytes; more pointers than that lead nowhere new
SHOWN = 3  # records of an answer that fit on a line


def begins(raw: bytes, at: int, end: int) -> bool:
    """True if a plausible header stands here; over TCP two bytes with the length stand before it."""
    return _header(raw, at, end) or (_header(raw, at + 2, end) and int.from_bytes(raw[at : at + 2], "big") >= 12)


def _header(raw: bytes, at: int, end: int) -> bool:
    return end - at >= 12 and raw[at + 2] >> 3 & 15 in OPCODES and not raw[at + 3] & 0x40  # Z must be zero


def decode(raw: bytes, at: int, end: int, below: tuple[Layer, ...] = ()) -> Decoded:
    """One message; over TCP with the two bytes before it (RFC 1035 §4.2.2)."""
    r = Reader(raw, at, end, "RFC 1035 §4.2.2")
    if below and not below[-1].name.startswith("UDP"):
        length = r.number("Message Length", 2, meaning="bytes: TCP is a stream, and does not know where a message ends")
        r.end = min(r.at + length, end)
    error = _read(r)
    stop = max(field.offset + field.length for field in r.fields)
    if error and stop < r.end:
        r.fields.append(Field("Not Read", raw[stop : r.end], preview(raw[stop : r.end]), "", stop, r.end - stop, SEE))
        stop = r.end
    return Layer("DNS", 7, tuple(r.fields), at, stop - at, stop - at, error), None, stop, stop


def message(raw: bytes) -> Layer:
    """A message by itself, without the length that TCP needs.  Raises DecodeError if its header is not whole."""
    return decode(bytes(raw), 0, len(raw))[0]


def _read(r: Reader) -> str:
    """All of a message into r.fields; returns what was wrong behind the header."""
    start, r.see = r.at, SEE
    need(r.at, r.end, 12, "a DNS header")
    r.number("ID", 2, meaning="pairs an answer with its query", varies=True)
    r.bits(
        2, ("QR", 1, {0: "query", 1: "response"}), ("Opcode", 4, OPCODES), ("AA", 1, {1: "from the server that knows"}),
        ("TC", 1, {1: "truncated: ask again over TCP"}), ("RD", 1, {1: "recursion desired"}),
        ("RA", 1, {1: "recursion available"}), ("Z", 1, "must be zero"), ("AD", 1, {1: "authentic data, RFC 4035 §3.2.3"}),
        ("CD", 1, {1: "checking disabled, RFC 4035 §3.2.2"}), ("RCODE", 4, RCODES),
    )  # fmt: skip
    counts = [r.number(f"{name}COUNT", 2, meaning=f"{section.lower()} entries") for section, name in SECTIONS.items()]
    try:
        for section, count in zip(SECTIONS, counts):
            for _ in range(count):
                (_question if section == "Question" else _record)(r, start, section)
    except DecodeError as problem:
        return str(problem)
    return ""


def _question(r: Reader, start: int, section: str) -> None:
    r.see = "RFC 1035 §4.1.2"
    _name(r, f"{section} Name", start)
    r.number(f"{section} Type", 2, meaning=TYPES.get(_next(r), "not decoded here"))
    r.number(f"{section} Class", 2, meaning=CLASSES.get(_next(r), ""))


def _record(r: Reader, start: int, section: str) -> None:
    """A resource record: RFC 1035 §4.1.3; OPT, which is none but looks like one: RFC 6891 §6.1."""
    r.see = "RFC 1035 §4.1.3"
    _name(r, f"{section} Name", start)
    kind = r.number(f"{section} Type", 2, meaning=TYPES.get(_next(r), "not decoded here"))
    if kind == 41:
        r.see = "RFC 6891 §6.1"
        r.number("UDP Payload Size", 2, meaning="bytes of a UDP message that the sender can take")
        r.bits(4, ("Extended RCODE", 8, "upper bits of RCODE"), ("EDNS Version", 8, ""), ("DO", 1, {1: "DNSSEC wanted"}),
               ("EDNS Z", 15, "must be zero"))  # fmt: skip
    else:
        r.number(f"{section} Class", 2, meaning=CLASSES.get(_next(r), ""))
        r.number(f"{section} TTL", 4, meaning="seconds that it may be kept")
    data = r.inside(r.number(f"{section} Data Length", 2, meaning="bytes"))
    _data(data, kind, section, start)
    data.rest("Record Data", meaning="not decoded here")


def _data(r: Reader, kind: int, section: str, start: int) -> None:
    if kind == 1 and r.left == 4:
        _address(r, f"{section} A", IPv4Address, 4, "RFC 1035 §3.4.1")
    elif kind == 28 and r.left == 16:
        _address(r, f"{section} AAAA", IPv6Address, 16, "RFC 3596 §2.2")
    elif kind in (2, 5, 12):
        r.see = "RFC 1035 §3.3"
        _name(r, f"{section} {TYPES[kind]}", start)
    elif kind == 15:
        r.see = "RFC 1035 §3.3.9"
        r.number("Preference", 2, meaning="the lowest is tried first")
        _name(r, f"{section} MX", start)
    elif kind == 16:
        r.see = "RFC 1035 §3.3.14"
        while r.left:
            r.vector(f"{section} TXT", 1)
    elif kind == 6:
        r.see = "RFC 1035 §3.3.13"
        _name(r, f"{section} SOA", start, "first name server of the zone")
        _name(r, "RNAME", start, "mailbox of who answers for it; the first dot stands for @")
        for name in SOA:
            r.number(name, 4, meaning="" if name == "Serial" else "seconds")
    elif kind == 41:
        r.see = "RFC 6891 §6.1.2"
        while r.left:
            r.number("Option Code", 2)
            r.vector("Option", 2)


def _address(r: Reader, name: str, kind: type, size: int, see: str) -> None:
    r.see, text = see, str(kind(r.peek(size)))
    r.data(name, size, text=text, value=text)


def _next(r: Reader) -> int:
    return int.from_bytes(r.peek(2), "big")


def _name(r: Reader, field: str, start: int, meaning: str = "") -> None:
    """A domain name as one field; a pointer is followed, and said."""
    text, size, pointer = name_at(r.raw, r.at, r.end, start)
    if pointer is not None:
        meaning = "; ".join(part for part in (meaning, f"goes on at byte {pointer} of the message") if part)
    r.data(field, size, text=text, meaning=meaning, value=text)


def name_at(raw: bytes, at: int, end: int, start: int) -> tuple[str, int, int | None]:
    """The name at `at`, the bytes that it takes there, and where its pointer leads, counted from `start`."""
    labels, here, size, pointer, before, total = [], at, 0, None, at, 1
    for _ in range(2 * LABELS):
        need(here, end, 1, "a label of a domain name")
        length = raw[here]
        if length >= 0xC0:
            need(here, end, 2, "a pointer in a domain name")
            place = (length & 0x3F) << 8 | raw[here + 1]
            if pointer is None:
                pointer, size = place, here + 2 - at
            if start + place >= before:
                raise DecodeError(f"a pointer in a name leads back; this one leads to byte {place}, which is not before it.")
            here = before = start + place
        elif length >= 0x40:
            raise DecodeError(f"a label has up to 63 bytes; 0x{length:02x} came as its length. The message is damaged or forged.")
        elif length:
            need(here, end, 1 + length, "a label of a domain name")
            labels.append(raw[here + 1 : here + 1 + length])
            here, total = here + 1 + length, total + 1 + length
            if total > 255:
                raise DecodeError("a domain name has up to 255 bytes (RFC 1035 §3.1); a longer one came. It is forged.")
        else:
            return ".".join(map(_label, labels)) or ".", size if pointer is not None else here + 1 - at, pointer
    raise DecodeError(f"a name has up to {LABELS} labels; so many pointers came that it is forged.")


def _label(data: bytes) -> str:
    """A label as RFC 1035 §5.1 writes it: what is not printable, or has a meaning, behind a backslash."""
    return "".join(f"\\{chr(b)}" if b in b".\\" else chr(b) if 32 < b < 127 else f"\\{b:03d}" for b in data)


def told(layer: Layer) -> str:
    """ "query A shop.test", "answer A 10.0.0.2", "NXDOMAIN  shop.test"."""
    kinds, names = ([f.value for f in layer.fields if f.name == f"Question {what}"] for what in ("Type", "Name"))
    asked = " ".join([*(TYPES.get(kind, f"type {kind}") for kind in kinds[:1]), *names[:1]])
    more = "  cut off" if layer.error else "  truncated" if layer["TC"] else ""
    if not layer["QR"]:
        return f"{OPCODES.get(layer['Opcode'], 'opcode') if layer['Opcode'] else 'query'} {asked}".rstrip() + more
    if layer["RCODE"]:
        return f"{RCODES.get(layer['RCODE'], 'error ' + str(layer['RCODE']))}  {' '.join(names[:1])}".rstrip() + more
    answers = []  # [type, data]
    for field in layer.fields:
        if field.name == "Answer Type":
            answers.append([TYPES.get(field.value, f"type {field.value}"), ""])
        elif field.name in TELLING:
            answers[-1][1] = f"{answers[-1][1]} {field.text}".strip()
    before = ["", *(kind for kind, _ in answers)]  # a type is said once for several in a row
    said = [f"{kind} {text}".strip() if kind != last else text for (kind, text), last in zip(answers, before)]
    if not said:
        return f"no {asked}".rstrip() + more
    return f"answer {', '.join(said[:SHOWN])}" + (f" and {len(said) - SHOWN} more" if said[SHOWN:] else "") + more


def words(frame: Headers, past: dict | None = None, window: bool = False) -> tuple[str, str]:
    """What a ladder writes beside a datagram that carries a message."""
    head, _, rest = told(message(frame.payload)).partition("  ")
    return head, rest


def units(up: bytes, down: bytes, ended: bool = True) -> tuple[list[Unit], tuple[str, str], int, int]:
    """The messages of both sides of a TCP connection."""
    found = []
    for side, data in (("client", up), ("server", down)):
        at = 0
        while at < len(data):
            length = min(2 + int.from_bytes(data[at : at + 2], "big"), len(data) - at)
            try:
                layer = message(data[at + 2 : at + length])
                said, kind = told(layer), "response" if layer["QR"] else "request"
            except DecodeError:
                said, kind, layer = "cut off", "message", None
            found.append(Unit("DNS", side, at, length, said, kind, layer))
            at += length
    return found, ("", ""), len(up), len(down)


PROTOCOLS = (
    Protocol(
        "DNS", 7, decode, noun="DNS message", words=words, begins=begins, ports=(53,), behind=lambda _: "Application", units=units
    ),
)
