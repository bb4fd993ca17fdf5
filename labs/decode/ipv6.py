"""IPv6, RFC 8200 §3, and its extension headers, §4.  Built in chapter 10-internet-protocol.

The fixed header has 40 bytes and no checksum; what IPv4 kept in options stands in headers of its own, each naming the next.
"""

from ipaddress import IPv6Address
from struct import unpack_from

from labs.decode.ethernet import words as ethernet_words
from labs.decode.fields import DecodeError, Field, Layer
from labs.decode.headers import Headers
from labs.decode.ipv4 import CARRIED, ECN
from labs.decode.protocol import Decoded, Protocol
from labs.decode.reading import need, preview

__all__ = ["PROTOCOLS", "decode", "decode_destination", "decode_fragment", "decode_hop_by_hop", "decode_routing"]

SEE = "RFC 8200 §3"
EXTENSIONS = {0: "IPv6 Hop-by-Hop Options", 43: "IPv6 Routing", 44: "IPv6 Fragment", 60: "IPv6 Destination Options"}
NEXT = {**{number: name for number, name in CARRIED.items() if name != "ICMP"}, **EXTENSIONS}


def decode(raw: bytes, at: int, end: int, below: tuple[Layer, ...] = ()) -> Decoded:
    """The fixed header of 40 bytes."""
    need(at, end, 40, "an IPv6 header")
    word, length, kind, hops = unpack_from("!IHBB", raw, at)
    version, traffic, flow = word >> 28, word >> 20 & 0xFF, word & 0xFFFFF
    if version != 6:
        raise DecodeError(f"an IPv6 header begins with version 6; {version} came. Another protocol stands here.")
    stop = min(at + 40 + length, end)
    here = "" if at + 40 + length <= end else f"; {stop - at - 40} of them are here"
    dscp, label = "" if traffic >> 2 else "default forwarding", "lets routers keep a flow on one path"
    fields = (
        Field("Version", 6, "6", "", at, 1, SEE, bits=(0, 4)),
        Field("DSCP", traffic >> 2, str(traffic >> 2), dscp, at, 2, "RFC 2474 §3", bits=(4, 6)),
        Field("ECN", traffic & 3, f"{traffic & 3:02b}", ECN[traffic & 3], at + 1, 1, "RFC 3168 §5", bits=(2, 2)),
        Field("Flow Label", flow, f"0x{flow:05x}", label, at + 1, 3, "RFC 6437 §2", bits=(4, 20), varies=bool(flow)),
        Field("Payload Length", length, str(length), "bytes behind this header" + here, at + 4, 2, SEE),
        _next(kind, at + 6, SEE),
        Field("Hop Limit", hops, str(hops), "each router takes off 1; at 0 it is dropped", at + 7, 1, SEE),
        _address("Source Address", raw, at + 8),
        _address("Destination Address", raw, at + 24),
    )
    layer = Layer("IPv6", 3, fields, at, 40, stop - at)
    return layer, NEXT.get(kind, "Data") if length else None, at + 40, stop


def decode_hop_by_hop(raw: bytes, at: int, end: int, below: tuple[Layer, ...] = ()) -> Decoded:
    """Options that every router on the path looks at."""
    return _options(raw, at, end, "IPv6 Hop-by-Hop Options", "RFC 8200 §4.3")


def decode_destination(raw: bytes, at: int, end: int, below: tuple[Layer, ...] = ()) -> Decoded:
    """Options that only the destination looks at."""
    return _options(raw, at, end, "IPv6 Destination Options", "RFC 8200 §4.6")


def _options(raw, at, end, name, see):
    size, fields = _start(raw, at, end, name, see)
    options = raw[at + 2 : at + size]
    fields += (Field("Options", options, preview(options), "type, length and value, one after the other", at + 2, size - 2, see),)
    return Layer(name, 3, fields, at, size, end - at), NEXT.get(raw[at], "Data"), at + size, end


def decode_routing(raw: bytes, at: int, end: int, below: tuple[Layer, ...] = ()) -> Decoded:
    """Nodes to visit on the way."""
    name, see = "IPv6 Routing", "RFC 8200 §4.4"
    size, fields = _start(raw, at, end, name, see)
    fields += (
        Field("Routing Type", raw[at + 2], str(raw[at + 2]), "", at + 2, 1, see),
        Field("Segments Left", raw[at + 3], str(raw[at + 3]), "nodes still to visit", at + 3, 1, see),
        Field("Type-Specific Data", raw[at + 4 : at + size], preview(raw[at + 4 : at + size]), "", at + 4, size - 4, see),
    )
    return Layer(name, 3, fields, at, size, end - at), NEXT.get(raw[at], "Data"), at + size, end


def decode_fragment(raw: bytes, at: int, end: int, below: tuple[Layer, ...] = ()) -> Decoded:
    """A piece of a packet: in IPv6 only the sender cuts."""
    need(at, end, 8, "an IPv6 fragment header")
    kind, reserved, place, identification = unpack_from("!BBHI", raw, at)
    see, more = "RFC 8200 §4.5", place & 1
    where, same = f"× 8 = byte {place >> 3 << 3} of the packet", "the same in all fragments of a packet"
    fields = (
        _next(kind, at, see),
        Field("Reserved", reserved, str(reserved), "must be zero", at + 1, 1, see),
        Field("Fragment Offset", place >> 3, str(place >> 3), where, at + 2, 2, see, bits=(0, 13)),
        Field("Reserved Bits", place >> 1 & 3, str(place >> 1 & 3), "must be zero", at + 3, 1, see, bits=(5, 2)),
        Field("More Fragments", more, str(more), "more follow" if more else "the last fragment", at + 3, 1, see, bits=(7, 1)),
        Field("Identification", identification, f"0x{identification:08x}", same, at + 4, 4, see, varies=True),
    )
    inner = NEXT.get(kind, "Data") if place >> 3 == 0 else "Data"  # only the first fragment holds the next header
    return Layer("IPv6 Fragment", 3, fields, at, 8, end - at), inner, at + 8, end


def _start(raw, at, end, name, see):
    """The two bytes that most extension headers begin with; the second counts 8-byte units beyond the first."""
    need(at, end, 8, f"an {name} header")
    size = 8 + raw[at + 1] * 8
    need(at, end, size, f"an {name} header of {raw[at + 1]} + 1 units")
    return size, (
        _next(raw[at], at, see),
        Field("Hdr Ext Len", raw[at + 1], str(raw[at + 1]), f"header of {size} bytes", at + 1, 1, see),
    )


def _next(kind, at, see):
    meaning = NEXT.get(kind, "nothing follows" if kind == 59 else "not decoded here")
    return Field("Next Header", kind, str(kind), meaning, at, 1, see)


def _address(name, raw, at):
    address = IPv6Address(raw[at : at + 16])
    kinds = ("multicast", "link-local", "loopback", "unspecified")
    meaning = next((kind for kind in kinds if getattr(address, f"is_{kind.replace('-', '_')}")), "")
    return Field(name, str(address), str(address), meaning, at, 16, SEE)


def words(frame: Headers, past: dict | None = None, window: bool = False) -> tuple[str, ...]:
    """What can be said of a packet whose content nobody reads, or of a later fragment."""
    return (f"next header {frame.raw[20]}",) if len(frame.raw) >= 54 else ethernet_words(frame)


PROTOCOLS = (
    Protocol("IPv6", 3, decode, words=words),
    Protocol("IPv6 Hop-by-Hop Options", 3, decode_hop_by_hop),
    Protocol("IPv6 Destination Options", 3, decode_destination),
    Protocol("IPv6 Routing", 3, decode_routing),
    Protocol("IPv6 Fragment", 3, decode_fragment),
)
