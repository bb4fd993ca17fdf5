"""The lab process's event loop: one epoll(7) that is told once of each descriptor, and what to call when it is ready.

select(2) ends at descriptor 1,023 and is given the whole list anew each turn.  Here a turn costs as much as there is to do,
however many descriptors stay silent.
"""

import select
from collections.abc import Callable
from time import monotonic_ns as now

__all__ = ["Loop"]

AT_ONCE = 64  # descriptors looked at in one turn; the kernel begins with the others next time


class Loop:
    """Calls what is ready until stop().  Nothing here may wait for the notebook: it may be waiting for us."""

    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.actions: dict[int, tuple] = {}  # descriptor → what to call when it can be read, and when it can be written
        self.clocks: list[tuple] = []  # (next_time() → ns or None, act()): see clock()
        self.running = True

    def watch(self, fd: int, read: Callable[[], object], write: Callable[[], object] | None = None) -> None:
        """From now on call read() when there is something to read, or the other end is closed, and write() when there is room."""
        events = select.EPOLLIN | (select.EPOLLOUT if write else 0)
        if fd in self.actions:
            self.epoll.modify(fd, events)
        else:
            self.epoll.register(fd, events)
        self.actions[fd] = (read, write)

    def forget(self, fd: int) -> None:
        """Look at it no more; to be called before it is closed.  Doing it twice is fine."""
        if self.actions.pop(fd, None):
            self.epoll.unregister(fd)

    def clock(self, next_time: Callable[[], int | None], act: Callable[[], object]) -> None:
        """Wake up at next_time() (ns, monotonic) at the latest; act() is called at the end of every turn."""
        self.clocks.append((next_time, act))

    def stop(self) -> None:
        self.running = False

    def run(self) -> None:
        actions, poll = self.actions, self.epoll.poll
        while self.running:
            times = [time for next_time, _ in self.clocks if (time := next_time()) is not None]
            if not times:
                ready = poll(-1, AT_ONCE)
            else:
                left = min(times) - now()
                if left > 0:  # epoll_wait(2) counts in milliseconds, too coarse for a wire; select(2) in microseconds
                    select.select([self.epoll], [], [], left / 1e9)
                ready = poll(0, AT_ONCE)
            for fd, event in ready:
                read, write = actions.get(fd, (None, None))  # an earlier one of this turn may have closed it
                if write and event & select.EPOLLOUT:
                    write()
                if read and event & ~select.EPOLLOUT:  # also when the other end is gone (EPOLLHUP, EPOLLERR): read() will see
                    read()
            for _, act in self.clocks:
                act()
