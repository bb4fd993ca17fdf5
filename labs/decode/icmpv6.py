"""ICMPv6, RFC 4443: errors and ping; and Neighbor Discovery, RFC 4861, which does for IPv6 what ARP does for IPv4."""

from ipaddress import IPv6Address
from struct import unpack_from

from labs.decode.checksum import transport_verdict
from labs.decode.fields import Field, Layer
from labs.decode.headers import Headers
from labs.decode.icmp import echo_words
from labs.decode.protocol import Decoded, Protocol
from labs.decode.reader import Reader
from labs.decode.reading import need, preview

__all__ = ["PROTOCOLS", "decode", "words"]

SEE, NDP = "RFC 4443 §2.1", "RFC 4861 §4"
TYPES = {
    1: "Destination Unreachable", 2: "Packet Too Big", 3: "Time Exceeded", 4: "Parameter Problem", 128: "Echo Request",
    129: "Echo Reply", 130: "Multicast Listener Query", 133: "Router Solicitation", 134: "Router Advertisement",
    135: "Neighbor Solicitation", 136: "Neighbor Advertisement", 137: "Redirect", 143: "Multicast Listener Report v2",
}  # fmt: skip
CODES = {
    (1, 0): "no route to destination", (1, 1): "administratively prohibited", (1, 3): "address unreachable",
    (1, 4): "port unreachable", (3, 0): "hop limit exceeded in transit", (3, 1): "fragment reassembly time exceeded",
    (4, 0): "erroneous header field", (4, 1): "unrecognized Next Header type", (4, 2): "unrecognized IPv6 option",
}  # fmt: skip
SIZES = {133: 8, 134: 16, 135: 24, 136: 24, 137: 40}  # Neighbor Discovery: fixed part, before its options
NA_FLAGS = (("R", 1, "sent by a router"), ("S", 1, "solicited: answers a question"), ("O", 1, "override the cached address"))
OPTIONS = {
    1: "Source Link-Layer Address", 2: "Target Link-Layer Address", 3: "Prefix Information", 4: "Redirected Header", 5: "MTU",
}  # fmt: skip


def decode(raw: bytes, at: int, end: int, below: tuple[Layer, ...] = ()) -> Decoded:
    """An ICMPv6 message: the fixed part and, in Neighbor Discovery, the options."""
    need(at, end, 8, "an ICMPv6 header")
    kind, code, checksum = unpack_from("!BBH", raw, at)
    header, error = SIZES.get(kind, 8), ""
    need(at, end, header, f"an ICMPv6 {TYPES.get(kind, 'header')}")
    summed = transport_verdict(raw, at, end, below, 58, 2)
    fields = [
        Field("Type", kind, str(kind), TYPES.get(kind, "not decoded here"), at, 1, SEE),
        Field("Code", code, str(code), CODES.get((kind, code), ""), at + 1, 1, SEE),
        Field("Checksum", checksum, f"0x{checksum:04x}", summed, at + 2, 2, SEE, varies=True),
        *_rest(raw, at, kind),
    ]
    if kind in SIZES:
        options, error = _options(raw, at + header, end)
        fields += options
        header = end - at
        inner = None
    else:
        inner = "IPv6 (quoted)" if kind in (1, 2, 3, 4) else "Data"
    return Layer("ICMPv6", 3, tuple(fields), at, header, end - at, error), inner, at + header, end


def _rest(raw, at, kind):
    """What stands behind the checksum, by type."""
    first, second = unpack_from("!HH", raw, at + 4)
    word = first << 16 | second
    if kind in (128, 129):
        return (
            Field("Identifier", first, str(first), "which ping asked", at + 4, 2, "RFC 4443 §4.1", varies=True),
            Field("Sequence Number", second, str(second), "which request this is", at + 6, 2, "RFC 4443 §4.1"),
        )
    if kind == 2:
        return (Field("MTU", word, str(word), "bytes that fit the next link", at + 4, 4, "RFC 4443 §3.2"),)
    if kind == 4:
        return (Field("Pointer", word, str(word), "byte of the quoted packet that is wrong", at + 4, 4, "RFC 4443 §3.4"),)
    if kind in (1, 3):
        return (Field("Unused", word, str(word), "", at + 4, 4, "RFC 4443 §3"),)
    if kind == 134:
        return _router_advertisement(raw, at)
    if kind == 136:
        r = Reader(raw, at + 4, at + 8, "RFC 4861 §4.4")
        r.bits(4, *NA_FLAGS, ("Reserved", 29, "must be zero"))
        return (*r.fields, _address("Target Address", raw, at + 8))
    if kind in SIZES:  # 133, 135, 137
        fields = (Field("Reserved", word, str(word), "must be zero", at + 4, 4, NDP),)
        fields += (_address("Target Address", raw, at + 8),) if kind in (135, 137) else ()
        return fields + ((_address("Destination Address", raw, at + 24),) if kind == 137 else ())
    return (Field("Message Body", raw[at + 4 : at + 8], raw[at + 4 : at + 8].hex(" "), "depends on the type", at + 4, 4, SEE),)


def _router_advertisement(raw, at):
    r = Reader(raw, at + 4, at + 16, "RFC 4861 §4.2")
    r.number("Cur Hop Limit", 1, meaning="for packets sent from here; 0: not given")
    r.bits(1, ("M", 1, "managed: addresses by DHCPv6"), ("O", 1, "other: more settings by DHCPv6"), ("Reserved", 6, ""))
    r.number("Router Lifetime", 2, meaning="s as default router")
    r.number("Reachable Time", 4, meaning="ms; 0: not given")
    r.number("Retrans Timer", 4, meaning="ms; 0: not given")
    return r.fields


def _options(raw, at, end):
    """Neighbor Discovery options, RFC 4861 §4.6: type, length in units of 8 bytes, value."""
    fields, see = [], "RFC 4861 §4.6"
    while at < end:
        length = raw[at + 1] * 8 if at + 1 < end else 0
        if length == 0 or at + length > end:
            fields.append(Field("Malformed Options", raw[at:end], preview(raw[at:end]), "not read", at, end - at, see))
            return fields, f"option {raw[at]} claims {length} bytes; 8 to {end - at} fit here. The message is damaged or forged."
        data = raw[at + 2 : at + length]
        text = data.hex(":") if raw[at] in (1, 2) else preview(data)
        if raw[at] == 3 and length == 32:
            text = f"{IPv6Address(raw[at + 16 : at + 32])}/{raw[at + 2]}"
        elif raw[at] == 5 and length == 8:
            text = str(unpack_from("!I", raw, at + 4)[0])
        fields.append(Field(OPTIONS.get(raw[at], "Unknown Option"), data, text, f"option {raw[at]}", at, length, see))
        at += length
    return fields, ""


def _address(name, raw, at):
    address = str(IPv6Address(raw[at : at + 16]))
    return Field(name, address, address, "", at, 16, NDP)


SAID = (1, 2, 3, 128, 129, 133, 134, 135, 136)  # types whose names a ladder says


def words(frame: Headers, past: dict | None = None, window: bool = False) -> tuple[str, ...]:
    """ "neighbor solicitation", "echo request  seq 1  56 bytes"."""
    kind = frame.icmp_type
    if kind is None:
        return ("header cut off",)
    return echo_words(frame, TYPES[kind].lower() if kind in SAID else "multicast listener report" if kind == 143 else "")


PROTOCOLS = (Protocol("ICMPv6", 3, decode, noun="ICMPv6 message", words=words, echoes=True),)
