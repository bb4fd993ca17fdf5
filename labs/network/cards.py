"""Network cards whose cable end is ours: TAP, and veth with a packet socket at the far end.

A host's kernel sees an ordinary Ethernet card.  What it sends, `read()` gives to the lab; what the lab `write()`s, the
host receives.  Both kinds give whole frames, with their checksums computed and no longer than the MTU allows.
"""

import fcntl
import mmap
import os
import socket
import struct

from labs.network import netlink

__all__ = ["TapCard", "VethCard"]

QUEUE = 10_000  # frames a card may keep for us; a TCP window of 6 MB is 4,400 frames


class TapCard:
    """A card made by /dev/net/tun in TAP mode: one descriptor, one frame a read.  Documentation/networking/tuntap.rst"""

    def __init__(self, name: str, mac: bytes, mtu: int) -> None:
        self.name = name
        self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(self.fd, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x0002 | 0x1000))  # TUNSETIFF: IFF_TAP | IFF_NO_PI
        netlink.set_up(name, mac, mtu, queue=QUEUE, router_solicitations=False)

    def fileno(self) -> int:
        return self.fd

    def read(self) -> bytes | None:
        """The next frame that the host sent, or None."""
        try:
            return os.read(self.fd, 65536)
        except BlockingIOError:
            return None

    def write(self, frame: bytes) -> None:
        os.write(self.fd, frame)

    def lost(self) -> int:
        """Frames that the kernel dropped because our queue was full, so far.  Must be called in the host's namespace."""
        with open("/proc/thread-self/net/dev") as table:
            for line in table:
                if line.strip().startswith(self.name + ":"):
                    return int(line.split(":")[1].split()[11])  # transmit "drop"
        return 0


class VethCard:
    """A veth pair; an AF_PACKET socket with a ring in shared memory reads the far end.  packet(7), packet_mmap.rst

    The ring, and not the socket's queue, because the latter is limited by net.core.rmem_max, which a learner cannot raise.
    """

    def __init__(self, name: str, mac: bytes, mtu: int, cable_name: str, host_namespace: int) -> None:
        """Call it in the cable's namespace; `name` appears in the host's."""
        netlink.make_veth(cable_name, name, host_namespace, mac, mtu)
        netlink.set_up(cable_name, router_solicitations=False)
        netlink.no_offloads(cable_name)
        self.name = name
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        self.socket.setsockopt(263, 23, 1)  # SOL_PACKET, PACKET_IGNORE_OUTGOING: do not read what we write
        self.socket.setsockopt(263, 10, 1)  # PACKET_VERSION = TPACKET_V2
        self.slot = 2048
        while self.slot < mtu + 128:
            self.slot *= 2
        block = max(self.slot, 65536)
        self.slots = QUEUE * 2048 // block * (block // self.slot)
        ring = struct.pack("IIII", block, self.slots * self.slot // block, self.slot, self.slots)
        self.socket.setsockopt(263, 5, ring)  # PACKET_RX_RING
        self.ring = mmap.mmap(self.socket.fileno(), self.slots * self.slot)
        self.status = memoryview(self.ring).cast("I")  # the first word of every slot says whose it is
        self.at, self.drops = 0, 0
        self.socket.bind((cable_name, 3))  # ETH_P_ALL

    def fileno(self) -> int:
        return self.socket.fileno()

    def read(self) -> bytes | None:
        """The next frame that the host sent, or None."""
        status, _, length, start = struct.unpack_from("=IIIH", self.ring, self.at)  # struct tpacket2_hdr
        if not status & 1:  # TP_STATUS_USER: the slot is ours
            self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # "network is down" would wake us again and again
            return None
        frame = self.ring[self.at + start : self.at + start + length]
        # TP_STATUS_KERNEL: give the slot back.  In one store: struct.pack_into() makes two, and between them the kernel may have
        # filled the slot again, if all others are full; the second would then hide that frame, and stop us here for good.
        self.status[self.at // 4] = 0
        self.at = (self.at + self.slot) % (self.slots * self.slot)
        return frame

    def write(self, frame: bytes) -> None:
        self.socket.send(frame)

    def lost(self) -> int:
        """Frames that found the ring full, so far."""
        self.drops += struct.unpack("II", self.socket.getsockopt(263, 6, 8))[1]  # PACKET_STATISTICS; reading resets it
        return self.drops
