"""The exercises of chapter 24-tcp-connection: captures that show what TCP does when it is pushed."""

import random
from collections.abc import Callable
from typing import Any

from labs.captures.capture import Capture
from labs.captures.frame import Frame
from labs.captures.stream import streams
from labs.decode import build
from labs.decode.headers import ACK, FIN, PSH, SYN
from labs.lessons.exercise import Exercise, Feedback, close, done, missing
from labs.lessons.graders.tools import call


def connections(capture: Capture) -> list[list[Any]]:
    """The frames of each TCP connection of a capture, in order."""
    return [stream.frames for stream in streams(capture)]


def opened(frames: list[Any]) -> Any:
    """The frame that completed the handshake, or None."""
    for at, frame in enumerate(frames):
        if frame.syn and frame.is_ack:
            for later in frames[at + 1 :]:
                if later.sender != frame.sender and later.is_ack and later.ack == (frame.seq + 1) % 2**32 and not later.lost:
                    return later
    return None


class Reset(Exercise):
    id = "24-reset"
    title = "Hand in a capture in which an established connection ends with a RST from the server"
    expects = Capture
    hints = (
        "A kernel resets when a program gives up a connection in a way that loses data.",
        "Two ways: close() while received bytes are unread, or SO_LINGER with a time of 0.",
        'connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)), then connection.close().',
    )

    def grade(self, capture: Capture) -> Feedback:
        resets = [(frames, frame) for frames in connections(capture) for frame in frames if frame.rst]
        if not resets:
            return missing("no frame of this capture has RST set")
        for frames, reset in resets:
            established = opened(frames)
            if established is None:
                continue
            if reset.sender == frames[0].sender:
                return close(f"the RST comes from the {reset.sender}, which opened the connection; the other side should send it")
            if reset.number > established.number:
                return done("the handshake was complete, and the server ended the connection with RST")
        return close("there is a RST, but it refuses a connection: this capture has no completed handshake before it")


class HalfClose(Exercise):
    id = "24-half-close"
    title = "Hand in a capture in which the server sends 1,000 bytes or more after the client's FIN"
    expects = Capture
    hints = (
        "close() gives up both directions. Another call gives up one.",
        "sock.shutdown(socket.SHUT_WR) sends FIN and keeps reading.",
        "Wait at the server until recv() returns b'' (the FIN has arrived), then sendall() and read it all at the client.",
    )

    def grade(self, capture: Capture) -> Feedback:
        best = missing("no FIN in this capture")
        for frames in connections(capture):
            opener = frames[0].sender
            fin = next((f for f in frames if f.fin and f.sender == opener), None)
            if fin is None:
                if any(f.fin for f in frames):
                    why = "here it should be the client, which opened the connection"
                    best = close(f"the side that sends FIN first is the server; {why}")
                continue
            end = (fin.seq + fin.payload_length + 1) % 2**32
            heard = next((f for f in frames if f.sender != opener and f.is_ack and f.ack == end), None)
            late = [f for f in frames if heard and f.number >= heard.number]
            after = [f for f in late if f.sender != opener and f.payload_length and not f.lost]
            size = sum(f.payload_length for f in after)
            if size < 1000:
                best = close(f"after the client's FIN the server sends {size} bytes; at least 1,000 were asked for")
                continue
            last = (after[-1].seq + after[-1].payload_length) % 2**32
            if any(f.rst for f in frames):
                why = "it had closed both directions; use shutdown(), not close()"
                best = close(f"the client answered the late bytes with RST: {why}")
            elif not any(f.sender == opener and f.is_ack and (f.ack - last) % 2**32 < 2**31 for f in frames):
                best = close("the late bytes were sent, but not acknowledged in this capture: let the client read before it ends")
            else:
                return done(f"the client's direction was closed, and {size:,} bytes still came from the server")
        return best


class Retransmission(Exercise):
    id = "24-retransmission"
    title = "Hand in a capture with a data segment that was lost, sent again and acknowledged"
    expects = Capture
    hints = (
        "The wire loses what a rule tells it to lose.",
        "net.wire.rule(lambda f: f.payload_length > 0, drop=True, times=1)",
        "Keep the capture open until the receiver has read everything.",
    )

    def grade(self, capture: Capture) -> Feedback:
        best = missing("no data segment was sent twice")
        for frames in connections(capture):
            sent = [f for f in frames if f.payload_length]
            for at, first in enumerate(sent):
                again = next((f for f in sent[at + 1 :] if f.sender == first.sender and f.seq == first.seq), None)
                if again is None:
                    if first.lost and best.status == "missing":
                        best = close("a data segment was lost, but the capture ends before it is sent again")
                    continue
                if not first.lost:
                    best = close("a segment was sent twice, but the wire had not lost the first one")
                    continue
                end = (again.seq + again.payload_length) % 2**32
                if any(f.sender != first.sender and f.number > again.number and (f.ack - end) % 2**32 < 2**31 for f in frames):
                    late = (again.time - first.time) / 1e6
                    return done(f"lost, repeated and acknowledged, {'before' if late < 200 else 'after'} the 200 ms of a timeout")
                best = close("the segment was repeated, but its acknowledgement is not in this capture")
        return best


class ZeroWindow(Exercise):
    id = "24-zero-window"
    title = "Hand in a capture in which a receiver closes its window to 0 and opens it again"
    expects = Capture
    hints = (
        "The window closes when the receive buffer is full: send much, read nothing.",
        "listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096) before connect() makes the buffer small.",
        "Look at the running capture to see the window close (f.window == 0), then read everything.",
    )

    def grade(self, capture: Capture) -> Feedback:
        best = missing("every window in this capture is open")
        for frames in connections(capture):
            closed = next((f for f in frames if f.window == 0 and f.is_ack and not f.rst and not f.syn), None)
            if closed is None:
                continue
            if any(f.sender == closed.sender and f.number > closed.number and f.window for f in frames):
                return done("the window closed, and opened again when the receiver had read")
            best = close("the window closed, but never opened again in this capture: let the receiver read")
        return best


class Reorder(Exercise):
    id = "24-reorder"
    title = "Write put_in_order(frames): the bytes that the client sent, from frames in any order"
    expects = callable
    hints = (
        "The client's SYN has the number before the first byte: byte 0 of the stream has seq = SYN's seq + 1.",
        "Numbers wrap: position = (f.seq - start) % 2**32.",
        "Sort by position, skip what you already have: a segment may come twice, or overlap.",
    )

    def grade(self, function: Callable) -> Feedback:
        for start, what in ((1_000, "a small number"), (2**32 - 3_000, "a number near the end of the 32-bit space")):
            text, frames = shuffled(start)
            got = call(function, list(frames), returns=(bytes, bytearray))
            if bytes(got) != text:
                return close(f"with an initial sequence number of {what}: {difference(text, bytes(got))}")
        return done("two shuffled captures, with duplicates and an overlap, came back byte for byte")


def difference(wanted: bytes, got: bytes) -> str:
    """What a reader of two streams would say first."""
    if len(got) > len(wanted) and got.startswith(wanted):
        return f"{len(got) - len(wanted):,} bytes too many behind the right ones"
    if sorted(got) == sorted(wanted):
        return "the right bytes, in the wrong order"
    same = next((i for i, (a, b) in enumerate(zip(wanted, got)) if a != b), min(len(wanted), len(got)))
    return f"expected {len(wanted):,} bytes, got {len(got):,}; right up to byte {same:,}"


def shuffled(start: int) -> tuple[bytes, list[Frame]]:
    """A client's stream as frames in random order (always the same), some twice, one overlapping, with a server's among them."""
    order = random.Random(start)
    text = bytes(order.randrange(256) for _ in range(9_000))
    frames = [_segment("client", start, SYN)]
    frames += [_segment("client", start + 1 + at, ACK | PSH, text[at : at + 1000]) for at in range(0, 9_000, 1000)]
    frames += [frames[3], frames[5], _segment("client", start + 1 + 2_500, ACK, text[2_500:4_200])]
    frames += [
        _segment("server", 77, SYN | ACK),
        _segment("server", 78, ACK | PSH, b"the server's own bytes"),
        _segment("client", start + 9_001, FIN | ACK),
    ]
    order.shuffle(frames)
    return text, frames


def _segment(sender, seq, flags, payload=b""):
    ends, ports, macs = ("10.0.0.1", "10.0.0.2"), (40_000, 80), ("02:00:00:00:00:01", "02:00:00:00:00:02")
    if sender == "server":
        ends, ports, macs = ends[::-1], ports[::-1], macs[::-1]
    segment = build.tcp(*ports, seq=seq, flags=flags, data=payload)
    return Frame(build.ethernet(*macs, build.IPV4, build.ip(*ends, build.TCP, segment)), sender=sender)
