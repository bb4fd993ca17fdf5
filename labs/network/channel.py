"""The notebook's end of the lab process: start it, ask it, and let it go.

Each thread of the notebook asks over a socket of its own, so that one that waits (for a frame to step, a program to end) does
not keep the others waiting.  The first socket is the lifeline: when it closes, the lab process ends.
"""

import errno
import marshal
import os
import pathlib
import select
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from labs.captures.running import FromLog
from labs.errors import LabError
from labs.network.messages import MESSAGE, receive

__all__ = ["LabProcess", "call_all", "running", "too_many"]

ROOT = str(pathlib.Path(__file__).resolve().parents[2])
BOOT = "import sys; sys.path.append(sys.argv[1]); from labs.network.process import main; main(int(sys.argv[2]))"
START_WITHIN = 10.0  # seconds


def call_all(functions: list) -> None:
    """Call and forget each, the last one first; what one of them raises is raised when all have been called."""
    while functions:
        try:
            functions.pop()()
        except BaseException:
            call_all(functions)
            raise


def too_many() -> OSError:
    """EMFILE, as errno(3) has it, and what to do about it."""
    import resource  # here: Windows has none, and no lab process

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return OSError(errno.EMFILE, f"too many open files: this process may have {limit} (ulimit -n); close some sockets")


def _end(lifeline, process, threads, files, at_close):
    """Let the lab process go and wait until it is gone, and with it every namespace and program."""
    try:
        call_all(at_close)  # servers, say: an open socket would keep its host's namespace
    finally:
        lifeline.close()
        try:
            for started in process:
                try:
                    started.wait(2)
                except subprocess.TimeoutExpired:  # stopped in a debugger, say
                    started.kill()
                    started.wait()
        finally:  # last, so that a thread which still waits for an answer hears that the lab process has ended
            for channel in list(threads):
                channel.close()
            for fd in files:
                os.close(fd)


class LabProcess:
    """A running lab process, made from a plan (see labs.network.topology)."""

    def __init__(self, plan):
        self._lifeline, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._thread, self._channels, process, files = threading.local(), weakref.WeakSet(), [], []
        self.at_close = []  # functions to call first when it closes; they must not hold this object, which would never close then
        self._close = weakref.finalize(self, _end, self._lifeline, process, self._channels, files, self.at_close)
        _running.add(self)  # before the start: from here on a failure knows what to undo, and a fork what to close
        try:
            with theirs:
                for name in ("frames", "errors"):
                    files.append(os.memfd_create(name, os.MFD_CLOEXEC))
                self.log, self._errors = files
                process.append(
                    subprocess.Popen(
                        [sys.executable or "python3", "-I", "-S", "-c", BOOT, ROOT, str(theirs.fileno())],
                        pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=self._errors, stderr=self._errors,
                        start_new_session=True,  # Jupyter interrupts the notebook's whole process group: this is not for us
                    )
                )  # fmt: skip
            self.pid = process[0].pid
            socket.send_fds(self._lifeline, [marshal.dumps(plan)], [self.log])
            self._lifeline.settimeout(START_WITHIN)
            reply = marshal.loads(self._lifeline.recv(MESSAGE) or marshal.dumps({"error": "it ended"}))
        except (OSError, ValueError, EOFError, TypeError) as e:
            reply = {"errno": getattr(e, "errno", None) or 0, "error": str(e)}
        except BaseException:  # interrupted
            self.close()
            raise
        if "error" in reply:
            said = self._what_it_said() if len(files) == 2 else ""
            self.close()
            raise too_many() if reply.get("errno") == errno.EMFILE else OSError(reply.get("errno", 0), reply["error"] + said)

    def _what_it_said(self):
        if not self._close.alive:
            return ""
        said = os.pread(self._errors, 4000, 0).decode(errors="replace").strip()
        return f"; the lab process said: {said.splitlines()[-1]}" if said else ""

    @property
    def died(self) -> bool:
        """True if the lab process is gone though nobody closed it."""
        if not self._close.alive or (fd := self._lifeline.fileno()) < 0:
            return False
        lifeline = select.poll()
        lifeline.register(fd, 0)  # poll(2) says POLLHUP unasked: nobody holds the other end any more
        return bool(lifeline.poll(0))

    @property
    def closed(self) -> bool:
        """True if it was closed, and if it died."""
        return not self._close.alive or self.died

    def close(self) -> None:
        """End the lab process.  Doing it twice is fine."""
        self._close()

    def running(self, cards: list, make: Callable) -> FromLog:
        """What a running Capture reads from.  cards: (host name, wire index) of each; make(bytes, number=, …) makes a frame."""
        return FromLog(self, cards, make)

    def _channel(self):
        channel = getattr(self._thread, "channel", None)
        if channel is None:
            channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                socket.send_fds(self._lifeline, [b"+"], [theirs.fileno()])
            self._thread.channel, self._thread.buffer = channel, bytearray(MESSAGE)
            self._channels.add(channel)
        return channel

    def ask(self, do: str, *, fds: Sequence[int] = (), **what: Any) -> tuple[dict, list[int]]:
        """Ask the lab process for something: (reply, descriptors that came with it).  Raises OSError as the kernel said it."""
        if not self._close.alive:
            raise LabError("this network is closed; make another one with labs.network(…)")
        timeout, request = what.get("timeout", 0), marshal.dumps({"do": do, **what})
        if not isinstance(timeout, (int, float)) or not 0 <= timeout <= 1e6:
            raise ValueError(f"expected a timeout in seconds, 0 or more, got {timeout!r}")
        if len(request) > MESSAGE:
            most = f"a request of at most {MESSAGE} bytes"
            raise LabError(f"expected {most}, got {len(request)}: give fewer arguments, or a smaller env={{…}}")
        made: list[int] = []
        message, why, truncated = bytearray(), "", False
        try:
            channel = self._channel()
            channel.settimeout(timeout + 10.0)
            socket.send_fds(channel, [request], fds)
            message, made, truncated = receive(channel, self._thread.buffer)
            for fd in made:
                os.set_inheritable(fd, False)  # unlike all that Python opens; a program started here must not keep a host alive
        except ConnectionError:
            pass
        except OSError as e:
            if e.errno == errno.EMFILE:
                raise too_many() from None
            why = f"the lab process does not answer ({e}); make a new network"
        finally:
            if not message:  # interrupted, or gone: an answer may still come, so this channel cannot be used again
                self._drop_channel()
        if not message:
            why = why or "the lab process has ended; make a new network with labs.network(…)"
            raise LabError(why + self._what_it_said())
        if truncated:  # the answer's descriptors found no room here (unix(7))
            for fd in made:
                os.close(fd)
            raise too_many()
        reply = marshal.loads(message)
        if "errno" in reply:
            if "closing" in reply:  # it had no room for one more channel
                self._drop_channel()
            raise OSError(reply["errno"], reply["error"])
        return reply, made

    def _drop_channel(self):
        if (channel := getattr(self._thread, "channel", None)) is not None:
            self._thread.channel = None
            channel.close()


_running: "weakref.WeakSet[LabProcess]" = weakref.WeakSet()


def running() -> list[LabProcess]:
    """All lab processes of this notebook that have not been closed."""
    return [lab for lab in list(_running) if not lab.closed]


def _after_fork():
    """A forked child must not keep the lab alive, nor talk over its parent's channels."""
    for lab in list(_running):
        lab._close.detach()
        lab._lifeline.close()
        for channel in list(lab._channels):
            channel.close()


if hasattr(os, "register_at_fork"):  # Windows cannot fork, nor make a network; it can show recordings
    os.register_at_fork(after_in_child=_after_fork)
