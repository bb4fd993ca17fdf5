"""What the link "relay" does with bytes: pass them on between two sockets, after the delay of the wire, and have them drawn.

A thread of its own does it, in an event loop as 02-polling builds one, so that a cell which waits does not keep its own bytes
waiting.  Only this thread touches the relay's ends of connections; others ask it (ask, soon) and wait on one Condition.
"""

import heapq
import itertools
import selectors
import socket
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable

from labs.errors import LabError
from labs.network.redraw import OTHER, Connection, Drawing

__all__ = ["HERE", "Loop", "closed"]

HERE = "127.0.0.1"
PIECE = 65_536  # bytes read at a time
ROOM = 16 * PIECE  # bytes of one direction that the relay may hold, so that a reader who stops holds up the sender
DELAYED_ACK = 0.04  # seconds: so long Linux waits for something on which an acknowledgement may ride (RFC 1122 §4.2.3.2)
ABORT = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)  # SO_LINGER for no time: close() resets (socket(7))
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


def closed() -> LabError:
    return LabError("this network is closed; make another one with labs.network(…)")


class Loop:
    """The thread and what it turns.  It does not know the network, which may so be forgotten.

    changed: a Condition that is notified after each turn in which something happened.
    """

    def __init__(self, drawing: Drawing):
        self.drawing, self.changed, self.stopped, self.failure = drawing, threading.Condition(), False, None
        self.joined: set[Joined] = set()
        self.selector = selectors.DefaultSelector()
        self._calls, self._settling = deque(), []
        self._timers, self._order, self._last_arrival = [], itertools.count(), 0.0
        self._bell, self._door = socket.socketpair()
        for one in (self._bell, self._door):
            one.setblocking(False)
        self.selector.register(self._door, READ, self._rung)
        self.thread = threading.Thread(target=self._run, name="labs relay", daemon=True)
        self.thread.start()

    # ── for other threads ────────────────────────────────────────────────────────────────────────────────────────────────

    def soon(self, function: Callable[[], object]) -> None:
        """Let the thread call function(), after all that it was asked before."""
        self._calls.append(function)
        try:
            self._bell.send(b"!")
        except OSError:  # it has been rung often enough; or the loop has stopped
            pass

    def ask(self, function: Callable[[], object]):
        """Let the thread call function(); what it returns.  LabError if the network is closed."""
        answer = []
        self.soon(lambda: answer.append(function()))
        if not self.wait(lambda: answer):
            raise LabError(f"the relay has failed: {self.failure!r}; make another network") if self.failure else closed()
        return answer[0]

    def wait(self, true: Callable[[], object], timeout: float | None = None) -> bool:
        """Wait until true() is; False if it was not within `timeout` s, or can never be, because the loop has stopped."""
        with self.changed:
            self.changed.wait_for(lambda: true() or self.stopped, timeout)
            return bool(true())

    @property
    def busy(self) -> int:
        """How much waits for the thread, or for its time to arrive."""
        return len(self._calls) + len(self._timers)

    def settle(self, timeout: float) -> None:
        """Wait until what programs have sent by now has been passed on, or `timeout` s.  What the wire delays, arrives first."""
        settling = _Settling()
        self.soon(lambda: self._settling.append(settling.begin(self.joined)))
        self.wait(lambda: settling.done, timeout)

    def stop(self) -> None:
        """End the thread and close its ends.  Doing it twice is fine."""
        self.stopped = True
        self.soon(int)
        if threading.current_thread() is not self.thread:
            self.thread.join(2)

    def close_in_child(self) -> None:
        """A forked child must not keep the parent's connections open: a close there would reach nobody."""
        self.stopped, self.changed = True, threading.Condition()
        for one in [self.selector, self._bell, self._door, *(sock for joined in self.joined for sock in joined.ways)]:
            one.close()

    # ── the thread ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _run(self):
        try:
            while not self.stopped:
                self._turn()
        except Exception as error:  # a mistake of ours: whoever asks next reads it; a thread must not print
            self.failure = error
        finally:
            with self.changed:
                self.stopped = True
                self.changed.notify_all()
            for joined in list(self.joined):
                joined.close()
            self.selector.close(), self._bell.close(), self._door.close()

    def _turn(self):
        ready, number = self.selector.select(self._pause()), self.drawing.number
        for key, mask in ready:
            key.data(key.fileobj, mask)
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[-1]()
        sources = {key.fileobj for key, mask in ready if mask & READ}
        settled = [one for one in self._settling if one.turned(sources, now, self._last_arrival)]
        self._settling = [one for one in self._settling if not one.done]
        calls = len(self._calls)
        for _ in range(calls):
            self._calls.popleft()()
        if calls or settled or self.drawing.number != number:
            with self.changed:
                self.changed.notify_all()

    def _rung(self, door, mask):
        try:
            door.recv(PIECE)
        except OSError:
            pass

    def _pause(self):
        """How long the selector may wait for something to happen: None, for ever."""
        if self._calls or any(one.until is None for one in self._settling):
            return 0
        times = [when for when, *_ in self._timers[:1]] + [one.until for one in self._settling]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def later(self, when: float, function: Callable[[], object]) -> None:
        """Call function() at the time `when` of the monotonic clock."""
        heapq.heappush(self._timers, (when, next(self._order), function))

    def arrival(self, when: float, function: Callable[[], object]) -> None:
        """The same for something that is on the wire until then: settle() waits for it."""
        self._last_arrival = max(self._last_arrival, when)
        self.later(when, function)

    def connect(self, connection: Connection, near: socket.socket, far: socket.socket) -> None:
        """Have the handshake drawn, at the pace of the wire, and begin to pass bytes on."""
        joined = Joined(self, connection, near, far)
        self.joined.add(joined)
        connection.ask()
        self.after_trips(1, connection.agree)
        self.after_trips(2, connection.open, joined.watch)

    def refuse(self, connection: Connection) -> None:
        connection.ask()
        self.after_trips(1, connection.refuse)

    def after_trips(self, trips: int, *functions: Callable[[], object]) -> None:
        """Call them when something has crossed the wire so many times: at once, if it has no delay."""
        for function in functions:
            if self.drawing.delay:
                self.arrival(time.monotonic() + trips * self.drawing.delay, function)
            else:
                function()


class _Settling:
    """A wish to know when what was there is passed on.

    A way is done with when it had nothing to read in a turn, or has read as much as may have waited in its socket: so that the
    wish ends even where traffic never does.
    """

    def __init__(self):
        self.done, self.until = False, None

    def begin(self, joined):
        self.left = {way: way.passed + _room(way.source) for each in joined for way in each.ways.values() if way.reads}
        return self

    def turned(self, ready, now, last_arrival):
        """After a turn of the loop; `ready`: the sockets that had something to read.  True when the wish is fulfilled."""
        self.left = {way: goal for way, goal in self.left.items() if way.reads and way.source in ready and way.passed < goal}
        if not self.left and self.until is None:
            self.until = last_arrival  # what is on the wire now was sent before
        self.done = self.until is not None and now >= self.until
        return self.done


def _gone(sock):
    """Whether a program that has said all it had to say is not there to listen either: its kernel has answered with RST."""
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0


def _room(sock):
    try:
        return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    except OSError:
        return 0


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
    def reads(self):
        return not self.ended and not self.joined.over and self.held < ROOM


class Joined:
    """A connection and the relay's two ends of it.  What one side does, data, end or reset, reaches the other as what it was."""

    def __init__(self, loop, connection, near, far):
        self.loop, self.connection, self.over = loop, connection, False
        self.ways = {near: Way(self, "client", near, far), far: Way(self, "server", far, near)}  # by their source
        self._watched = {near: 0, far: 0}
        for one in self.ways:
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # the program's own Nagle has had its say

    def watch(self):
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
        side = OTHER[way.side]
        while way.pending and way.target.fileno() != -1:
            data = way.pending[0]
            try:
                taken = way.target.send(data) if data else way.target.shutdown(socket.SHUT_WR) or 0
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # there is nobody any more
                return self._reset(side, answers=True)
            if data and self.ways[way.target].ended and _gone(way.target):
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

    def close(self):
        self.over, self.connection.state = True, "over"
        for sock in self.ways:
            self._drop(sock)
        self.loop.joined.discard(self)
