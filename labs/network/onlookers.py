"""Who looks on at a wire, or meddles: packet sockets of the notebook, and its rules, which judge single frames.

Both are sockets to the notebook.  The wire never waits for it: what it is too slow for is kept here, up to a limit, then lost.
"""

import socket
from collections import deque

from labs.network.cable import Cable, Verdict
from labs.network.loop import Loop
from labs.network.messages import FRAME, QUESTION, VERDICT
from labs.network.traffic import Traffic

__all__ = ["JUDGED", "Judge", "Onlooker"]

BACKLOG = 10_000  # frames that wait until a packet socket is read
JUDGED = 10_000  # frames that wait until the rules have judged them
ROOM = 1 << 22  # bytes that the kernel queues on the way to a packet socket; net.core.wmem_max may allow less
INJECTED = 1 << 17  # bytes that it queues on the way from one: some 350 short frames, each with its sk_buff
AT_ONCE = 1_000  # of them that are carried before somebody else's turn: all that can be queued at one moment


def pair() -> tuple[socket.socket, socket.socket]:
    """(our end, the notebook's)."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    here.setblocking(False)
    return here, there


class Onlooker:
    """A packet socket on a wire: it hears every frame but its own, and puts frames on the wire."""

    def __init__(self, traffic: Traffic, cable: Cable) -> None:
        self.traffic, self.loop, self.cable = traffic, traffic.loop, cable
        self.waiting: deque[bytes] = deque()  # frames that it had no room for yet
        self.socket, self.theirs = pair()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)
        self.theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, INJECTED)
        self.speaking = self.blocked = False
        self.loop.watch(self.socket.fileno(), self.inject)
        traffic.onlookers.append(self)
        cable.set({"onlookers": [*cable.onlookers, self]})

    def tell(self, frame: bytes) -> None:
        if self.speaking:
            return
        if len(self.waiting) == BACKLOG:
            self.traffic.lost += 1
            return
        self.waiting.append(frame)
        if not self.blocked:
            self.flush()

    def flush(self) -> None:
        before, self.blocked = self.blocked, False
        try:
            while self.waiting:
                self.socket.send(self.waiting[0])
                self.waiting.popleft()
        except BlockingIOError:
            self.blocked = True
        except OSError:
            self.waiting.clear()  # the notebook closed it: inject() will notice
        if self.blocked != before:
            self.loop.watch(self.socket.fileno(), self.inject, self.flush if self.blocked else None)

    def inject(self) -> bool:
        """Carry one frame that the notebook put on the wire; False if there was none."""
        frame = b""
        for _ in range(2):  # a socket that the notebook closed with frames unread says so once; what it had sent comes after
            try:
                frame = self.socket.recv(FRAME)
                break
            except BlockingIOError:
                return False
            except ConnectionResetError:
                pass
        if not frame:
            self.close()
            return False
        self.speaking = True
        self.cable.carry(frame.ljust(14, b"\0"), self.cable.outside)
        self.speaking = False
        return True

    def drain(self) -> None:
        """Carry what the notebook has put on the wire by now.  A flood has no end, and would keep the lab from all else."""
        for _ in range(AT_ONCE):
            if not self.inject():
                return

    def close(self) -> None:
        self.loop.forget(self.socket.fileno())
        self.socket.close()
        self.waiting.clear()
        self.cable.set({"onlookers": [other for other in self.cable.onlookers if other is not self]})
        self.traffic.onlookers.remove(self)


class Judge:
    """The rules of a wire: every frame is put to the notebook (labs.network.rules), and goes on when it has answered."""

    def __init__(self, loop: Loop, cable: Cable) -> None:
        self.loop, self.cable = loop, cable
        self.open: deque[tuple[int, bytes, int]] = deque()  # (number, frame, source) without a verdict, in order
        self.asked = 0  # how many of them the notebook has got
        self.socket, self.theirs = pair()
        loop.watch(self.socket.fileno(), self.verdict)
        cable.set({"judge": self})

    def put(self, number: int, frame: bytes, source: int) -> None:
        if len(self.open) == JUDGED:
            self.cable.lose(number, source, f"{JUDGED:,} frames wait for the rules already")
            return
        self.open.append((number, frame, source))
        self.ask()

    def ask(self) -> None:
        """Put questions, as many as the socket takes."""
        try:
            while self.asked < len(self.open):
                number, frame, source = self.open[self.asked]
                self.socket.send(QUESTION.pack(number, source) + frame)
                self.asked += 1
        except OSError:
            pass  # full: the next verdict makes room; or closed: verdict() will notice and decide what it left open

    def waits_for(self, number: int) -> bool:
        """True if a frame up to `number` has no verdict yet."""
        return bool(self.open) and self.open[0][0] <= number

    def verdict(self) -> None:
        try:
            message = self.socket.recv(FRAME)
        except BlockingIOError:
            return
        except OSError:  # closed with questions unread
            message = b""
        if not message:
            return self.close()
        number, drop, extra, copies, behind = VERDICT.unpack_from(message)
        if self.open and self.open[0][0] == number:
            self.asked -= 1
            changed = message[VERDICT.size :] or None
            self.cable.decide(*self.open.popleft(), Verdict(changed, drop, extra, copies, behind))
            self.ask()

    def close(self) -> None:
        """The rules are gone: what they have not judged goes on as it is."""
        self.loop.forget(self.socket.fileno())
        self.socket.close()
        self.cable.set({"judge": None})
        while self.open:
            self.cable.decide(*self.open.popleft())
