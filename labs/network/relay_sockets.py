"""The sockets that the link "relay" hands out: the machine's own, on 127.0.0.1, which go by their names in the lab."""

import errno
import os
import socket
import struct
from typing import Any
from weakref import WeakValueDictionary

from labs.errors import LabError
from labs.network.host import check_port
from labs.network.redraw import Drawing, End
from labs.network.refusals import in_use
from labs.network.relay_loop import HERE, Loop, closed

__all__ = ["Datagrams", "NotOnThisLink", "RelayDatagrams", "RelaySocket"]

BUSY = 10_000  # datagrams that may be on their way before a sender must wait
LONGEST = 65_507  # bytes in a datagram: 65,535 less the headers of IPv4 and UDP
ENVELOPE = struct.Struct("!B4sH")  # before each datagram on 127.0.0.1: LETTER or REFUSED, and from whom in the lab
LETTER, REFUSED = 0, 1


class NotOnThisLink(LabError):
    """This link has no such thing.  In a chapter, the cell's recording is shown instead."""

    def __init__(self, what: str):
        super().__init__(f'the link "relay" cannot offer {what}: it passes bytes on, and knows nothing below; see labs.doctor()')


class RelaySocket(socket.socket):
    """A TCP socket of the machine's that goes by its names in the lab: own and peer, as (address, port).

    callers: of one that listens, the true address of who calls → his address in the lab.
    """

    def __init__(self, fileno=None, own=None, peer=None):
        super().__init__(fileno=fileno)
        self.own, self.peer, self.callers = own, peer, {}

    @property
    def real(self) -> tuple:
        return super().getsockname()

    def getsockname(self) -> tuple:
        return self.own or super().getsockname()

    def getpeername(self) -> tuple:
        super().getpeername()  # raises where there is none
        return self.peer or super().getpeername()

    def accept(self) -> tuple["RelaySocket", tuple]:
        """As of any socket that listens.  Who calls from outside the lab is turned away: it had this port before, say."""
        while True:
            made, caller = super().accept()
            if peer := self.callers.pop(caller, None):
                return RelaySocket(made.detach(), self.own, peer), peer
            made.close()


class Datagrams:
    """The relay's part in UDP: it brings each datagram to the socket that is bound where it goes, or says that there is none."""

    def __init__(self, loop: Loop, drawing: Drawing, ends: dict[str, End]):
        self.loop, self.drawing, self.ends = loop, drawing, ends
        self.bound: WeakValueDictionary[tuple, RelayDatagrams] = WeakValueDictionary()  # by (address, port) in the lab
        self.out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.out.setblocking(False)
        self.out.bind((HERE, 0))
        self.address = self.out.getsockname()

    def carry(self, own: tuple, to: tuple, data: bytes) -> None:
        """By the loop's thread: from `own` to `to`, (address, port) each."""
        source, target = self.ends[own[0]], self.ends[to[0]]
        self.drawing.datagram(source, own[1], target, to[1], data)
        self.loop.after_trips(1, lambda: self._arrive(own, to, data))

    def _arrive(self, own, to, data):
        if not self._put(to, LETTER, own, data):
            self.drawing.unreachable(self.ends[own[0]], own[1], self.ends[to[0]], to[1], data)
            self.loop.after_trips(1, lambda: self._put(own, REFUSED, to))

    def _put(self, to, kind, source, data=b""):
        there = self.bound.get(to)
        if there is None or there.fileno() == -1:
            return False
        try:
            self.out.sendto(ENVELOPE.pack(kind, socket.inet_aton(source[0]), source[1]) + data, there.real)
        except OSError:  # its buffer is full, or it has just been closed: lost, as a host's kernel loses it
            pass
        return True


class RelayDatagrams(socket.socket):
    """A UDP socket of a host that is only a name.  What it sends goes through the relay, what it gets comes from there."""

    def __init__(self, datagrams: Datagrams, host: str, address: str):
        super().__init__(socket.AF_INET, socket.SOCK_DGRAM)
        self._datagrams, self._host, self._address = datagrams, host, address
        self.own: Any = None
        self.peer: Any = None
        self.real: Any = None

    def bind(self, address: Any) -> None:
        where, port = address
        check_port(port)
        if where not in ("", "0.0.0.0", self._address):
            raise NotOnThisLink("a second address for a host")
        if self.own:
            raise OSError(errno.EINVAL, f"this socket is bound already, to port {self.own[1]}")
        super().bind((HERE, 0))
        self.real = super().getsockname()
        key = self._address, port or self.real[1]
        if self._datagrams.bound.setdefault(key, self) is not self:
            if self._datagrams.bound[key].fileno() != -1:
                raise in_use(self._host, port)
            self._datagrams.bound[key] = self
        self.own = where or "0.0.0.0", key[1]

    def connect(self, address: Any) -> None:
        target = self._target(address)
        if not self.own:
            self.bind((self._address, 0))
        self.own, self.peer = (self._address, self.own[1]), target

    def connect_ex(self, address: Any) -> int:
        self.connect(address)
        return 0

    def _target(self, address):
        where, port = address
        check_port(port)
        if where not in self._datagrams.ends or where == self._address:
            raise NotOnThisLink("an address that no other host has")
        return where, port

    def sendto(self, data: Any, *flags_and_address: Any) -> int:
        return self._send(data, self._target(flags_and_address[-1]))

    def send(self, data: Any, flags: int = 0) -> int:
        if not self.peer:
            raise OSError(errno.EDESTADDRREQ, os.strerror(errno.EDESTADDRREQ) + "; use sendto(), or connect() first")
        return self._send(data, self.peer)

    def sendall(self, data: Any, flags: int = 0) -> None:
        self.send(data)

    def _send(self, data, to):
        data, loop = bytes(data), self._datagrams.loop
        if self.fileno() == -1:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        if len(data) > LONGEST:
            raise OSError(errno.EMSGSIZE, f"a datagram has at most {LONGEST:,} bytes, got {len(data):,}")
        if len(data) > (room := self._datagrams.drawing.mtu - 28):
            raise NotOnThisLink(f"datagrams of more than {room:,} bytes, which travel in fragments")
        if not self.own:
            self.bind(("0.0.0.0", 0))
        loop.wait(lambda: loop.busy < BUSY, self.gettimeout())
        if loop.stopped:
            raise closed()
        own = self._address, self.own[1]
        loop.soon(lambda datagrams=self._datagrams: datagrams.carry(own, to, data))
        return len(data)

    def recvfrom(self, size: int, flags: int = 0) -> tuple[bytes, tuple]:
        while True:
            letter, postman = super().recvfrom(ENVELOPE.size + size, flags)
            if postman == self._datagrams.address and len(letter) >= ENVELOPE.size:
                kind, address, port = ENVELOPE.unpack_from(letter)
                source = socket.inet_ntoa(address), port
                if kind == LETTER and self.peer in (None, source):
                    return letter[ENVELOPE.size :], source
                if kind == REFUSED and self.peer == source:  # only a connected socket hears of it: udp(7)
                    if flags & socket.MSG_PEEK:
                        super().recvfrom(1)
                    raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
            if flags & socket.MSG_PEEK:  # not for us: out of the way
                super().recvfrom(1)

    def recv(self, size: int, flags: int = 0) -> bytes:
        return self.recvfrom(size, flags)[0]

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, tuple]:
        data, source = self.recvfrom(nbytes or memoryview(buffer).nbytes, flags)
        memoryview(buffer).cast("B")[: len(data)] = data
        return len(data), source

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        return self.recvfrom_into(buffer, nbytes, flags)[0]

    def sendmsg(self, *_: Any, **__: Any) -> Any:
        raise NotOnThisLink("sendmsg() and recvmsg() for datagrams")

    recvmsg = recvmsg_into = sendmsg

    def getsockname(self) -> tuple:
        return self.own or ("0.0.0.0", 0)

    def getpeername(self) -> tuple:
        return self.peer or super().getpeername()  # which raises: there is none


for made in (RelaySocket, RelayDatagrams):
    made.__module__ = made.__qualname__ = "socket"  # type(sock) and repr(sock) read as on any other link
