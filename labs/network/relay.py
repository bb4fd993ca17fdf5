"""The link "relay": for machines that give nobody a network.  Needs sockets on 127.0.0.1 and nothing else; runs on any system.

A host is a name here.  Its sockets are the machine's own, on the loopback address and on ports that the kernel picks; between any
two of them stands a relay that passes bytes on.  What programs say to each other, layer 5 and up, is real and is shown as it was.
Layers 2 to 4 are drawn round it (labs.network.redraw), and whatever needs a wire or a kernel of its own raises NotOnThisLink,
which makes a chapter go on from its recording (labs.lessons.attempt).
"""

import os
import socket
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from labs.captures.frame import Arrival
from labs.captures.running import Running
from labs.errors import LabError
from labs.network.channel import call_all
from labs.network.host import STREAM, Host, check_port
from labs.network.kernel import SocketRow, SocketTable
from labs.network.redraw import OTHER, Connection, Drawing, End
from labs.network.refusals import in_use, refused
from labs.network.relay_loop import HERE, Loop, closed
from labs.network.relay_sockets import Datagrams, NotOnThisLink, RelayDatagrams, RelaySocket
from labs.network.relay_ways import Joined

__all__ = ["RUNNING", "NotOnThisLink", "Relay", "RelayHost"]

RUNNING = weakref.WeakSet()
WAITS = 3.0  # seconds that sockets made here wait; a cell that cannot go on must not hold up its recording for long
QUEUE = 4096  # connections that can wait for accept(): net.core.somaxconn of Linux
SETTLES = 13.0  # seconds; the longest delay of a wire is 10
WHAT = {
    "socket": "a socket without a connection", "open": "the kernel's tables of a host", "sysctl": "a host's kernel settings",
    "run": "a program inside a host", "wire": "a wire with a loss, a rate, a cut or a hold", "held": "a wire that holds frames",
    "step": "a wire that holds frames", "release": "a wire that holds frames", "judge": "rules on a wire",
    "listen": "a packet socket",
}  # fmt: skip


class Relay:
    """Stands where a LabProcess stands on other links: what it is asked for and cannot do, it refuses."""

    def __init__(self, plan: dict):
        cards = [host["cards"][0] for host in plan["hosts"]]
        if any(len(host["cards"]) > 1 for host in plan["hosts"]):
            raise NotOnThisLink("routers")
        if plan["ipv6"] or plan["wire"].get("loss") or plan["wire"].get("rate"):
            raise NotOnThisLink("IPv6" if plan["ipv6"] else WHAT["wire"])
        self.ends = {
            (address := card["addresses"][0].split("/")[0]): End(host["name"], card["mac"], address)
            for host, card in zip(plan["hosts"], cards)
        }
        self.listening = {}  # (address, port) → (where it listens in truth, callers of RelaySocket, weak reference to that)
        self.at_close = []
        self.drawing = Drawing(cards[0]["mtu"], plan["log_limit"], plan["wire"].get("delay", 0.0))
        self.loop = Loop(self.drawing)
        self._close = weakref.finalize(self, _end, self.loop, self.at_close)
        try:
            self.datagrams = Datagrams(self.loop, self.drawing, self.ends)
        except BaseException:
            self.close()
            raise
        self.at_close.append(self.datagrams.out.close)
        RUNNING.add(self)

    @property
    def closed(self) -> bool:
        return not self._close.alive

    def close(self) -> None:
        self._close()

    def ask(self, do: str, **what: Any) -> tuple[dict, tuple]:
        """As LabProcess.ask: what a Wire and a Host ask for."""
        if do == "wire" and set(what["settings"]) == {"delay"}:
            self.loop.ask(lambda: setattr(self.drawing, "delay", what["settings"]["delay"]))
        elif do == "settle":
            self.loop.settle(what["timeout"])
        else:
            raise NotOnThisLink(WHAT.get(do, do))
        return {"number": self.drawing.number}, ()

    def pair(self) -> tuple[RelaySocket, socket.socket]:
        """Two sockets of this process, joined over the loopback address: the program's, and the relay's end."""
        with socket.create_server((HERE, 0)) as door:
            ours = RelaySocket()
            ours.bind((HERE, 0))
            ours.connect(door.getsockname())
            near, caller = door.accept()
            if caller != ours.real:
                near.close()
                ours.close()
                raise LabError("another program of this machine connected to the relay; try again")
        return ours, near

    def running(self, cards: Sequence[tuple[str, int]], make: Callable) -> Running:
        """What a running Capture reads from.  cards: (host name, wire index) of each; make(bytes, number=, …) makes a frame."""
        return Redrawn(self.loop, [host for host, _ in cards], make)


def _end(loop, at_close):
    try:
        call_all(at_close)
    finally:
        loop.stop()


def _after_fork():
    """A forked child has no thread that would pass its bytes on; its copies of the relay's ends must not keep anything open."""
    for relay in list(RUNNING):
        relay._close.detach()
        relay.loop.close_in_child()


if hasattr(os, "register_at_fork"):  # Windows cannot fork
    os.register_at_fork(after_in_child=_after_fork)


class Redrawn(Running):
    """A capture of what the relay draws while it runs."""

    def __init__(self, loop: Loop, hosts: Sequence[str], make: Callable):
        super().__init__(make)
        self.loop, self.hosts = loop, hosts

    def start(self) -> None:
        self.loop.settle(SETTLES)
        self.drawn, self.at, self.missed_before = self.loop.ask(self.loop.drawing.begin)

    def catch_up(self, timeout: float) -> int:
        self.loop.settle(timeout)
        with self.lock:
            number, drawing = self.loop.drawing.number, self.loop.drawing
            for time, arrives, raw, sender, receiver in self.drawn[self.at :]:
                frame = self.make(raw, number=len(self.frames) + 1, time=time, sender=sender, wire=0)
                to = [receiver] if receiver else [host for host in self.hosts if host != sender]
                frame.arrivals = [Arrival(arrives, host) for host in to]
                self.frames.append(frame)
                self.touched.append(frame)
                self.at += 1
            self.missed = drawing.missed - self.missed_before
        return number

    def more(self, reached: int, timeout: float) -> None:
        if not self.loop.wait(lambda: self.loop.drawing.number > reached, timeout) and self.loop.stopped:
            raise LabError("this network is closed: nothing more will come")

    def stop(self) -> None:
        self.loop.soon(self.loop.drawing.end)


class RelayHost(Host):
    """A host that is only a name: its TCP and UDP sockets are as on any other host; all else is NotOnThisLink."""

    def socket(self, family: int = socket.AF_INET, type: int = STREAM, proto: int = 0) -> RelayDatagrams:
        """A UDP socket; a TCP one has no life before its connection here: listen() and connect() make it."""
        if self._lab.closed:
            raise closed()
        if (family, type) != (socket.AF_INET, socket.SOCK_DGRAM):
            raise NotOnThisLink(WHAT["socket"])
        made = RelayDatagrams(self._lab.datagrams, self.name, self.address)
        made.settimeout(WAITS)
        return made

    def _listen(self, port, backlog, address):
        """What Host.listen() makes: it listens on 127.0.0.1 in truth, on `port` of this host in the lab."""
        check_port(port)
        if self._lab.closed:
            raise closed()
        if address not in ("0.0.0.0", self.address):
            raise NotOnThisLink("a second address for a host")
        if port and _listens(self._lab.listening.get((self.address, port), (None,))[0]):
            raise in_use(self.name, port)
        made = RelaySocket()
        _reusable(made)  # connections inherit it, and so do not look like listeners
        made.bind((HERE, 0))
        made.own = (address, port or made.real[1])
        made.listen(backlog)
        made.settimeout(WAITS)
        self._lab.listening[self.address, made.own[1]] = made.real, made.callers, weakref.ref(made)
        return made

    def connect(self, to: "Host | str", port: int, wait: bool = True, timeout: float | None = None) -> RelaySocket:
        """A TCP socket connected to `port` of another host, through the relay; wait=False does not wait for the handshake.

        timeout: seconds; None: 3, and what the wire takes.
        """
        address, loop, ends = self.address_of(to, port), self._lab.loop, self._lab.ends
        if self._lab.closed:
            raise closed()
        target = ends.get(address)
        if target is None or target.name == self.name:
            raise NotOnThisLink("an address that no other host has")
        timeout = WAITS + 2 * loop.drawing.delay if timeout is None else timeout
        there, callers, _ = self._lab.listening.get((address, port), (None, {}, None))
        ours, near = self._lab.pair()
        ours.own, ours.peer = (self.address, ours.real[1]), (address, port)
        connection = Connection(loop.drawing, ends[self.address], ours.real[1], target, port)
        far, caller = socket.socket(), None
        own = [ours, near, far]  # what is still ours to close
        try:
            far.settimeout(timeout)
            far.bind((HERE, 0))
            caller = far.getsockname()
            callers[caller] = ours.own
            if len(callers) > QUEUE:  # whoever took the socket's descriptor accepts them, and tells nobody
                callers.pop(next(iter(callers)), None)
            if not _reaches(far, there):
                loop.soon(connection.ask)
                loop.ask(lambda: loop.after_trips(1, connection.refuse))
                loop.wait(lambda: connection.state == "refused", timeout)
                raise refused(address, port)
            loop.ask(Joined(loop, connection, near, far).open)
            del own[1:]
            if wait and not loop.wait(lambda: connection.state != "opening", timeout):
                raise TimeoutError
        except BaseException as error:
            callers.pop(caller, None)
            for one in own:
                one.close()
            if isinstance(error, TimeoutError):
                why = f"{address} port {port} did not answer {self.name} within {timeout:g} s; is its backlog full?"
                raise TimeoutError(why) from None
            raise
        ours.settimeout(WAITS)
        return ours

    def sockets(self) -> SocketTable:
        """What the relay knows of this host's sockets: those that listen or are bound, and the connections that are open."""
        lab, rows = self._lab, SocketTable()
        if lab.closed:
            raise closed()
        for (address, port), (real, callers, made) in list(lab.listening.items()):
            if address == self.address and _listens(real):
                waiting = len(callers) if made() and made().fileno() != -1 else 0
                rows.append(SocketRow("tcp", f"0.0.0.0:{port}", "0.0.0.0:0", "LISTEN", 0, waiting, "", 0))
        for connection in lab.loop.ask(lambda: [joined.connection for joined in lab.loop.joined]):
            for side, other in OTHER.items():
                if connection.ends[side].name == self.name:
                    here, there = (f"{connection.ends[one].address}:{connection.ports[one]}" for one in (side, other))
                    rows.append(SocketRow("tcp", here, there, _state(connection, side, other), 0, 0, "", 0))
        for (address, _), sock in list(lab.datagrams.bound.items()):
            if address == self.address and sock.fileno() != -1:
                here, there = ("{}:{}".format(*end) for end in (sock.own, sock.peer or ("0.0.0.0", 0)))
                rows.append(SocketRow("udp", here, there, "-", 0, 0, "", 0))
        return rows


def _state(connection, side, other):
    if connection.state == "opening":
        return "SYN_SENT" if side == "client" else "SYN_RECV"
    return "FIN_WAIT2" if side in connection.ended else "CLOSE_WAIT" if other in connection.ended else "ESTABLISHED"


def _reaches(far, there):
    """Connect to where somebody listens; False if nobody does."""
    try:
        if there:
            far.connect(there)
    except ConnectionRefusedError:
        return False
    return bool(there)


def _reusable(made):
    """Let a port be bound while old connections on it still close: on Unix by this option, on Windows without."""
    if os.name == "posix":
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


def _listens(address):
    """Whether somebody still listens there: a socket may have been handed on, so the kernel is asked."""
    if address is None:
        return False
    with socket.socket() as probe:
        _reusable(probe)
        try:
            probe.bind(address)
        except OSError:
            return True
    return False
