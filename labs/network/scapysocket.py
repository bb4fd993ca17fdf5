"""The wire as a scapy socket, so that scapy's own tools work on it: sniff, sr1, send.

scapy is imported here and nowhere else in the network room; it takes most of a second, and not every chapter needs it.
"""

import socket

from scapy.config import conf
from scapy.data import MTU
from scapy.layers.l2 import Ether
from scapy.packet import Packet
from scapy.supersocket import SuperSocket

__all__ = ["WireSocket"]


class WireSocket(SuperSocket):
    """Every frame of the wire comes out; every frame put in goes to whoever its destination MAC address names."""

    desc = "a wire of the lab"
    nonblocking_socket = False

    def __init__(self, fd: int):
        self.wire = self.ins = self.outs = socket.socket(fileno=fd)
        self.iface = conf.iface  # scapy wants one; nothing is sent there
        self.closed = False

    def send(self, packet: Packet | bytes) -> int:
        """Put a frame on the wire: Ether(…)/…, or its bytes."""
        if not isinstance(packet, (bytes, Ether)):
            raise TypeError(f"expected Ether(dst=…)/… (the wire carries frames), got {type(packet).__name__}")
        raw = bytes(packet)
        if hasattr(packet, "sent_time"):
            import time

            packet.sent_time = time.time()
        return self.wire.send(raw)

    def recv_raw(self, x: int = MTU) -> tuple:
        return Ether, self.ins.recv(max(x, 65600)), None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
