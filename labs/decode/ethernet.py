"""Ethernet II frames (RFC 894, IEEE 802.3 §3) and the VLAN tag (IEEE 802.1Q §9.6).  Built in chapter 09-osi-model.

Preamble and frame check sequence never reach a capture: the card adds and removes them.
"""

from labs.decode.fields import Field, Layer
from labs.decode.headers import Headers
from labs.decode.protocol import Decoded, Protocol
from labs.decode.reading import amount, need

__all__ = ["PROTOCOLS", "decode", "decode_tag", "words"]

SEE = "IEEE 802.3 §3.2"
ETHERTYPES = {0x0800: "IPv4", 0x0806: "ARP", 0x86DD: "IPv6", 0x8100: "802.1Q"}  # IANA, IEEE 802 numbers


def decode(raw: bytes, at: int, end: int, below: tuple[Layer, ...] = ()) -> Decoded:
    """The 14 bytes of an Ethernet header."""
    need(at, end, 14, "an Ethernet header")
    kind, inner = _ethertype(raw, at + 12)
    fields = (_address("Destination Address", raw, at), _address("Source Address", raw, at + 6), kind)
    return Layer("Ethernet", 2, fields, at, 14, end - at), inner, at + 14, end


def decode_tag(raw: bytes, at: int, end: int, below: tuple[Layer, ...] = ()) -> Decoded:
    """The 4 bytes behind EtherType 0x8100: which virtual LAN, which priority, and the EtherType of what follows."""
    need(at, end, 4, "an 802.1Q tag")
    tag, see = raw[at] << 8 | raw[at + 1], "IEEE 802.1Q §9.6"
    kind, inner = _ethertype(raw, at + 2)
    fields = (
        Field("Priority Code Point", tag >> 13, str(tag >> 13), "0 is best effort", at, 1, see, bits=(0, 3)),
        Field("Drop Eligible Indicator", tag >> 12 & 1, str(tag >> 12 & 1), "", at, 1, see, bits=(3, 1)),
        Field("VLAN Identifier", tag & 0xFFF, str(tag & 0xFFF), "", at, 2, see, bits=(4, 12)),
        kind,
    )
    return Layer("802.1Q", 2, fields, at, 4, end - at), inner, at + 4, end


def _address(name, raw, at):
    mac = raw[at : at + 6]
    if mac == b"\xff" * 6:
        meaning = "broadcast: every card on the segment"
    elif mac[0] & 1:
        meaning = "multicast: a group of cards"
    else:
        meaning = "unicast, locally administered" if mac[0] & 2 else "unicast"
    return Field(name, mac.hex(":"), mac.hex(":"), meaning, at, 6, SEE)


def _ethertype(raw, at):
    """The field at `at` and the name of what comes next: below 1536 the two bytes are a length (IEEE 802.3 §3.2.6)."""
    kind = raw[at] << 8 | raw[at + 1]
    if kind < 0x0600:
        return Field("Length", kind, str(kind), "bytes of LLC data that follow", at, 2, SEE), "Data"
    name = ETHERTYPES.get(kind, "Data")
    meaning = f"{name} follows" if name != "Data" else "not decoded here"
    return Field("EtherType", kind, f"0x{kind:04x}", meaning, at, 2, SEE), name


def words(frame: Headers, past: dict | None = None, window: bool = False) -> tuple[str, ...]:
    """What can be said of a frame whose content nobody reads: its type and size."""
    raw = frame.raw
    if len(raw) < 14:
        return ("cut off" if raw else "empty",)
    kind = raw[12] << 8 | raw[13]
    return f"type 0x{kind:04x}" if kind >= 0x600 else f"length {kind}", amount(len(raw) - 14)


PROTOCOLS = (Protocol("Ethernet", 2, decode, words=words, pads=True), Protocol("802.1Q", 2, decode_tag, pads=True))
