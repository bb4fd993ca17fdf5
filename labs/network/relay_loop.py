"""What the link "relay" does with bytes: pass them on between two sockets, after a delay if the wire has one, and note them.

A thread of its own does it, in an event loop, so that a cell which waits does not keep its own bytes waiting.
"""

import asyncio
import selectors
import socket
import threading
import time

from labs.captures.frame import Arrival
from labs.captures.running import Running
from labs.network.redraw import Event, redraw

__all__ = ["Passing", "Watch", "end_tasks"]

SETTLED = 2.0  # seconds
PIECE, IN_FLIGHT = 65_536, 16  # bytes read at a time; how many such may wait, so that a reader who stops holds up the sender


class Passing:
    """The thread that passes bytes on, and the list of what it saw.  It does not know the network, which may so be forgotten."""

    def __init__(self, delay=0.0):
        self.events, self.ends, self.delay, self.on_the_way = [], set(), delay, 0
        self.loop = asyncio.SelectorEventLoop()
        self.thread = threading.Thread(target=self._turn, name="labs relay", daemon=True)
        self.thread.start()

    def _turn(self):
        self.loop.run_forever()
        self.loop.run_until_complete(end_tasks())
        self.loop.close()

    def call(self, function):
        """Let the thread call function(); what it returns."""

        async def called():
            return function()

        return asyncio.run_coroutine_threadsafe(called(), self.loop).result(SETTLED)

    def read_when_ready(self, sock, function):
        self.call(lambda: self.loop.add_reader(sock, function))

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        if threading.current_thread() is not self.thread:
            self.thread.join(2)

    def note(self, connection, kind, side, data=b""):
        self.events.append(Event(time.time_ns(), connection, kind, side, data))

    def join(self, connection, near, far):
        for one in (near, far):
            one.setblocking(False)
        self.ends |= {near, far}
        asyncio.run_coroutine_threadsafe(self._join(connection, near, far), self.loop)

    async def _join(self, connection, near, far):
        ways = (self._pass(connection, "client", near, far), self._pass(connection, "server", far, near))
        try:
            await asyncio.gather(*ways)
        finally:
            self.ends -= {near, far}
            near.close(), far.close()

    async def _pass(self, connection, side, source, target):
        """Read what comes, note it, and put it into the queue of what is on its way; nothing at all is the end of the stream."""
        way, data = asyncio.Queue(IN_FLIGHT), b"+"
        delivering = self.loop.create_task(self._deliver(way, target))
        try:
            while data and not delivering.done():
                data = await self.loop.sock_recv(source, PIECE)
                self.note(connection, "data" if data else "end", side, data)
                if not data:
                    self.ends.discard(source)  # nothing will come from it any more
                self.on_the_way += 1
                await way.put((self.loop.time() + self.delay, data))
            await delivering
        except OSError:  # the other end is gone
            self.note(connection, "reset", side)
            for one in (source, target):
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        finally:
            delivering.cancel()
            self.on_the_way -= way.qsize()

    async def _deliver(self, way, target):
        data = b"+"
        while data:
            due, data = await way.get()
            try:
                if due > self.loop.time():
                    await asyncio.sleep(due - self.loop.time())
                if data:
                    await self.loop.sock_sendall(target, data)
                else:
                    target.shutdown(socket.SHUT_WR)
            finally:
                self.on_the_way -= 1

    def connections(self):
        """{Connection: the sides that have said all they had to say}, of those that are open at one side at least."""
        found = {}
        for event in list(self.events):
            if event.kind == "open":
                found[event.connection] = set()
            elif event.kind == "end" and event.connection in found:
                found[event.connection].add(event.side)
            elif event.kind == "reset":
                found.pop(event.connection, None)
        return {connection: ended for connection, ended in found.items() if len(ended) < 2}

    def settle(self, timeout=SETTLED):
        """Wait until the relay has passed on what programs have sent by now: nothing to read at its ends, twice running."""
        give_up, before = time.monotonic() + timeout, -1
        while self.thread.is_alive() and (left := give_up - time.monotonic()) > 0:
            busy = asyncio.run_coroutine_threadsafe(self._busy(), self.loop).result(left)
            if not busy and before == len(self.events):
                return
            before = -1 if busy else len(self.events)

    async def _busy(self):
        """Whether something is on its way or waits to be read; asked by the thread that reads, a turn after it was asked."""
        await asyncio.sleep(0)
        with selectors.DefaultSelector() as ready:  # not select(2), which knows no descriptor beyond 1023
            for one in self.ends:
                if one.fileno() != -1:
                    ready.register(one, selectors.EVENT_READ)
            return bool(self.on_the_way or ready.get_map() and ready.select(0))  # Windows selects among none with an error


async def end_tasks():
    """Cancel all other tasks of this event loop, and wait until they have ended."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class Watch(Running):
    """A capture that is running.  It redraws all events each time it is read."""

    def __init__(self, passing, hosts, make):
        super().__init__(make)
        self.passing, self.hosts = passing, hosts

    def start(self):
        self.passing.settle()
        self.first = len(self.passing.events)

    def catch_up(self, timeout):
        self.passing.settle()
        events, drawn = list(self.passing.events), 0
        with self.lock:
            for index, raw, moment, sender, receiver in redraw(events):
                drawn += index >= self.first
                if drawn > len(self.frames):
                    frame = self.make(raw, number=drawn, time=moment, sender=sender, wire=0)
                    to = [host for host in self.hosts if host == receiver or not receiver and host != sender]
                    frame.arrivals = [Arrival(moment, host) for host in to]
                    self.frames.append(frame)
                    self.touched.append(frame)
        return len(events)

    def more(self, reached, timeout):
        give_up = time.monotonic() + timeout
        while len(self.passing.events) == reached and time.monotonic() < give_up:
            time.sleep(0.005)
