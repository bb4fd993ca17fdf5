"""Time for the learner: a held wire stands still, the kernels' clocks do not.

Whoever reads a paragraph between two steps takes longer than a kernel waits: it repeats what was not acknowledged, and in the end
gives up.  So while a wire is held, the hosts' clocks are held, too, as far as the kernel lets us, and an exact repetition of what
was sent is not held again.
"""

from struct import unpack_from

from labs.network import netlink

__all__ = ["HeldClocks", "says"]

WHILE_HELD = {  # Documentation/networking/ip-sysctl.rst; those of TCP are IPv6's, too
    "net.ipv4.tcp_syn_retries": 127,  # the most that it takes: hours
    "net.ipv4.tcp_synack_retries": 255,
    "net.ipv4.tcp_orphan_retries": 255,
    "net.ipv4.tcp_fin_timeout": 3600,  # seconds in FIN_WAIT2 for a socket that its program has closed
}
FOR_EACH_CARD = {  # times that ARP and neighbour discovery ask, once a second
    "net.ipv4.neigh.{}.mcast_solicit": 100_000,
    "net.ipv6.neigh.{}.mcast_solicit": 100_000,
}
FIN, SYN, ACK = 0x01, 0x02, 0x10  # RFC 9293 §3.1
NEIGHBOR_SOLICITATION = 135  # RFC 4861 §4.3
TCP, ICMPV6 = 6, 58  # IANA, protocol numbers


class HeldClocks:
    """The settings of one host while a wire is held, and what they were before."""

    def __init__(self, cards: list[str]) -> None:
        self.wanted = dict(WHILE_HELD) | {name.format(card): value for card in cards for name, value in FOR_EACH_CARD.items()}
        self.before: dict[str, str] = {}
        self.held = False

    def stop(self) -> None:
        """To be called in the host's namespace."""
        self.held = True
        for name, value in self.wanted.items():
            try:
                self.before.setdefault(name, netlink.read_sysctl(name))
                netlink.write_sysctl(name, value)
            except OSError:
                self.before.pop(name, None)  # /proc/sys is read-only: the kernel keeps its own time; or there is no IPv6

    def go_on(self) -> None:
        """To be called in the host's namespace."""
        self.held = False
        while self.before:
            name, value = self.before.popitem()
            try:
                netlink.write_sysctl(name, value)
            except OSError:
                pass  # a program of this host took the card away meanwhile


def says(frame: bytes) -> object:
    """What a repetition of this frame would say again, or None if it may be sent twice on purpose (a plain ACK, a datagram)."""
    kind = frame[12:14]
    if kind == b"\x08\x06":
        return frame  # ARP
    if kind == b"\x08\x00" and len(frame) >= 54 and frame[23] == TCP:
        tcp = 14 + (frame[14] & 15) * 4
        return _segment(frame, frame[26:34], tcp, unpack_from("!H", frame, 16)[0] + 14 - tcp)
    if kind == b"\x86\xdd" and len(frame) >= 74 and frame[20] == TCP:  # extension headers do not come with a kernel's TCP
        return _segment(frame, frame[22:54], 54, unpack_from("!H", frame, 18)[0])
    if kind == b"\x86\xdd" and len(frame) > 54 and frame[20] == ICMPV6 and frame[54] == NEIGHBOR_SOLICITATION:
        return frame
    return None


def _segment(frame: bytes, addresses: bytes, tcp: int, size: int) -> object:
    """The same of a TCP segment of `size` bytes that begins at `tcp`."""
    if len(frame) < tcp + 20:
        return None
    length = size - (frame[tcp + 12] >> 4) * 4
    flags = frame[tcp + 13]
    takes_numbers = flags & (SYN | FIN)  # they count as a byte each, RFC 9293 §3.4
    if length <= 0 and not takes_numbers:
        return None
    if flags & SYN:
        takes_numbers |= flags & ACK  # when both sides open at once, a SYN+ACK has the number of the SYN: RFC 9293 §3.5, figure 7
    return addresses, frame[tcp : tcp + 8], length, takes_numbers  # ports and sequence number, size, flags
