"""What the notebook asks, and the answers: one channel for each of its threads, one request on it at a time.

do_NAME of a part of the lab answers the request NAME.  It returns the answer, or the answer and descriptors to hand over with it,
or Later, when it has to wait (for a frame to step, for a program to end); nobody else waits for it then.
"""

import errno
import marshal
import os
import socket
from collections.abc import Callable
from functools import partial
from time import monotonic_ns as now

from labs.network.loop import Loop
from labs.network.messages import MESSAGE, receive

TYPE_CHECKING = False  # typing.TYPE_CHECKING: the lab process imports no typing
if TYPE_CHECKING:
    from typing import TypeVar

    Reply = TypeVar("Reply")

__all__ = ["Later", "Requests"]


class Later:
    """answer() is asked after every turn of the loop until it is not None; after `timeout` seconds, otherwise() answers."""

    def __init__(self, answer: Callable[[], dict | None], timeout: float, otherwise: Callable[[], dict]) -> None:
        self.answer, self.otherwise, self.deadline = answer, otherwise, now() + int(timeout * 1e9)

    def now(self) -> dict | None:
        if (reply := self.answer()) is None and self.deadline <= now():
            reply = self.otherwise()
        return reply


class Requests:
    """The channels to the notebook, and who waits for an answer.  When the first one, the lifeline, closes, the loop stops."""

    def __init__(self, loop: Loop, lifeline: socket.socket, parts: tuple) -> None:
        self.loop, self.lifeline = loop, lifeline
        self.do = {name[3:]: getattr(part, name) for part in parts for name in dir(part) if name.startswith("do_")}
        self.buffer = bytearray(MESSAGE)
        self.waiting: list[tuple[socket.socket, Later]] = []
        self.spare = os.dup(lifeline.fileno())  # given up for the channel that would find no free descriptor
        loop.watch(lifeline.fileno(), self.new_channel)
        loop.clock(lambda: min((later.deadline for _, later in self.waiting), default=None), self.answer_waiting)

    def new_channel(self) -> None:
        os.close(self.spare)
        message, fds, _, _ = socket.recv_fds(self.lifeline, 64, 1)
        if not message:
            self.loop.stop()
        try:
            self.spare, act = os.dup(self.lifeline.fileno()), self.request
        except OSError:  # it has the last one: hear what it asks, say no, and let no other in before it is gone
            self.loop.forget(self.lifeline.fileno())
            act = self.refuse
        for fd in fds:
            channel = socket.socket(fileno=fd)
            channel.setblocking(False)
            self.loop.watch(fd, partial(act, channel))

    def refuse(self, channel: socket.socket) -> None:
        error = f"the lab process has no descriptor left for one more thread ({os.strerror(errno.EMFILE)})"
        try:
            if channel.recv(MESSAGE):
                self.send(channel, {"errno": errno.EMFILE, "error": error, "closing": True})
        except BlockingIOError:
            return
        except OSError:
            pass  # it is gone
        self.close(channel)
        self.spare = os.dup(self.lifeline.fileno())
        self.loop.watch(self.lifeline.fileno(), self.new_channel)

    def request(self, channel: socket.socket) -> None:
        try:
            message, fds, truncated = receive(channel, self.buffer)
        except BlockingIOError:
            return
        except OSError:
            message, fds, truncated = bytearray(), [], False
        if not message:
            self.waiting = [(other, later) for other, later in self.waiting if other is not channel]
            return self.close(channel)
        reply = self.caught(self.answer, message, fds, truncated)
        for fd in fds:
            os.close(fd)
        if isinstance(reply, Later):
            self.waiting.append((channel, reply))  # answer_waiting() looks at once, after those who came first
        else:
            self.send(channel, reply)

    def answer(self, message: bytearray, fds: list[int], truncated: bool) -> dict | tuple | Later:
        if truncated:  # no free descriptors here for those that came
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        what = marshal.loads(message)
        return self.do[what.pop("do")](**what, **({"fds": fds} if fds else {}))

    def caught(self, function: "Callable[..., Reply]", *args: object) -> "Reply | dict":
        """What the function returns, or its error as an answer: a mistake of ours must not end the learner's network."""
        try:
            return function(*args)
        except OSError as e:
            return {"errno": e.errno, "error": e.strerror or str(e)}
        except Exception as e:
            return {"errno": errno.EINVAL, "error": f"the lab process failed: {e!r}"}

    def answer_waiting(self) -> None:
        for one in list(self.waiting):
            if (reply := self.caught(one[1].now)) is not None:
                self.waiting.remove(one)
                self.send(one[0], reply)

    def send(self, channel: socket.socket, reply: dict | tuple) -> None:
        reply, fds = reply if isinstance(reply, tuple) else (reply, [])
        try:
            socket.send_fds(channel, [marshal.dumps(reply)], fds)
        except OSError:
            pass  # nobody waits for it any more
        for fd in fds:
            os.close(fd)

    def close(self, channel: socket.socket) -> None:
        self.loop.forget(channel.fileno())
        channel.close()
