"""The notebook's end of the lab process: start it, ask it, and let it go.

Each thread of the notebook asks over a socket of its own, so that one that waits (for a frame to step, a program to end) does
not keep the others waiting.  The first socket is the lifeline: when it closes, the lab process ends.
"""

import marshal
import os
import pathlib
import socket
import subprocess
import sys
import threading
import weakref

from labs.errors import LabError
from labs.network.messages import MESSAGE

__all__ = ["LabProcess", "running"]

ROOT = str(pathlib.Path(__file__).resolve().parents[2])
BOOT = "import sys; sys.path.append(sys.argv[1]); from labs.network.process import main; main(int(sys.argv[2]))"
START_WITHIN = 10.0  # seconds


def _end(lifeline, process, threads, files, at_close):
    """Let the lab process go and wait until it is gone, and with it every namespace and program."""
    try:
        while at_close:  # servers, say: an open socket would keep its host's namespace
            at_close.pop()()
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
        self.log = os.memfd_create("frames", os.MFD_CLOEXEC)
        self._lifeline, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._errors = os.memfd_create("errors", os.MFD_CLOEXEC)
        self._thread, self._channels, process = threading.local(), weakref.WeakSet(), []
        self.at_close = []  # functions to call first when it closes; they must not hold this object, which would never close then
        self._close = weakref.finalize(
            self, _end, self._lifeline, process, self._channels, (self.log, self._errors), self.at_close
        )
        _running.add(self)  # before the start: from here on a failure knows what to undo, and a fork what to close
        try:
            with theirs:
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
            said = self._what_it_said()
            self.close()
            raise OSError(reply.get("errno", 0), reply["error"] + said)

    def _what_it_said(self):
        if self.closed:
            return ""
        said = os.pread(self._errors, 4000, 0).decode(errors="replace").strip()
        return f"; the lab process said: {said.splitlines()[-1]}" if said else ""

    @property
    def closed(self):
        return not self._close.alive

    def close(self):
        """End the lab process.  Doing it twice is fine."""
        self._close()

    def _channel(self):
        channel = getattr(self._thread, "channel", None)
        if channel is None:
            channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                socket.send_fds(self._lifeline, [b"+"], [theirs.fileno()])
            self._thread.channel = channel
            self._channels.add(channel)
        return channel

    def ask(self, do, *, fds=(), **what):
        """Ask the lab process for something: (reply, descriptors that came with it).  Raises OSError as the kernel said it."""
        if self.closed:
            raise LabError("this network is closed; make another one with labs.network(…)")
        timeout, message = what.get("timeout", 0), marshal.dumps({"do": do, **what})
        if not isinstance(timeout, (int, float)) or not 0 <= timeout <= 1e6:
            raise ValueError(f"expected a timeout in seconds, 0 or more, got {timeout!r}")
        if len(message) > MESSAGE:
            raise LabError(
                f"expected a request of at most {MESSAGE} bytes, got {len(message)}: give fewer arguments, or a smaller env={{…}}"
            )
        try:
            channel = self._channel()
            channel.settimeout(timeout + 10.0)
            socket.send_fds(channel, [message], fds)
            message, made, _, _ = socket.recv_fds(channel, MESSAGE, 4)
            for fd in made:
                os.set_inheritable(
                    fd, False
                )  # unlike all that Python opens itself; a program started here must not keep a host alive
        except BaseException as e:  # interrupted, or gone: an answer may still come, so this channel cannot be used again
            if getattr(self._thread, "channel", None) is not None:
                self._thread.channel.close()
                self._thread.channel = None
            if isinstance(e, ConnectionError):
                raise LabError("the lab process has ended; make a new network with labs.network(…)" + self._what_it_said()) from e
            if isinstance(e, OSError):
                raise LabError(f"the lab process does not answer ({e}); make a new network" + self._what_it_said()) from e
            raise
        if not message:
            channel.close()
            self._thread.channel = None
            raise LabError("the lab process has ended; make a new network with labs.network(…)" + self._what_it_said())
        reply = marshal.loads(message)
        if "errno" in reply:
            if "closing" in reply:  # it had no room for one more channel
                channel.close()
                self._thread.channel = None
            raise OSError(reply["errno"], reply["error"])
        return reply, made


_running = weakref.WeakSet()


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
