"""What a TCP segment says, in the words that a ladder writes beside its arrow.

TCP's numbers become relative, as Wireshark shows them: a connection's SYN has seq 0, its first data byte seq 1; where a capture
begins in the middle of a connection, the first number seen becomes 1.  To call a segment a retransmission, one must remember what
was sent before, so each direction of each connection on each wire has a `Side`.
"""

from labs.decode.headers import ACK, FIN, RST, SYN, Headers, flag_names
from labs.decode.reading import amount

__all__ = ["FLAG_NAMES", "Side", "words"]

FLAG_NAMES = [flag_names(flags) or "no flags" for flags in range(256)]
_HALF, _FULL = 1 << 31, 1 << 32


class Side:
    """What one end of a TCP connection has sent, on one wire; numbers are absolute and wrap at 2³²."""

    __slots__ = ("base", "next", "acked", "window", "scale", "holes")

    def __init__(self, base: int, following: int):
        self.base, self.next = base, following  # `base` is the number that is shown as 0
        self.acked = self.window = self.scale = None  # the last acknowledgement and window that this side sent
        self.holes = []  # [from, to) not seen yet although later bytes were

    def relative(self, number: int) -> int:
        """The number counted from this side's first, as a small number even if it is a little below it."""
        value = (number - self.base) % _FULL
        return value if value < _HALF else value - _FULL

    def sent_before(self, seq: int, length: int) -> bool | None:
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


def words(frame: Headers, sides: dict, window: bool = False) -> tuple:
    """(flags, numbers, what stands out, the connection, whether nothing in it is new) of a segment; `sides`: what went before."""
    flags, seq, again = frame.flags, frame.seq, False
    if seq is None:
        return ("header cut off",)
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
    said = [f"seq {me.relative(seq)}"]
    marks = []
    length = frame.payload_length + (1 if flags & SYN else 0) + (1 if flags & FIN else 0)
    if peer is not None and peer.acked is not None and not flags & (SYN | FIN | RST) and frame.payload_length <= 1:
        if (peer.acked - 1 - seq) % _FULL == 0:  # RFC 9293 §3.8.4: one below what the peer expects, to make it answer
            marks.append("window probe" if peer.window == 0 else "keep-alive")
            again, length = True, 0
    if length:
        before = me.sent_before(seq, length)
        if before:
            marks.append("retransmission")
            again = True
        elif before is None:
            marks.append("out of order")
    if flags & ACK:
        if peer is None:
            peer = sides[peer_key] = Side((frame.ack - 1) % _FULL, frame.ack)
        said.append(f"ack {peer.relative(frame.ack)}")
        me.acked = frame.ack
        if frame.sack:
            said.append("SACK " + ", ".join(f"{peer.relative(left)}–{peer.relative(right)}" for left, right in frame.sack))
    if flags & SYN:
        me.scale = frame.window_scale
        if frame.mss is not None:
            said.append(f"MSS {frame.mss}")
    me.window = frame.window
    if window:
        scaled = not flags & SYN and peer is not None and me.scale is not None and peer.scale is not None
        said.append(f"window {frame.window << me.scale if scaled and me.scale < 15 else frame.window}")
        if flags & SYN and frame.window_scale is not None:
            said.append(f"scale {frame.window_scale}")
    if frame.payload_length:
        said.append(amount(frame.payload_length))
    if frame.window == 0 and not flags & (RST | SYN):
        marks.append("zero window")
    return FLAG_NAMES[flags], "  ".join(said), marks, key if key[1:] <= peer_key[1:] else peer_key, again
