"""What the link "relay" does with bytes: pass them on between two sockets, after the delay of the wire, and have them drawn.

A thread of its own does it, in an event loop as 02-polling builds one, so that a cell which waits does not keep its own bytes
waiting.  Only this thread touches the relay's ends of connections; others ask it (ask, soon) and wait on one Condition.
"""

import heapq
import itertools
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from labs.errors import LabError
from labs.network.redraw import Drawing

__all__ = ["HERE", "PIECE", "Loop", "closed"]

HERE = "127.0.0.1"
PIECE = 65_536  # bytes read at a time


def closed() -> LabError:
    return LabError("this network is closed; make another one with labs.network(…)")


class Loop:
    """The thread and what it turns.  It does not know the network, which may so be forgotten.

    changed: a Condition that is notified after each turn in which something happened.
    """

    def __init__(self, drawing: Drawing):
        self.drawing, self.changed, self.stopped, self.failure = drawing, threading.Condition(), False, None
        self.joined = set()  # connections: labs.network.relay_ways.Joined
        self.selector = selectors.DefaultSelector()
        self._calls, self._settling = deque(), []
        self._timers, self._order, self._last_arrival = [], itertools.count(), 0.0
        self._bell, self._door = socket.socketpair()
        for one in (self._bell, self._door):
            one.setblocking(False)
        self.selector.register(self._door, selectors.EVENT_READ, self._rung)
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

    def ask(self, function: Callable[[], Any]) -> Any:
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
            for one in (self.selector, self._bell, self._door):
                one.close()

    def _turn(self):
        ready, number = self.selector.select(self._pause()), self.drawing.number
        for key, mask in ready:
            key.data(key.fileobj, mask)
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[-1]()
        sources = {key.fileobj for key, mask in ready if mask & selectors.EVENT_READ}
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


def _room(sock):
    try:
        return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    except OSError:
        return 0
