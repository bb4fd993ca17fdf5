"""ICMP for IPv4, RFC 792: errors, and ping.  Built in chapter 10-internet-protocol.

An error carries the start of the packet that caused it: that is how the sender's kernel finds the socket to tell.
"""

from ipaddress import IPv4Address
from struct import unpack_from

from labs.decode.checksum import verdict
from labs.decode.fields import Field, Layer
from labs.decode.headers import Headers
from labs.decode.protocol import Decoded, Protocol
from labs.decode.reader import Reader
from labs.decode.reading import amount, need

__all__ = ["PROTOCOLS", "decode", "words"]

SEE = "RFC 792"
TYPES = {
    0: "Echo Reply", 3: "Destination Unreachable", 4: "Source Quench", 5: "Redirect", 8: "Echo", 9: "Router Advertisement",
    10: "Router Solicitation", 11: "Time Exceeded", 12: "Parameter Problem", 13: "Timestamp", 14: "Timestamp Reply",
}  # fmt: skip
CODES = {
    (3, 0): "net unreachable", (3, 1): "host unreachable", (3, 2): "protocol unreachable", (3, 3): "port unreachable",
    (3, 4): "fragmentation needed and DF set", (3, 5): "source route failed", (3, 6): "destination network unknown",
    (3, 7): "destination host unknown", (3, 9): "network administratively prohibited",
    (3, 10): "host administratively prohibited", (3, 13): "communication administratively prohibited",
    (5, 0): "redirect for the network", (5, 1): "redirect for the host", (11, 0): "time to live exceeded in transit",
    (11, 1): "fragment reassembly time exceeded", (12, 0): "pointer indicates the error",
}  # fmt: skip
ERRORS = (3, 4, 5, 11, 12)  # these quote a packet
ECHO = (0, 8)
TIMESTAMPS = (13, 14)


def decode(raw: bytes, at: int, end: int, below: tuple[Layer, ...] = ()) -> Decoded:
    """An ICMP header of 8 bytes (20 for timestamps); the meaning of bytes 4 to 7 depends on the type."""
    need(at, end, 8, "an ICMP header")
    kind, code, checksum = unpack_from("!BBH", raw, at)
    header = 20 if kind in TIMESTAMPS else 8
    need(at, end, header, f"an ICMP {TYPES.get(kind, 'header')}")
    fields = (
        Field("Type", kind, str(kind), TYPES.get(kind, "not decoded here"), at, 1, SEE),
        Field("Code", code, str(code), CODES.get((kind, code), ""), at + 1, 1, SEE),
        Field("Checksum", checksum, f"0x{checksum:04x}", _checksum(raw, at, end, below), at + 2, 2, SEE, varies=True),
        *_rest(raw, at, kind, code),
    )
    inner = "IPv4 (quoted)" if kind in ERRORS else "Data"
    return Layer("ICMP", 3, fields, at, header, end - at), inner, at + header, end


def _checksum(raw, at, end, below):
    """ICMP covers only itself; but all of itself, so that a fragment or a cut frame cannot be checked."""
    ip = below[-1] if below else None
    if ip and ip.name.endswith("(quoted)"):
        return "not checked: quoted in part"
    if ip and ip.name == "IPv4" and ip.offset + ip["Total Length"] > len(raw):
        return "not checked: the frame is cut short"
    if ip and ip.name == "IPv4" and ip["More Fragments"]:
        return "not checked: it covers all fragments"
    return verdict(raw[at:end], 2)


def _rest(raw, at, kind, code):
    """Bytes 4 to 7, and the three clocks of a timestamp."""
    first, second = unpack_from("!HH", raw, at + 4)
    if kind in ECHO or kind in TIMESTAMPS:
        r = Reader(raw, at + 4, len(raw), SEE)
        r.number("Identifier", 2, meaning="which ping asked", varies=True)
        r.number("Sequence Number", 2, meaning="which request this is")
        for name in ("Originate", "Receive", "Transmit") if kind in TIMESTAMPS else ():
            r.number(f"{name} Timestamp", 4, meaning="ms since midnight UT", varies=True)
        return r.fields
    if kind == 5:
        gateway = str(IPv4Address(raw[at + 4 : at + 8]))
        return (Field("Gateway Internet Address", gateway, gateway, "the better first hop", at + 4, 4, SEE),)
    if kind in (3, 11, 12):
        pointer, words = raw[at + 4], raw[at + 5]
        unused = ("Pointer", "byte of the quoted header that is wrong") if kind == 12 else ("Unused", "")
        last = ("Next-Hop MTU", "bytes that fit the next link", "RFC 1191 §4") if (kind, code) == (3, 4) else ("Unused", "", SEE)
        return (
            Field(unused[0], pointer, str(pointer), unused[1], at + 4, 1, SEE),
            Field("Length", words, str(words), "words quoted; 0: all that follows", at + 5, 1, "RFC 4884 §4"),
            Field(last[0], second, str(second), last[1], at + 6, 2, last[2]),
        )
    if kind in (4, 10):
        return (Field("Unused", first << 16 | second, str(first << 16 | second), "", at + 4, 4, SEE),)
    rest = raw[at + 4 : at + 8]
    return (Field("Rest of Header", rest, rest.hex(" "), "depends on the type", at + 4, 4, SEE),)


SAID = {0: "echo reply", 8: "echo request"}  # on a ladder; the others as in TYPES, in small letters
UNREACHABLE = {0: "network", 1: "host", 2: "protocol", 3: "port", 13: "administratively prohibited"}  # RFC 1812 §5.2.7.1


def words(frame: Headers, past: dict | None = None, window: bool = False) -> tuple[str, ...]:
    """ "echo request  seq 1  56 bytes", "port unreachable", "fragmentation needed  next MTU 1400"."""
    kind, code = frame.icmp_type, frame.icmp_code
    if kind is None:
        return ("header cut off",)
    if kind == 3 and code == 4:
        mtu = bytes_6_and_7(frame)
        return "fragmentation needed", f"next MTU {mtu}" if mtu else ""  # RFC 1191 §4
    if kind == 3 and code in UNREACHABLE:
        return (f"{UNREACHABLE[code]} unreachable" if code != 13 else UNREACHABLE[13],)
    return echo_words(frame, SAID.get(kind) or (TYPES[kind].lower() if kind in (3, 5, 11, 12) else ""))


def echo_words(frame: Headers, name: str) -> tuple[str, ...]:
    """The name of a message's type, and of an echo its number and size; both ICMPs are alike in this."""
    number = bytes_6_and_7(frame)
    if "echo" in name and number is not None:
        return name, f"seq {number}  {amount(frame.payload_length)}"
    return (name or f"type {frame.icmp_type}, code {frame.icmp_code}",)


def bytes_6_and_7(frame: Headers) -> int | None:
    """The number in the second half of a header's last word, None if it is cut off."""
    at, raw = frame.payload_at - 8, frame.raw
    return int.from_bytes(raw[at + 6 : at + 8], "big") if at >= 0 and len(raw) >= at + 8 else None


PROTOCOLS = (Protocol("ICMP", 3, decode, noun="ICMP message", words=words, echoes=True),)
