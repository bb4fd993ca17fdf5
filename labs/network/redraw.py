"""Frames drawn round bytes that crossed no wire of ours: layers 2 to 4, as a kernel would have written them.

The link "relay" (labs.network.relay) sees what programs say to each other, and nothing below.  From "the client connected", "it
sent 500 bytes", "it closed" this makes the ARP exchange, handshake, segments, acknowledgements and FINs of a connection without
loss.  What is drawn so is marked so, everywhere (Capture.origin).  The real thing: 24-tcp-connection.
"""

import random
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from labs.decode import build
from labs.decode.headers import FIN, PSH, RST, SYN

__all__ = ["Connection", "Drawing", "Drawn", "End", "OTHER"]

HEADERS = 20 + 32  # IPv4 without options (RFC 791 §3.1), TCP with timestamps (RFC 7323 §3)
WINDOW = {"client": 64240, "server": 65160}  # Linux's first offers on Ethernet, in SYN and in SYN, ACK
SCALE = 7  # the shift that it announces (RFC 7323 §2)
STEP = 1_000  # ns at least between two frames
NETWORK_CONTROL = 0xC0  # type of service of ICMP errors (RFC 1812 §4.3.2.5)
OTHER = {"client": "server", "server": "client"}


class End(NamedTuple):
    """A host as frames know it."""

    name: str
    mac: str
    address: str


class Drawn(NamedTuple):
    """A frame: when it was sent and when it arrives (ns since 1970), its bytes, from whom and to whom (None: everyone)."""

    time: int
    arrives: int
    raw: bytes
    sender: str
    receiver: str | None


class Drawing:
    """The frames of one network.  They are counted always, drawn only while a capture runs, and kept only until it ends.

    mtu: bytes of a packet; limit: bytes of frames that are kept, what does not fit is counted in `missed`; delay: seconds that
    the wire takes one way.  Only the relay's thread calls what draws; `frames` only grows, so other threads may read it.
    """

    def __init__(self, mtu: int, limit: int, delay: float):
        self.mtu, self.limit, self.delay = mtu, limit, delay
        self.frames: list[Drawn] = []
        self.number = self.missed = self.size = self.captures = 0
        self._last, self._known, self._packets = 0, set(), random.getrandbits(16)

    def begin(self) -> tuple[list[Drawn], int, int]:
        """A capture begins: (the list of frames, how many are in it already, how many were missed before)."""
        self.captures += 1
        return self.frames, len(self.frames), self.missed

    def end(self) -> None:
        self.captures -= 1
        if not self.captures:
            self.frames, self.size = [], 0  # a new list: who reads the old one still has it

    def frame(self, sender: End, receiver: End | None, make: Callable[..., bytes], *values: Any, **more: Any) -> None:
        """A frame passes; make(*values, **more) draws it, if a capture wants it and has room for it."""
        self.number += 1
        if not self.captures:
            return
        if self.size < self.limit and self.size + len(raw := make(*values, **more)) <= self.limit:
            self.size += len(raw)
            self._last = max(time.time_ns(), self._last + STEP)
            arrives = self._last + int(self.delay * 1e9)
            self.frames.append(Drawn(self._last, arrives, raw, sender.name, receiver and receiver.name))
        else:
            self.size = self.limit  # full: what comes is not even drawn
            self.missed += 1

    def resolve(self, asks: End, answers: End) -> None:
        """ARP (RFC 826), the first time that these two meet: one asks everyone, the other answers."""
        pair = frozenset((asks.mac, answers.mac))
        if pair not in self._known:
            self._known.add(pair)
            self.frame(asks, None, build.arp, 1, asks.mac, asks.address, answers.mac, answers.address)
            self.frame(answers, asks, build.arp, 2, answers.mac, answers.address, asks.mac, asks.address)

    def datagram(self, source: End, source_port: int, target: End, target_port: int, data: bytes) -> None:
        self.resolve(source, target)
        self._packets += 1
        self.frame(source, target, _datagram, source, source_port, target, target_port, data, self._packets)

    def unreachable(self, source: End, source_port: int, target: End, target_port: int, data: bytes) -> None:
        """The target's answer to a datagram for a port on which nobody waits: an ICMP error (RFC 1122 §3.2.2.1)."""
        values = source, source_port, target, target_port, data, self._packets
        self.frame(target, source, _unreachable, *values)


def _over_ip(source, target, protocol, message, packets, **how):
    packet = build.ip(source.address, target.address, protocol, message, identification=packets & 0xFFFF, **how)
    return build.ethernet(source.mac, target.mac, build.IPV4, packet)


def _datagram(source, source_port, target, target_port, data, packets):
    return _over_ip(source, target, build.UDP, build.udp(source_port, target_port, data), packets)


def _unreachable(source, source_port, target, target_port, data, packets):
    quoted = _datagram(source, source_port, target, target_port, data, packets)[14:]
    body = b"\3\3" + bytes(6) + quoted[: 576 - 28]  # type 3, code 3; as much as fits into 576 bytes (RFC 1812 §4.3.2.3)
    return _over_ip(target, source, build.ICMP, body, packets, tos=NETWORK_CONTROL, dont_fragment=False)


class Connection:
    """A TCP connection as the relay knows it: whose, on which ports, how far each side's numbers are.

    A side is "client" or "server".  ended: those that have said all they had to say; next: sequence number of what a side says
    next; heard: of what it expects next; owes: those that have not acknowledged the other's FIN.
    state: "opening", "open", "refused", "over".
    """

    def __init__(self, drawing: Drawing, client: End, client_port: int, server: End, server_port: int):
        self.drawing, self.state, self.ended, self.owes = drawing, "opening", set(), set()
        self.ends, self.ports = {"client": client, "server": server}, {"client": client_port, "server": server_port}
        self.next = {side: random.getrandbits(32) for side in OTHER}  # sequence numbers, from initial ones by chance
        self.heard = dict.fromkeys(OTHER, 0)
        self._packets = {side: random.getrandbits(16) for side in OTHER}  # Identification of the last packet

    def ask(self) -> None:
        self.drawing.resolve(self.ends["client"], self.ends["server"])
        self._send("client", SYN)

    def agree(self) -> None:
        self.heard["server"] = self.next["client"]
        self._send("server", SYN)

    def open(self) -> None:
        self.acknowledge("client", self.next["server"])
        self.state = "open"

    def refuse(self) -> None:
        """A port on which nobody listens: RST, which acknowledges the SYN (RFC 9293 §3.5.3)."""
        self.heard["server"], self.next["server"] = self.next["client"], 0
        self._send("server", RST)
        self.state = "refused"

    def say(self, side: str, data: bytes) -> None:
        room = self.drawing.mtu - HEADERS
        for at in range(0, len(data), room):
            self._send(side, PSH * (at + room >= len(data)), data[at : at + room])

    def acknowledge(self, side: str, count: int) -> None:
        """`count` more bytes have reached it, and it says so."""
        self.heard[side] = (self.heard[side] + count) % 2**32
        self._send(side)

    def end(self, side: str) -> None:
        self.ended.add(side)
        self._send(side, FIN)

    def hear_end(self, side: str) -> None:
        """The other side's FIN has reached it, and waits for something on which its acknowledgement may ride."""
        self.heard[side] = (self.heard[side] + 1) % 2**32
        self.owes.add(side)

    def acknowledge_end(self, side: str) -> None:
        """It waits no longer."""
        if side in self.owes and self.state == "open":
            self._send(side)

    def reset(self, side: str, answers: bool = False) -> None:
        """RST; one that answers a segment acknowledges nothing (RFC 9293 §3.5.3)."""
        self._send(side, RST, bare=answers)
        self.state = "over"

    def _send(self, side, flags=0, data=b"", bare=False):
        """A segment; all but the very first, and a bare one, acknowledge what came."""
        bare = bare or flags & SYN and side == "client"
        ack = None if bare else self.heard[side]
        self._packets[side] += 1
        self.owes.discard(side)
        source, target = self.ends[side], self.ends[OTHER[side]]
        self.drawing.frame(source, target, self._segment, side, flags, self.next[side], ack, data, self._packets[side])
        self.next[side] = (self.next[side] + len(data) + bool(flags & (SYN | FIN))) % 2**32

    def _segment(self, side, flags, seq, ack, data, packets):
        now = time.time_ns() // 1_000_000 & 0xFFFFFFFF
        stamps = now, 0 if ack is None else now
        if flags & RST:
            options, window = b"", 0
        elif flags & SYN:
            options = build.tcp_options(mss=self.drawing.mtu - 40, sack_permitted=True, timestamps=stamps, window_scale=SCALE)
            window = WINDOW[side]
        else:
            options, window = build.tcp_options(timestamps=stamps), WINDOW[side] >> SCALE
        ports = self.ports[side], self.ports[OTHER[side]]
        segment = build.tcp(*ports, seq=seq, ack=ack, flags=flags, window=window, options=options, data=data)
        return _over_ip(self.ends[side], self.ends[OTHER[side]], build.TCP, segment, packets)
