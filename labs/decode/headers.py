"""The few header values that a list of frames needs, read as fast as Python can.

`labs.decode.peel` explains every field of one frame; a capture of ten thousand frames wants only who, what and how much.
Where a header is cut off or unknown, the values behind it stay at their defaults and `protocol` names the last one read.
Layouts: RFC 894 (Ethernet), RFC 826 (ARP), RFC 791 (IPv4), RFC 8200 (IPv6), RFC 792 (ICMP), RFC 768 (UDP), RFC 9293 (TCP).
"""

from functools import lru_cache
from ipaddress import IPv6Address
from struct import unpack_from

__all__ = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "FLAGS", "Headers", "flag_names"]

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << bit for bit in range(8))  # RFC 9293 §3.1, control bits
FLAGS = {"FIN": FIN, "SYN": SYN, "RST": RST, "PSH": PSH, "ACK": ACK, "URG": URG, "ECE": ECE, "CWR": CWR}
_ORDER = ("SYN", "FIN", "RST", "PSH", "ACK", "URG", "ECE", "CWR")  # as tools say them: "SYN, ACK"


def flag_names(flags: int) -> str:
    """The names of the control bits that are set: 18 → "SYN, ACK"."""
    return ", ".join(name for name in _ORDER if flags & FLAGS[name])


@lru_cache(maxsize=1024)  # writing an IPv6 address takes longer than all the rest, and a capture holds few of them
def _ipv6_text(address):
    return str(IPv6Address(address))


class Headers:
    """Link, network and transport header values of one frame (attributes as in `__slots__`; None or 0 where absent)."""

    __slots__ = (
        "raw", "src_mac", "dst_mac", "protocol", "src", "dst", "ttl", "sport", "dport", "seq", "ack", "flags", "window",
        "mss", "window_scale", "sack_permitted", "sack", "payload_at", "payload_length", "icmp_type", "icmp_code",
        "arp_op", "fragment",
    )  # fmt: skip

    def __init__(self, raw: bytes):
        self.raw = raw
        self.src_mac = self.dst_mac = self.src = self.dst = self.ttl = self.sport = self.dport = None
        self.seq = self.ack = self.window = self.mss = self.window_scale = self.icmp_type = self.icmp_code = None
        self.arp_op = self.fragment = None
        self.flags = self.payload_length = 0
        self.payload_at = len(raw)
        self.sack_permitted, self.sack = False, ()
        self.protocol = "Ethernet"
        if len(raw) < 14:
            return
        self.dst_mac, self.src_mac = raw[:6].hex(":"), raw[6:12].hex(":")
        kind = raw[12] << 8 | raw[13]
        if kind == 0x0800:
            self._ipv4(raw)
        elif kind == 0x0806:
            self._arp(raw)
        elif kind == 0x86DD:
            self._ipv6(raw)

    def _arp(self, raw):
        self.protocol = "ARP"
        if len(raw) >= 42:
            self.arp_op = raw[20] << 8 | raw[21]
            self.src, self.dst = "%d.%d.%d.%d" % (*raw[28:32],), "%d.%d.%d.%d" % (*raw[38:42],)

    def _ipv4(self, raw):
        self.protocol = "IPv4"
        if len(raw) < 34 or raw[14] >> 4 != 4:
            return
        at = 14 + (raw[14] & 15) * 4
        total, fragment, self.ttl, kind = unpack_from("!2xH2xHBB", raw, 14)
        self.src, self.dst = "%d.%d.%d.%d" % (*raw[26:30],), "%d.%d.%d.%d" % (*raw[30:34],)
        end = min(14 + total, len(raw))  # short packets are padded to Ethernet's minimum; a cut capture ends early
        if fragment & 0x3FFF:  # more to come, or not the first
            self.fragment = (fragment & 0x1FFF) * 8
        if not 34 <= at <= end:  # damaged or cut: where the next header begins is not known
            return
        if self.fragment:  # only the first fragment holds the next header
            self.payload_at, self.payload_length = at, end - at
        else:
            self._transport(raw, at, end, kind)

    def _ipv6(self, raw):
        self.protocol = "IPv6"
        if len(raw) < 54 or raw[14] >> 4 != 6:
            return
        length, kind, self.ttl = unpack_from("!4xHBB", raw, 14)
        self.src, self.dst = _ipv6_text(bytes(raw[22:38])), _ipv6_text(bytes(raw[38:54]))
        end, at = min(54 + length, len(raw)), 54
        while kind in (0, 43, 44, 60) and at + 8 <= end:  # hop-by-hop, routing, fragment, destination options
            if kind == 44:  # always 8 bytes; the others 8 × (n + 1)
                self.fragment = unpack_from("!H", raw, at + 2)[0] & 0xFFF8
            kind, at = raw[at], at + 8 + (raw[at + 1] * 8 if kind != 44 else 0)
            if self.fragment:
                self.payload_at, self.payload_length = min(at, end), max(end - at, 0)
                return
        self._transport(raw, at, end, kind)

    def _transport(self, raw, at, end, kind):
        if kind == 6:
            self.protocol = "TCP"
            if at + 20 <= end:
                self._tcp(raw, at, end)
        elif kind == 17:
            self.protocol = "UDP"
            if at + 8 <= end:
                self.sport, self.dport, length = unpack_from("!HHH", raw, at)
                self.payload_at, self.payload_length = at + 8, max(min(end - at, length) - 8, 0)
        elif kind in (1, 58):
            self.protocol = "ICMP" if kind == 1 else "ICMPv6"
            if at + 4 <= end:
                self.icmp_type, self.icmp_code = raw[at], raw[at + 1]
                self.payload_at, self.payload_length = min(at + 8, end), max(end - at - 8, 0)

    def _tcp(self, raw, at, end):
        self.sport, self.dport, self.seq, self.ack, offset, self.flags, self.window = unpack_from("!HHIIBBH", raw, at)
        header = (offset >> 4) * 4
        if header < 20 or at + header > end:  # damaged or cut: where the data begins is not known
            return
        self.payload_at, self.payload_length = at + header, end - at - header
        if header > 20 and self.flags & (SYN | ACK):
            self._options(raw, at + 20, self.payload_at)

    def _options(self, raw, at, end):
        while at < end and raw[at] != 0:  # 0 ends the list, 1 is padding; all others carry their length
            if raw[at] == 1:
                at += 1
                continue
            if at + 1 >= end or raw[at + 1] < 2 or at + raw[at + 1] > end:
                return
            kind, length = raw[at], raw[at + 1]
            if kind == 2 and length == 4:
                self.mss = raw[at + 2] << 8 | raw[at + 3]
            elif kind == 3 and length == 3:
                self.window_scale = raw[at + 2]
            elif kind == 4:
                self.sack_permitted = True
            elif kind == 5 and length % 8 == 2:
                edges = unpack_from(f"!{(length - 2) // 4}I", raw, at + 2)
                self.sack = tuple(zip(edges[::2], edges[1::2]))
            at += length

    @property
    def payload(self) -> bytes:
        """The bytes that the last header read carries."""
        return self.raw[self.payload_at : self.payload_at + self.payload_length]

    syn = property(lambda self: bool(self.flags & SYN), doc="True if the SYN bit is set.")
    fin = property(lambda self: bool(self.flags & FIN), doc="True if the FIN bit is set.")
    rst = property(lambda self: bool(self.flags & RST), doc="True if the RST bit is set.")
    psh = property(lambda self: bool(self.flags & PSH), doc="True if the PSH bit is set.")
    is_ack = property(lambda self: bool(self.flags & ACK), doc="True if the ACK bit is set.")
