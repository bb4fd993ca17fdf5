"""The Internet checksum (RFC 1071) and what it covers in TCP, UDP and ICMPv6: the pseudo-header (RFC 9293 §3.1, RFC 8200 §8.1).

A receiver adds up all 16-bit words, checksum included, carries wrapped around: the sum of an undamaged packet is 0xFFFF.
"""

from struct import pack, unpack

from labs.decode.fields import Layer

__all__ = ["internet_checksum", "transport_verdict", "verdict"]


def internet_checksum(data: bytes) -> int:
    """The ones' complement of the ones' complement sum of all 16-bit words; 0 if `data` holds its own, right, checksum."""
    if len(data) % 2:
        data += b"\0"
    total = sum(unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def verdict(message: bytes, at: int, before: bytes = b"") -> str:
    """ "correct", or "wrong, 0x…. expected", for the checksum at byte `at` of `message`; `before` is the pseudo-header."""
    if internet_checksum(before + message) == 0:
        return "correct"
    expected = internet_checksum(before + message[:at] + b"\0\0" + message[at + 2 :])
    text = f"wrong, 0x{expected:04x} expected"
    if before and int.from_bytes(message[at : at + 2], "big") == internet_checksum(before) ^ 0xFFFF:
        text += "; only the pseudo-header is summed, the card was to do the rest"  # Linux: CHECKSUM_PARTIAL
    return text


def transport_verdict(raw: bytes, at: int, end: int, below: tuple[Layer, ...], protocol: int, position: int) -> str:
    """The verdict on the TCP, UDP or ICMPv6 message at raw[at:end], whose checksum stands `position` bytes into it.

    `below` are the layers that carry it: the pseudo-header takes both addresses from the nearest IP header.  A message of which
    bytes are missing (a fragment, a cut capture, a quotation) cannot be checked, and the verdict says so.
    """
    ip = next((layer for layer in reversed(below) if "Source Address" in _names(layer) and layer.number == 3), None)
    if ip is None:
        return "not checked: it covers the IP addresses, which are not here"
    if ip.name.endswith("(quoted)"):
        return "not checked: quoted in part"
    over_ipv6 = ip.name == "IPv6"
    last = ip.offset + (40 + ip["Payload Length"] if over_ipv6 else ip["Total Length"])
    if last > len(raw):
        return "not checked: the frame is cut short"
    for layer in below[below.index(ip) :]:
        if "More Fragments" in _names(layer) and (layer["More Fragments"] or layer["Fragment Offset"]):
            return "not checked: it covers all fragments"
        if "Segments Left" in _names(layer) and layer["Segments Left"]:
            return "not checked: it covers the last address of the route"
    if over_ipv6:
        pseudo = raw[ip.offset + 8 : ip.offset + 40] + pack("!IxxxB", end - at, protocol)
    else:
        pseudo = raw[ip.offset + 12 : ip.offset + 20] + pack("!xBH", protocol, end - at)
    return verdict(raw[at:end], position, pseudo)


def _names(layer):
    return {field.name for field in layer.fields}
