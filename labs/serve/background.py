"""One event loop on one thread of the notebook, for all servers of labs.serve.

A server on the notebook's own loop would answer nobody while a cell runs.  So servers share a loop that turns in the background:
it starts with the first server and ends with the last one, and then nothing of it is left.
Built in 22-single-listener-multiple-workers.
"""

import asyncio
import os
import threading
import time
from collections.abc import Coroutine
from typing import Any

__all__ = ["Background", "acquire"]

_lock = threading.RLock()  # RLock: the garbage collector may close a network, and with it its servers, at any point
_current = None


class Background:
    """The loop and its thread.  Each server that holds it is a user; it ends when the last one lets it go."""

    def __init__(self):
        self.loop = asyncio.SelectorEventLoop()
        self.loop.set_exception_handler(self._trouble)  # asyncio would print it, in whatever cell runs then
        self.users = set()
        self.thread = threading.Thread(target=self._turn, name="labs servers", daemon=True)
        self.thread.start()

    def _turn(self):
        try:
            self.loop.run_forever()
            self.loop.run_until_complete(_end_tasks())
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
        finally:
            self.loop.close()

    def _trouble(self, loop, context):
        """What a task or a callback raised and nobody waited for: into the log of the server it concerns, or of all."""
        try:
            here = context["transport"].get_extra_info("sockname")
        except (KeyError, AttributeError):  # none, or one that is gone
            here = None
        if isinstance(context.get("exception"), asyncio.CancelledError):  # asyncio.streams of Python 3.11, when a server closes
            return
        running = [user for user in tuple(self.users) if not user.closed]
        for user in [user for user in running if here and user.port == here[1]] or running:
            user.log.add(context["message"], context.get("exception"))

    def here(self) -> bool:
        """True on the loop's own thread, which must not wait for itself."""
        return threading.get_ident() == self.thread.ident

    def call(self, coroutine: Coroutine, timeout: float) -> Any:
        """Run a coroutine on the loop and wait for what it returns; TimeoutError if that takes longer (it is then cancelled)."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return future.result(timeout)
        except BaseException:  # too late, or interrupted
            future.cancel()
            raise

    def release(self, user: Any, deadline: float) -> None:
        """One user less; the last one ends the loop and waits for its thread until `deadline` (time.monotonic)."""
        global _current
        with _lock:
            self.users.discard(user)
            if self.users or self.loop.is_closed():
                return
            if _current is self:
                _current = None
            self.loop.call_soon_threadsafe(self.loop.stop)
        if not self.here():
            self.thread.join(max(0.05, deadline - time.monotonic()))


def acquire(user: Any) -> Background:
    """The loop that runs, or a new one; `user` has a port and a log."""
    global _current
    with _lock:
        if _current is None or not _current.thread.is_alive():
            _current = Background()
        _current.users.add(user)
        return _current


def _after_fork():
    """A forked child has no such thread, and must not keep the sockets of its parent's servers open."""
    global _lock, _current
    users, _lock, _current = _current.users if _current else (), threading.RLock(), None
    for user in users:
        user.forget()


if hasattr(os, "register_at_fork"):  # Windows cannot fork
    os.register_at_fork(after_in_child=_after_fork)


async def _end_tasks():
    """Cancel all other tasks of this event loop, and wait until they have ended."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
