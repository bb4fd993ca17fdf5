"""A connection on the link "relay": two sockets of the machine's, and what is passed on between them.

What one side does, data, end or reset, reaches the other as what it was, after the delay of the wire, and is drawn as it passes.
All of this is done by the thread of labs.network.relay_loop.
"""

import selectors
import socket
import struct
import sys
import time
from collections import deque

from labs.network.redraw import OTHER, Connection
from labs.network.relay_loop import PIECE, Loop

__all__ = ["Joined", "Way"]

ROOM = 16 * PIECE  # bytes of one direction that the relay may hold, so that a reader who stops holds up the sender
DELAYED_ACK = 0.04  # seconds: so long Linux waits for something on which an acknowledgement may ride (RFC 1122 §4.2.3.2)
ABORT = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)  # SO_LINGER for no time: close() resets (socket(7))
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Way:
    """One direction of a connection: what comes out of `source` goes into `target`.

    pending: pieces that have arrived and that target has not taken; held: bytes of this direction that the relay holds; passed:
    bytes that it has read in all; on_wire: pieces that have not arrived.
    """

    def __init__(self, joined, side, source, target):
        self.joined, self.side, self.source, self.target = joined, side, source, target
        self.pending, self.held, self.passed, self.on_wire, self.due = deque(), 0, 0, 0, 0.0
        self.unheard, self.ended = 0, False  # bytes that target has taken and not acknowledged; source will say no more

    @property
    def reads(self) -> bool:
        return not self.ended and not self.joined.over and self.held < ROOM


class Joined:
    """The relay's two ends of a connection, `near` its client and `far`, at its server, and the two ways between them."""

    def __init__(self, loop: Loop, connection: Connection, near: socket.socket, far: socket.socket):
        self.loop, self.connection, self.over = loop, connection, False
        self.ways = {near: Way(self, "client", near, far), far: Way(self, "server", far, near)}  # by their source
        self._watched = {near: 0, far: 0}
        for one in self.ways:
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # the program's own Nagle has had its say

    def open(self) -> None:
        """Have the handshake drawn, at the pace of the wire, and begin to pass bytes on."""
        self.loop.joined.add(self)
        self.connection.ask()
        self.loop.after_trips(1, self.connection.agree)
        self.loop.after_trips(2, self.connection.open, self.watch)

    def watch(self) -> None:
        """Tell the selector what each end waits for now."""
        for into, out in zip(self.ways.values(), reversed(self.ways.values())):
            sock = into.source  # `into` reads it, `out` writes to it
            wanted = READ * into.reads | WRITE * bool(out.pending)
            before = self._watched[sock]
            if wanted == before or sock.fileno() == -1:
                continue
            self._watched[sock] = wanted
            if not wanted:
                self.loop.selector.unregister(sock)
            elif before:
                self.loop.selector.modify(sock, wanted, self._ready)
            else:
                self.loop.selector.register(sock, wanted, self._ready)

    def _ready(self, sock, mask):
        into = self.ways[sock]
        out = self.ways[into.target]
        if mask & WRITE and out.pending:
            self._deliver(out)
        if mask & READ and into.reads:
            self._read(into)
        self.watch()

    def _read(self, way):
        try:
            data = way.source.recv(PIECE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:  # reset
            return self._reset(way.side)
        if data:
            self.connection.say(way.side, data)
        else:
            way.ended = True
            self.connection.end(way.side)
        way.passed += len(data)
        way.held += len(data)
        self._send(way, lambda: self._arrive(way, data))

    def _send(self, way, arrive):
        """Call arrive() when what enters the wire now has crossed it, and not before what entered earlier."""
        way.due = max(way.due, time.monotonic() + self.loop.drawing.delay)
        if way.on_wire or self.loop.drawing.delay:
            way.on_wire += 1
            self.loop.arrival(way.due, lambda: self._landed(way, arrive))
        else:
            arrive()

    def _landed(self, way, arrive):
        way.on_wire -= 1
        arrive()
        self.watch()

    def _arrive(self, way, data):
        way.pending.append(data)
        self._deliver(way)

    def _deliver(self, way):
        """Give the target what it takes."""
        side, target_ended = OTHER[way.side], self.ways[way.target].ended
        while way.pending and way.target.fileno() != -1:
            data = way.pending[0]
            try:
                taken = way.target.send(data) if data else way.target.shutdown(socket.SHUT_WR) or 0
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # there is nobody any more
                return self._reset(side, answers=target_ended)
            if data and target_ended and _gone(way.target):
                return self._reset(side, answers=True)
            way.held -= taken
            way.unheard += taken
            if taken < len(data):
                way.pending[0] = memoryview(data)[taken:]
                continue
            way.pending.popleft()
            if data:
                self.connection.acknowledge(side, way.unheard)
                way.unheard = 0
            else:
                self.connection.hear_end(side)
                self.loop.later(time.monotonic() + DELAYED_ACK, lambda: self.connection.acknowledge_end(side))
                if all(each.ended and not each.pending and not each.on_wire for each in self.ways.values()):
                    for each in OTHER:  # that was the second FIN: it is acknowledged at once
                        self.connection.acknowledge_end(each)
                    self.close()

    def _reset(self, side, answers=False):
        """One side has gone, without ado.  What it said before still arrives, then the other hears of it.

        answers: its kernel says so in answer to data, for a program that has closed the connection.
        """
        if self.over:
            return
        self.over = True
        self.connection.reset(side, answers)
        way = next(each for each in self.ways.values() if each.side == side)
        self._drop(way.source)
        self._send(way, lambda: self._abort(way))

    def _abort(self, way):
        try:
            while way.pending and (piece := way.pending.popleft()) and way.target.send(piece) == len(piece):
                pass
        except OSError:  # what it does not take at once is lost, as it is when a real sender resets
            pass
        if way.target.fileno() != -1:
            way.target.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        self.close()

    def _drop(self, sock):
        if self._watched[sock]:
            self.loop.selector.unregister(sock)
            self._watched[sock] = 0
        sock.close()

    def close(self) -> None:
        self.over, self.connection.state = True, "over"
        for sock in self.ways:
            self._drop(sock)
        self.loop.joined.discard(self)


def _gone(sock):
    """Whether a program that has said all it had to say is not there to listen either: its kernel has answered with RST."""
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0
