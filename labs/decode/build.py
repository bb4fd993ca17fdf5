"""The other way round: frames from their values, lengths and checksums made right.  What is built here, labs.decode.peel reads.

    ethernet(client_mac, server_mac, IPV4, ip("10.0.0.1", "10.0.0.2", TCP, tcp(40000, 80, seq=1, flags=SYN)))

Addresses are text ("10.0.0.1", "fd00::1", "02:00:00:00:00:01") or bytes.  By hand, byte by byte: 09-osi-model.
"""

from collections.abc import Iterable
from ipaddress import ip_address
from struct import pack, unpack_from

from labs.decode.checksum import internet_checksum
from labs.decode.headers import ACK

__all__ = ["ARP", "ICMP", "ICMPV6", "IPV4", "IPV6", "TCP", "UDP", "arp", "ethernet", "ip", "sealed", "tcp", "tcp_options", "udp"]

IPV4, ARP, IPV6 = 0x0800, 0x0806, 0x86DD  # EtherTypes: RFC 894, RFC 826, RFC 2464
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58  # protocol numbers: RFC 792, RFC 9293, RFC 768, RFC 4443
SUM_AT = {ICMP: 2, TCP: 16, UDP: 6, ICMPV6: 2}  # where in the message its checksum stands
EVERYONE = "ff:ff:ff:ff:ff:ff"


def ethernet(source: str | bytes, target: str | bytes, kind: int, body: bytes) -> bytes:
    """A frame without its check sequence, which the card adds (RFC 894)."""
    return _mac(target) + _mac(source) + pack("!H", kind) + body


def arp(operation: int, source_mac: str | bytes, source: str | bytes, target_mac: str | bytes, target: str | bytes) -> bytes:
    """A whole frame, RFC 826.  operation 1 asks everyone for the MAC address of `target`, 2 answers target_mac."""
    asks = operation == 1
    body = pack("!HHBBH", 1, IPV4, 6, 4, operation) + _mac(source_mac) + _ip(source)
    body += (bytes(6) if asks else _mac(target_mac)) + _ip(target)
    return ethernet(source_mac, EVERYONE if asks else target_mac, ARP, body)


def ip(
    source: str | bytes, target: str | bytes, protocol: int, message: bytes, *, ttl: int = 64, tos: int = 0,
    identification: int = 0, dont_fragment: bool = True, options: bytes = b"",
) -> bytes:  # fmt: skip
    """An IPv4 (RFC 791 §3.1) or IPv6 packet (RFC 8200 §3), as the addresses say; never a fragment.

    It also writes the checksum of a TCP, UDP or ICMP message: that covers the addresses, which only the packet knows.
    tos: the traffic class, DSCP and ECN.  identification, dont_fragment and options (whole words) are IPv4's alone.
    """
    source, target = _ip(source), _ip(target)
    if len(source) == 16:
        return _summed(pack("!IHBB", 6 << 28 | tos << 20, 0, protocol, ttl) + source + target + message)
    words, flags = 5 + len(options) // 4, dont_fragment << 14
    head = pack("!BBHHHBBH", 0x40 | words, tos, 0, identification, flags, ttl, protocol, 0)
    return _summed(head + source + target + options + message)


def tcp(
    source: int, target: int, *, seq: int = 0, ack: int | None = None, flags: int = 0, window: int = 64240,
    options: bytes = b"", data: bytes = b"",
) -> bytes:  # fmt: skip
    """A TCP segment (RFC 9293 §3.1) from port to port, its checksum left to ip().  ack=None: without the ACK bit."""
    offset = (20 + len(options)) << 10
    numbers = seq % 2**32, (ack or 0) % 2**32
    flags |= 0 if ack is None else ACK
    return pack("!HHIIHHHH", source, target, *numbers, offset | flags, window, 0, 0) + options + data


def tcp_options(
    *, mss: int | None = None, sack_permitted: bool = False, timestamps: tuple[int, int] | None = None,
    window_scale: int | None = None, sack: Iterable[tuple[int, int]] = (),
) -> bytes:  # fmt: skip
    """TCP options, in the order and with the padding that Linux gives them (net/ipv4/tcp_output.c, tcp_options_write).

    timestamps: (TSval, TSecr), RFC 7323 §3.2; sack: blocks of (left edge, right edge), RFC 2018 §3.
    """
    made = b"" if mss is None else pack("!BBH", 2, 4, mss)
    if sack_permitted or timestamps:
        made += b"\4\2" if sack_permitted else b"\1\1"
        made += pack("!BBII", 8, 10, *timestamps) if timestamps else b"\1\1"
    if window_scale is not None:
        made += pack("!BBBB", 1, 3, 3, window_scale)
    edges = [edge for block in sack for edge in block]
    return made + (pack(f"!BBBB{len(edges)}I", 1, 1, 5, 2 + 4 * len(edges), *edges) if edges else b"")


def udp(source: int, target: int, data: bytes = b"") -> bytes:
    """A UDP datagram (RFC 768) from port to port, its checksum left to ip()."""
    return pack("!HHHH", source, target, 8 + len(data), 0) + data


def sealed(raw: bytes) -> bytes:
    """A frame whose data somebody has changed, its lengths and checksums made right again."""
    return bytes(raw[:14]) + _summed(raw[14:])


def _summed(packet):
    """An IP packet with the right lengths and checksums, its own and that of the message that it carries whole."""
    packet = bytearray(packet)
    if packet[0] >> 4 == 6:
        at, protocol, addresses = 40, packet[6], packet[8:40]
        packet[4:6] = pack("!H", len(packet) - at)
    else:
        at, protocol, addresses = (packet[0] & 15) * 4, packet[9], packet[12:20]
        packet[2:4], packet[10:12] = pack("!H", len(packet)), b"\0\0"
        packet[10:12] = pack("!H", internet_checksum(bytes(packet[:at])))
        if unpack_from("!H", packet, 6)[0] & 0x3FFF:  # a fragment: the checksum covers all of them
            return bytes(packet)
    length, place = len(packet) - at, at + SUM_AT.get(protocol, 0)
    if place == at or place + 2 > len(packet):  # no checksum, or cut off before it
        return bytes(packet)
    if protocol == UDP:
        packet[at + 4 : at + 6] = pack("!H", length)
    packet[place : place + 2] = b"\0\0"
    pseudo = b"" if protocol == ICMP else bytes(addresses) + pack("!IxxxB", length, protocol)  # its sum is IPv4's, too
    total = internet_checksum(pseudo + bytes(packet[at:]))
    packet[place : place + 2] = pack("!H", total or 0xFFFF if protocol == UDP else total)  # RFC 768: 0 says "none"
    return bytes(packet)


def _mac(address: str | bytes) -> bytes:
    return bytes.fromhex(address.replace(":", "")) if isinstance(address, str) else address


def _ip(address: str | bytes) -> bytes:
    return ip_address(address).packed if isinstance(address, str) else address
