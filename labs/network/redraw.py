"""Frames drawn round bytes that crossed no wire of ours: layers 2 to 4, as a kernel would have written them.

The link "relay" (labs.network.relay) sees what programs say to each other, and nothing below.  From "the client connected", "it
sent 500 bytes", "it closed" this makes the ARP exchange, handshake, segments, acknowledgements and FINs of a connection without
loss.  What is drawn so is marked so, everywhere (Capture.origin).  The real thing: 24-tcp-connection.
"""

import random
from collections import namedtuple

from labs.decode import build

__all__ = ["Connection", "End", "Event", "redraw"]

End = namedtuple("End", "name mac address")  # of a host

# What happened: time in ns; the Connection; "open", "refused", "data", "end" or "reset"; who did it, "client" or "server"; bytes
Event = namedtuple("Event", "time connection kind side data")

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
MTU = 1500
HEADERS = 20 + 32  # IPv4 without options (RFC 791 §3.1), TCP with timestamps (RFC 7323 §3)
WINDOW = {"client": 64240, "server": 65160}  # Linux's first offers on Ethernet, in SYN and in SYN, ACK
SCALE = 7  # the shift that it announces (RFC 7323 §2)
STEP = 1_000  # ns between frames that one event causes
DELAYED_ACK = 40_000_000  # ns: so long Linux waits for something on which an acknowledgement may ride (RFC 1122 §4.2.3.2)
OTHER = {"client": "server", "server": "client"}


class Connection:
    """A connection as the relay knows it: who (an End) and which port, on both sides; initial sequence numbers, by chance."""

    def __init__(self, client, client_port, server, server_port):
        self.ends = {"client": client, "server": server}
        self.ports = {"client": client_port, "server": server_port}
        self.first = {side: random.getrandbits(32) for side in OTHER}


def redraw(events):
    """[(index of the event, raw, time, sender, receiver)] for the events of one network, in order; receiver None: everyone."""
    drawn, known, numbers, next_of, later = [], set(), {}, {}, []
    for event in reversed(events):
        later.append(next_of.get(event.connection))
        next_of[event.connection] = event
    for index, event in enumerate(events):
        frames = _Frames(event, numbers, later.pop())
        pair = frozenset(card.mac for card in event.connection.ends.values())
        if event.kind in ("open", "refused") and pair not in known:
            known.add(pair)
            frames.resolve()
        getattr(frames, event.kind)()
        drawn += [(index, raw, event.time + n * STEP, *ends) for n, (raw, *ends) in enumerate(frames.made)]
    return drawn


class _Frames:
    """The frames of one event.  later: the connection's next event, or None.

    numbers: (connection, side) → next sequence number; (connection, End) → the last Identification that it gave a packet.
    """

    def __init__(self, event, numbers, later):
        self.event, self.numbers, self.later, self.made = event, numbers, later, []
        self.connection, self.side = event.connection, event.side

    def resolve(self):
        """ARP (RFC 826): the client asks everyone, the server answers."""
        client, server = self.connection.ends["client"], self.connection.ends["server"]
        for operation, source, target in ((1, client, server), (2, server, client)):
            raw = build.arp(operation, source.mac, source.address, target.mac, target.address)
            self.made.append((raw, source.name, target.name if operation == 2 else None))

    def open(self):
        self.numbers |= {(self.connection, side): self.connection.first[side] for side in OTHER}
        self.send("client", SYN)
        self.send("server", SYN | ACK)
        self.send("client", ACK)

    def refused(self):
        """A port on which nobody listens: RST, which acknowledges the SYN (RFC 9293 §3.5.3)."""
        self.numbers |= {(self.connection, "client"): self.connection.first["client"], (self.connection, "server"): 0}
        self.send("client", SYN)
        self.send("server", RST | ACK)

    def data(self):
        room = MTU - HEADERS
        for at in range(0, len(self.event.data), room):
            part = self.event.data[at : at + room]
            self.send(self.side, ACK | PSH * (at + room >= len(self.event.data)), part)
        self.send(OTHER[self.side], ACK)

    def end(self):
        self.send(self.side, FIN | ACK)
        follows = self.later and self.later.kind == "end" and self.later.time < self.event.time + DELAYED_ACK
        if not follows:  # else its FIN acknowledges ours
            self.send(OTHER[self.side], ACK)

    def reset(self):
        self.send(self.side, RST | ACK)

    def send(self, side, flags, data=b""):
        connection, other = self.connection, OTHER[side]
        source, target = connection.ends[side], connection.ends[other]
        sequence = self.numbers[connection, side]
        acknowledged = self.numbers[connection, other] if flags & ACK else None
        now = (self.event.time // 1_000_000) & 0xFFFFFFFF
        stamps = now, now if flags & ACK else 0
        if flags & RST:
            options = b""
        elif flags & SYN:
            options = build.tcp_options(mss=MTU - 40, sack_permitted=True, timestamps=stamps, window_scale=SCALE)
        else:
            options = build.tcp_options(timestamps=stamps)
        window = 0 if flags & RST else WINDOW[side] >> (0 if flags & SYN else SCALE)
        segment = build.tcp(
            connection.ports[side], connection.ports[other], seq=sequence, ack=acknowledged, flags=flags, window=window,
            options=options, data=data,
        )  # fmt: skip
        packets = self.numbers[connection, source] = self.numbers.get((connection, source), connection.first[other]) + 1
        packet = build.ip(source.address, target.address, build.TCP, segment, identification=packets & 0xFFFF)
        raw = build.ethernet(source.mac, target.mac, build.IPV4, packet)
        self.made.append((raw, source.name, target.name))
        self.numbers[connection, side] = (sequence + len(data) + bool(flags & SYN) + bool(flags & FIN)) & 0xFFFFFFFF
