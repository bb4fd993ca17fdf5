"""IPv4, RFC 791 §3.1.  Built in chapter 10-internet-protocol."""

from ipaddress import IPv4Address
from struct import unpack_from

from labs.decode.checksum import verdict
from labs.decode.ethernet import words as ethernet_words
from labs.decode.fields import DecodeError, Field, Layer
from labs.decode.headers import Headers
from labs.decode.protocol import Decoded, Protocol
from labs.decode.reading import amount, need, options

__all__ = ["CARRIED", "PROTOCOLS", "decode", "words"]

SEE = "RFC 791 §3.1"
CARRIED = {1: "ICMP", 4: "IPv4", 6: "TCP", 17: "UDP", 41: "IPv6", 58: "ICMPv6"}  # IANA, protocol numbers
ECN = ("Not-ECT: no congestion marks wanted", "ECT(1)", "ECT(0)", "CE: congestion experienced")  # RFC 3168 §5
OPTIONS = {
    0: "End of Option List", 1: "No Operation", 7: "Record Route", 68: "Internet Timestamp", 130: "Security",
    131: "Loose Source Route", 136: "Stream ID", 137: "Strict Source Route", 148: "Router Alert",
}  # fmt: skip


def decode(raw: bytes, at: int, end: int, below: tuple[Layer, ...] = ()) -> Decoded:
    """An IPv4 header with its options; what it carries ends at Total Length, so that padding is left out."""
    need(at, end, 20, "an IPv4 header")
    first, tos, total, ident, fragment, ttl, protocol, checksum, _, _ = unpack_from("!BBHHHBBHII", raw, at)
    version, header = first >> 4, (first & 15) * 4
    if version != 4:
        raise DecodeError(f"an IPv4 header begins with version 4; {version} came. Another protocol stands here.")
    if header < 20:
        raise DecodeError(f"an IPv4 header has at least 5 words; IHL says {header // 4}. The header is damaged or forged.")
    need(at, end, header, f"an IPv4 header of {header // 4} words")
    if total < header:
        raise DecodeError(f"Total Length covers the header of {header} bytes; {total} came. The header is damaged or forged.")
    stop = min(at + total, end)
    inner = CARRIED.get(protocol, "Data")
    size = "bytes, header included" + ("" if at + total <= end else f"; {end - at} of them are here")
    reserved, dont, more, place = fragment >> 15, fragment >> 14 & 1, fragment >> 13 & 1, fragment & 0x1FFF
    cutting = "a router must not cut it" if dont else "a router may cut it"
    piece = "more follow" if more else "the last fragment" if place else "the whole datagram"
    fields = [
        Field("Version", version, "4", "", at, 1, SEE, bits=(0, 4)),
        Field("IHL", first & 15, str(first & 15), f"header of {header} bytes", at, 1, SEE, bits=(4, 4)),
        Field("DSCP", tos >> 2, str(tos >> 2), "" if tos >> 2 else "default forwarding", at + 1, 1, "RFC 2474 §3", bits=(0, 6)),
        Field("ECN", tos & 3, f"{tos & 3:02b}", ECN[tos & 3], at + 1, 1, "RFC 3168 §5", bits=(6, 2)),
        Field("Total Length", total, str(total), size, at + 2, 2, SEE),
        Field("Identification", ident, f"0x{ident:04x}", "the same in all fragments of a datagram", at + 4, 2, SEE, varies=True),
        Field("Reserved Flag", reserved, str(reserved), "must be zero", at + 6, 1, SEE, bits=(0, 1)),
        Field("Don't Fragment", dont, str(dont), cutting, at + 6, 1, SEE, bits=(1, 1)),
        Field("More Fragments", more, str(more), piece, at + 6, 1, SEE, bits=(2, 1)),
        Field("Fragment Offset", place, str(place), f"× 8 = byte {place * 8} of the datagram", at + 6, 2, SEE, bits=(3, 13)),
        Field("Time to Live", ttl, str(ttl), "each router takes off 1; at 0 it is dropped", at + 8, 1, SEE),
        Field("Protocol", protocol, str(protocol), inner if inner != "Data" else "not decoded here", at + 9, 1, SEE),
        Field("Header Checksum", checksum, f"0x{checksum:04x}", verdict(raw[at : at + header], 10), at + 10, 2, SEE, varies=True),
        _address("Source Address", raw, at + 12),
        _address("Destination Address", raw, at + 16),
    ]
    extra, error = options(raw, at + 20, at + header, SEE, _option)
    if place:  # only the first fragment holds the next header
        inner = "Data"
    layer = Layer("IPv4", 3, (*fields, *extra), at, header, stop - at, error)
    return layer, inner if stop > at + header or total > header else None, at + header, stop


def _address(name, raw, at):
    address = IPv4Address(raw[at : at + 4])
    meaning = ""
    if int(address) == 0xFFFFFFFF:
        meaning = "limited broadcast"
    elif address.is_multicast:
        meaning = "multicast"
    elif address.is_loopback:
        meaning = "loopback"
    return Field(name, str(address), str(address), meaning, at, 4, SEE)


def _option(kind, data, at, length):
    return Field(OPTIONS.get(kind, "Unknown Option"), data if kind else 0, data.hex(" "), f"option {kind}", at, length, SEE)


def words(frame: Headers, past: dict | None = None, window: bool = False) -> tuple[str, ...]:
    """What can be said of a packet whose content nobody reads, or of a later fragment."""
    if len(frame.raw) < 34:
        return ethernet_words(frame)
    return (amount(frame.payload_length) if frame.fragment else f"protocol {frame.raw[23]}",)


PROTOCOLS = (Protocol("IPv4", 3, decode, words=words),)
