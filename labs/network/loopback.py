"""The link "loopback": the relay, and beside it the frames in which the machine's own `lo` carried its bytes.

A packet socket (packet(7)) needs CAP_NET_RAW and no network of its own: root has it in a container that may make neither
namespaces nor cards.  What it sees is real, and is not what a network card sees: no MAC addresses, up to 64 KiB in a frame, no
checksums in what the machine sends itself.  So chapters show what the relay draws, and these frames lie under it (on_loopback).
"""

import contextlib
import os
import socket
import struct

from labs.captures.capture import Capture, CapturedFrame
from labs.captures.frame import Arrival

__all__ = ["Loopback", "why_not"]

PACKET, IGNORE_OUTGOING, STATISTICS = 263, 23, 6  # SOL_PACKET, PACKET_…: linux/if_packet.h; every frame on lo would come twice
TIMESTAMP, ROOM = 35, (33, 8)  # SO_TIMESTAMPNS, SO_RCVBUFFORCE or else SO_RCVBUF: socket(7)
WAITING = 64 << 20  # bytes that may wait for us; as the kernel counts, many times what is in the frames
IPV4, HERE = 0x0800, socket.inet_aton("127.0.0.1")


def _packet_socket():
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    try:
        made.setsockopt(PACKET, IGNORE_OUTGOING, 1)
        made.setsockopt(socket.SOL_SOCKET, TIMESTAMP, 1)
        for option in ROOM:
            with contextlib.suppress(OSError):  # the first needs CAP_NET_ADMIN
                made.setsockopt(socket.SOL_SOCKET, option, WAITING)
                break
        made.setblocking(False)
        made.bind(("lo", IPV4))
    except OSError:
        made.close()
        raise
    return made


def why_not():
    """Why this machine does not let us look at `lo`: "" if it does."""
    if not hasattr(socket, "AF_PACKET"):
        return "it needs Linux"
    try:
        _packet_socket().close()
    except OSError as e:
        return e.strerror or os.strerror(e.errno)
    return ""


class Loopback:
    """Frames on `lo` of the connections that programs make through the relay, each as far as the relay."""

    def __init__(self, passing):
        self.seen = []  # (ns, bytes, sender, receiver)
        self.ends = {}  # the two ports of a connection, as client and door have them → (client, host that it called)
        self.passing, self.socket, self.missed = passing, _packet_socket(), 0
        passing.read_when_ready(self.socket, self.read)

    def read(self):
        """Note what the kernel has for us; called by the relay's thread."""
        while True:
            try:
                raw, extra, _, _ = self.socket.recvmsg(1 << 17, 64)
            except OSError:  # no more; or the card is down, or the socket is closed
                return
            if len(raw) > 38 and raw[23] == socket.IPPROTO_TCP:
                source, target = struct.unpack_from("!HH", raw, 14 + (raw[14] & 15) * 4)
                near, far = self.ends.get((source, target)) or reversed(self.ends.get((target, source), ("", "")))
                if near and raw[26:34] == HERE * 2:
                    seconds, rest = struct.unpack_from("qq", extra[0][2])
                    self.seen.append((seconds * 10**9 + rest, raw, near, far))

    def mark(self):
        """(Frames that came so far, frames of whatever program for which the socket had no room so far.)"""
        if self.passing.thread.is_alive():
            self.passing.call(self.read)
            self.missed += struct.unpack("II", self.socket.getsockopt(PACKET, STATISTICS, 8))[1]  # reading resets it
        return len(self.seen), self.missed

    def capture(self, start):
        """What came since the mark `start`, as a Capture."""
        frames, hosts = [], []
        self.passing.settle()
        begin, missed = start
        end, missed_by_now = self.mark()
        for moment, raw, near, far in self.seen[begin:end]:
            frame = CapturedFrame(raw, number=len(frames) + 1, time=moment, sender=near)
            frame.names, frame.origin, frame.arrivals = {}, "live, lo of this machine", [Arrival(moment, far)]
            frames.append(frame)
            hosts += [name for name in (near, far) if name not in hosts]
        return Capture(frames, hosts, {}, "live, lo of this machine", missed_by_now - missed)

    def close(self):
        self.socket.close()
