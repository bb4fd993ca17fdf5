"""Time for the learner: a held wire stands still, the kernels' clocks do not.

Whoever reads a paragraph between two steps takes longer than a kernel waits: it repeats what was not acknowledged, and in the end
gives up.  So while a wire is held, the hosts are told to be patient, and an exact repetition of what was sent is not held again.
"""

from struct import unpack_from

from labs.network import netlink

__all__ = ["Patience", "says"]

WHILE_HELD = {  # Documentation/networking/ip-sysctl.rst
    "net.ipv4.tcp_syn_retries": 127,  # the most that it takes: hours
    "net.ipv4.tcp_synack_retries": 255,
    "net.ipv4.tcp_orphan_retries": 255,
    "net.ipv4.tcp_fin_timeout": 3600,  # seconds in FIN_WAIT2 for a socket that its program has closed
}
FOR_EACH_CARD = {"net.ipv4.neigh.{}.mcast_solicit": 100_000}  # times that ARP asks, once a second


class Patience:
    """The settings of one host while a wire is held, and what they were before."""

    def __init__(self, cards):
        self.wanted = dict(WHILE_HELD) | {name.format(card): value for card in cards for name, value in FOR_EACH_CARD.items()}
        self.before = {}

    def begin(self):
        """To be called in the host's namespace."""
        for name, value in self.wanted.items():
            try:
                self.before.setdefault(name, netlink.read_sysctl(name))
                netlink.write_sysctl(name, value)
            except OSError:
                self.before.pop(name, None)  # /proc/sys is read-only: the kernel keeps its own patience

    def end(self):
        """To be called in the host's namespace."""
        while self.before:
            name, value = self.before.popitem()
            try:
                netlink.write_sysctl(name, value)
            except OSError:
                pass  # a program of this host took the card away meanwhile


def says(frame):
    """What a repetition of this frame would say again, or None if it may be sent twice on purpose (a plain ACK, a datagram)."""
    if frame[12:14] == b"\x08\x06":
        return frame  # ARP
    if frame[12:14] != b"\x08\x00" or len(frame) < 54 or frame[23] != 6:
        return None
    tcp = 14 + (frame[14] & 15) * 4
    if len(frame) < tcp + 20:
        return None
    length = unpack_from("!H", frame, 16)[0] - (tcp - 14) - (frame[tcp + 12] >> 4) * 4
    takes_numbers = frame[tcp + 13] & 3  # SYN and FIN count as a byte each, RFC 9293 §3.4
    if length <= 0 and not takes_numbers:
        return None
    return frame[26:34], frame[tcp : tcp + 8], length, takes_numbers  # addresses, ports and sequence number, size, flags
