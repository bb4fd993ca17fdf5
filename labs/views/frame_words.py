"""What each frame of a capture says, in the words that a ladder writes beside its arrow.

One pass over the frames.  TCP's numbers become relative, as Wireshark shows them: a connection's SYN has seq 0, its first data
byte seq 1; where a capture begins in the middle of a connection, the first number seen becomes 1.  To call a segment a
retransmission, one must remember what was sent before, so each direction of each connection on each wire has a `Side`.
"""

from labs.decode.headers import ACK, FIN, RST, SYN, Headers, flag_names

from . import escape

__all__ = ["Row", "Side", "describe", "difference"]

_FLAG_NAMES = [flag_names(flags) or "no flags" for flags in range(256)]
_HALF, _FULL = 1 << 31, 1 << 32
_ICMP = {
    0: "echo reply",
    3: "destination unreachable",
    5: "redirect",
    8: "echo request",
    11: "time exceeded",
    12: "parameter problem",
}
_UNREACHABLE = {
    0: "network",
    1: "host",
    2: "protocol",
    3: "port",
    13: "administratively prohibited",
}  # RFC 792, RFC 1812 §5.2.7.1
_ICMPV6 = {
    1: "destination unreachable", 2: "packet too big", 3: "time exceeded", 128: "echo request", 129: "echo reply",
    133: "router solicitation", 134: "router advertisement", 135: "neighbor solicitation", 136: "neighbor advertisement",
    143: "multicast listener report",
}  # fmt: skip


class Row:
    """One frame of a ladder: `head` (flags, or the kind of message), `rest` (numbers), `marks` (what stands out)."""

    __slots__ = ("frame", "protocol", "head", "rest", "marks", "connection", "again")

    def __init__(self, frame):
        self.frame, self.protocol, self.head, self.rest, self.marks = frame, frame.protocol, "", "", ()
        self.connection = None  # (address, port, address, port) of a TCP frame, as its first frame had it
        self.again = False  # carries nothing that its sender had not sent before

    @property
    def label(self):
        """ "SYN  seq 0  MSS 1460"."""
        return f"{self.head}  {self.rest}" if self.rest else self.head

    def fate(self):
        """What the wire did to the frame, if anything: lost, held, rewritten, duplicated; a list of short clauses."""
        frame = self.frame
        if frame.lost:
            return [f"lost: {escape.plain(frame.lost, 60)}"]
        if not frame.arrivals:
            return ["held"]
        told = []
        for arrival in frame.arrivals:
            if arrival.raw is not None and arrival.raw != frame.raw:
                told.append("rewritten: " + difference(frame, arrival.raw))
        copies = len(frame.arrivals) - len({arrival.receiver for arrival in frame.arrivals})
        if copies:
            told.append("copy" if copies == 1 else f"{copies} copies")
        return told


class Side:
    """What one end of a TCP connection has sent, on one wire; numbers are absolute and wrap at 2³²."""

    __slots__ = ("base", "next", "acked", "window", "scale", "holes")

    def __init__(self, base, following):
        self.base, self.next = base, following  # `base` is the number that is shown as 0
        self.acked = self.window = self.scale = None  # the last acknowledgement and window that this side sent
        self.holes = []  # [from, to) not seen yet although later bytes were

    def relative(self, number):
        """The number counted from this side's first, as a small number even if it is a little below it."""
        value = (number - self.base) % _FULL
        return value if value < _HALF else value - _FULL

    def sent_before(self, seq, length):
        """Note `length` numbers sent from `seq` on; True if these were all sent before, None if they fill a hole."""
        ahead = (seq - self.next) % _FULL
        if ahead < _HALF:
            if ahead:
                self.holes = [*self.holes[-63:], (self.next, seq)]  # forged numbers could open a hole with every segment
            self.next = (seq + length) % _FULL
            return False
        for hole in self.holes:
            if (seq - hole[0]) % _FULL < (hole[1] - hole[0]) % _FULL:
                self.holes.remove(hole)
                end = (seq + length) % _FULL
                parts = (hole[0], seq), (end, hole[1])
                self.holes += [part for part in parts if 0 < (part[1] - part[0]) % _FULL < _HALF]
                return None
        if (seq + length - self.next) % _FULL < _HALF:  # old bytes and perhaps new ones behind them
            self.next = (seq + length) % _FULL
        return True


def describe(frames, window=False, sides=None):
    """A `Row` for each frame.  window=True adds the receive window, in bytes where the scale is known (RFC 7323 §2.2).

    `sides` is a dict that carries what is known of the connections from one call to the next.
    """
    sides, rows = {} if sides is None else sides, []
    for frame in frames:
        row = Row(frame)
        rows.append(row)
        protocol = frame.protocol
        if protocol == "TCP":
            _tcp(row, frame, sides, window)
        elif protocol == "UDP":
            row.head = "header cut off" if frame.sport is None else _bytes(frame.payload_length)
        elif protocol == "ARP":
            row.head = _arp(frame)
        elif protocol == "ICMP" or protocol == "ICMPv6":
            _icmp(row, frame)
        else:
            _unknown(row, frame)
        if frame.fragment is not None:
            row.rest = f"{row.rest}  fragment at {frame.fragment}".strip()
    return rows


def _bytes(number):
    return "1 byte" if number == 1 else f"{number} bytes"


def _tcp(row, frame, sides, window):
    flags, seq = frame.flags, frame.seq
    if seq is None:
        row.head = "header cut off"
        return
    wire = frame.wire
    key = wire, frame.src, frame.sport, frame.dst, frame.dport
    peer_key = wire, frame.dst, frame.dport, frame.src, frame.sport
    me, peer = sides.get(key), sides.get(peer_key)
    if flags & SYN and me is not None and me.base != seq:  # the ports are used again: a new connection
        me = None
        if not flags & ACK:
            peer = None
            sides.pop(peer_key, None)
    if me is None:
        # A reset that answers a SYN has seq 0 by rule (RFC 9293 §3.10.7.1), not as the number of a byte.
        base = seq if flags & SYN or (flags & RST and seq == 0) else (seq - 1) % _FULL
        me = sides[key] = Side(base, seq)
    words = [f"seq {me.relative(seq)}"]
    marks = []
    length = frame.payload_length + (1 if flags & SYN else 0) + (1 if flags & FIN else 0)
    if peer is not None and peer.acked is not None and not flags & (SYN | FIN | RST) and frame.payload_length <= 1:
        if (peer.acked - 1 - seq) % _FULL == 0:  # RFC 9293 §3.8.4: one below what the peer expects, to make it answer
            marks.append("window probe" if peer.window == 0 else "keep-alive")
            row.again, length = True, 0
    if length:
        before = me.sent_before(seq, length)
        if before:
            marks.append("retransmission")
            row.again = True
        elif before is None:
            marks.append("out of order")
    if flags & ACK:
        if peer is None:
            peer = sides[peer_key] = Side((frame.ack - 1) % _FULL, frame.ack)
        words.append(f"ack {peer.relative(frame.ack)}")
        me.acked = frame.ack
        if frame.sack:
            words.append("SACK " + ", ".join(f"{peer.relative(left)}–{peer.relative(right)}" for left, right in frame.sack))
    if flags & SYN:
        me.scale = frame.window_scale
        if frame.mss is not None:
            words.append(f"MSS {frame.mss}")
    me.window = frame.window
    if window:
        scaled = not flags & SYN and peer is not None and me.scale is not None and peer.scale is not None
        words.append(f"window {frame.window << me.scale if scaled and me.scale < 15 else frame.window}")
        if flags & SYN and frame.window_scale is not None:
            words.append(f"scale {frame.window_scale}")
    if frame.payload_length:
        words.append(_bytes(frame.payload_length))
    if frame.window == 0 and not flags & (RST | SYN):
        marks.append("zero window")
    row.head, row.rest, row.marks = _FLAG_NAMES[flags], "  ".join(words), marks
    row.connection = key if key[1:] <= peer_key[1:] else peer_key


def _arp(frame):
    if frame.arp_op is None:
        return "header cut off"
    if frame.src == frame.dst:
        return f"announces {frame.src}"  # RFC 5227 §3
    if frame.arp_op == 1:
        return f"who has {frame.dst}?"
    if frame.arp_op == 2:
        return f"{frame.src} is at {frame.raw[22:28].hex(':')}"
    return f"operation {frame.arp_op}"


def _icmp(row, frame):
    kind, code, at, raw = frame.icmp_type, frame.icmp_code, frame.payload_at - 8, frame.raw
    if kind is None:
        row.head = "header cut off"
        return
    row.head = (_ICMP if frame.protocol == "ICMP" else _ICMPV6).get(kind, f"type {kind}, code {code}")
    rest = int.from_bytes(raw[at + 6 : at + 8], "big") if at >= 0 and len(raw) >= at + 8 else None
    if "echo" in row.head and rest is not None:
        row.rest = f"seq {rest}  {_bytes(frame.payload_length)}"
    elif frame.protocol == "ICMP" and kind == 3:
        if code == 4:
            row.head = "fragmentation needed"
            row.rest = f"next MTU {rest}" if rest else ""  # RFC 1191 §4
        elif code in _UNREACHABLE:
            row.head = f"{_UNREACHABLE[code]} unreachable" if code != 13 else _UNREACHABLE[13]


def _unknown(row, frame):
    raw = frame.raw
    if len(raw) < 14:
        row.head = "cut off" if raw else "empty"
    elif frame.protocol == "IPv4" and len(raw) >= 34:
        row.head = f"protocol {raw[23]}" if not frame.fragment else _bytes(frame.payload_length)
    elif frame.protocol == "IPv6" and len(raw) >= 54:
        row.head = f"next header {raw[20]}"
    else:
        kind = raw[12] << 8 | raw[13]
        row.head = f"type 0x{kind:04x}" if kind >= 0x600 else f"length {kind}"  # IEEE 802.3: below 1536 it is a length
        row.rest = _bytes(len(raw) - 14)


def difference(frame, raw):
    """What a rewritten copy says differently, in a few words: "RST, ACK", "window 0"; otherwise which bytes changed."""
    after, told = Headers(raw), []
    if after.flags != frame.flags and after.protocol == "TCP":
        told.append(_FLAG_NAMES[after.flags])
    for name in ("src", "dst", "sport", "dport", "ttl", "window", "mss"):
        value = getattr(after, name)
        if value is not None and value != getattr(frame, name):
            told.append(f"{'MSS' if name == 'mss' else 'TTL' if name == 'ttl' else name} {value}")
    for name in ("seq", "ack"):
        value, old = getattr(after, name), getattr(frame, name)
        if value is not None and old is not None and value != old:
            told.append(f"{name} {(value - old + _HALF) % _FULL - _HALF:+d}")
    if len(raw) != len(frame.raw):
        told.append(f"{len(frame.raw)} → {len(raw)} bytes")
    elif after.payload != frame.payload and not told:
        told.append("payload")
    if not told:
        changed = [at for at, (a, b) in enumerate(zip(frame.raw, raw)) if a != b]
        told.append(f"byte {changed[0]}" if len(changed) == 1 else f"{len(changed)} bytes from {changed[0]} on")
    return ", ".join(told)
