"""The link "relay": for machines that give nobody a network.  Needs sockets on 127.0.0.1 and nothing else; runs on any system.

A host is a name here.  Its sockets are the machine's own, on the loopback address and on ports that the kernel picks; between any
two of them stands a relay that passes bytes on and notes them.  What programs say to each other, layer 5 and up, is real and is
shown as it was.  Layers 2 to 4 are drawn round it (labs.network.redraw), and whatever needs a wire or a kernel of its own raises
NotOnThisLink, which makes a chapter go on from its recording (labs.lessons.attempt).
"""

import socket
import time
import weakref

from labs.errors import LabError
from labs.network.host import Host, check_port, in_use, refused
from labs.network.kernel import SocketRow, SocketTable
from labs.network.loopback import Loopback
from labs.network.redraw import Connection, End
from labs.network.relay_loop import Passing, Watch

__all__ = ["RUNNING", "NotOnThisLink", "Relay", "RelayHost"]

RUNNING = weakref.WeakSet()
HERE = "127.0.0.1"
PATIENCE = 3.0  # seconds that sockets made here wait; a cell that cannot go on must not hold up its recording for long
WHAT = {
    "socket": "a socket without a connection", "open": "the kernel's tables of a host", "sysctl": "a host's kernel settings",
    "run": "a program inside a host", "wire": "a wire with a loss, a rate, a cut or a hold", "held": "a wire that holds frames",
    "step": "a wire that holds frames", "release": "a wire that holds frames", "judge": "rules on a wire",
    "listen": "a packet socket",
}  # fmt: skip


class NotOnThisLink(LabError):
    """This link has no such thing.  In a chapter, the cell's recording is shown instead."""

    def __init__(self, what):
        super().__init__(f'the link "relay" cannot offer {what}: it passes bytes on, and knows nothing below; see labs.doctor()')


class Relay:
    """Stands where a LabProcess stands on other links: what it is asked for and cannot do, it refuses."""

    def __init__(self, plan):
        if len({card["wire"] for host in plan["hosts"] for card in host["cards"]}) > 1:
            raise NotOnThisLink("routers")
        if plan["ipv6"] or plan["wire"].get("loss") or plan["wire"].get("rate"):
            raise NotOnThisLink("IPv6" if plan["ipv6"] else WHAT["wire"])
        self.ends = {end.address: end for end in map(_end_of, plan["hosts"])}
        self.listening = {}  # (address, port) → (where it listens in truth, who calls there: true address → address in the lab)
        self.at_close = []
        self.passing = Passing(plan["wire"].get("delay", 0.0))
        try:
            self.lo = Loopback(self.passing) if plan["link"] == "loopback" else None
        except BaseException:
            self.passing.stop()
            raise
        RUNNING.add(self)
        self._close = weakref.finalize(self, _end, self.passing, self.lo, self.at_close)

    @property
    def closed(self):
        return not self._close.alive

    def close(self):
        self._close()

    def ask(self, do, **what):
        if do == "wire" and set(what["settings"]) == {"delay"}:
            self.passing.delay = what["settings"]["delay"]
        elif do == "settle":
            self.passing.settle(what["timeout"])
        else:
            raise NotOnThisLink(WHAT.get(do, do))
        return {"number": len(self.passing.events)}, ()

    def pair(self, client, server):
        """Two sockets of this process, joined over the loopback address: the program's, and the relay's end."""
        with socket.create_server((HERE, 0)) as door:
            ours = RelaySocket()
            ours.bind((HERE, 0))
            if self.lo:
                self.lo.ends[ours.real[1], door.getsockname()[1]] = client, server
            ours.connect(door.getsockname())
            near, caller = door.accept()
            if caller != ours.real:
                near.close(), ours.close()
                raise LabError("another program of this machine connected to the relay; try again")
        return ours, near

    def watch(self, make):
        """What a running Capture reads from; make(raw, number=, time=, sender=, wire=) makes its frames."""
        if self.closed:
            raise LabError("this network is closed: there is no wire to capture; make another one with labs.network(…)")
        return Watch(self.passing, [end.name for end in self.ends.values()], make, self.lo)


def _end_of(host):
    card = host["cards"][0]
    return End(host["name"], card["mac"], card["addresses"][0].split("/")[0])


def _end(passing, lo, at_close):
    while at_close:
        at_close.pop()()
    passing.stop()
    if lo:
        lo.close()


class RelayHost(Host):
    """A host that is only a name.  listen() and connect() are those of any other host; all else is NotOnThisLink."""

    def listen(self, port, backlog=128, address="0.0.0.0"):
        """A listening TCP socket: on 127.0.0.1 in truth, on `port` of this host in the lab."""
        check_port(port)
        if address not in ("0.0.0.0", self.address):
            raise NotOnThisLink("a second address for a host")
        if port and _listens(self._lab.listening.get((self.address, port), (None,))[0]):
            raise in_use(self.name, port)
        made = RelaySocket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections inherit it, and so do not look like listeners
        made.bind((HERE, 0))
        made.own = (address, port or made.real[1])
        made.listen(backlog)
        made.settimeout(PATIENCE)
        self._lab.listening[self.address, made.own[1]] = made.real, made.callers
        return made

    def connect(self, to, port, wait=True, timeout=PATIENCE):
        """A TCP socket connected to `port` of another host, through the relay."""
        address, passing = self.address_of(to, port), self._lab.passing
        if self._lab.closed:
            raise LabError("this network is closed; make another one with labs.network(…)")
        target = self._lab.ends.get(address)
        if target is None or target.name == self.name:
            raise NotOnThisLink("an address that no other host has")
        there, callers = self._lab.listening.get((address, port), (None, None))
        ours, near = self._lab.pair(self.name, target.name)
        ours.own, ours.peer = (self.address, ours.real[1]), (address, port)
        connection = Connection(self._lab.ends[self.address], ours.real[1], target, port)
        far = socket.socket()
        try:
            if there is None:
                raise ConnectionRefusedError
            far.settimeout(timeout)
            far.bind((HERE, 0))
            callers[far.getsockname()] = ours.own
            far.connect(there)
        except OSError as error:
            for one in (ours, near, far):
                one.close()
            if not isinstance(error, ConnectionRefusedError):
                raise
            passing.note(connection, "refused", "client")
            raise refused(address, port) from None
        passing.note(connection, "open", "client")
        passing.join(connection, near, far)
        ours.settimeout(PATIENCE)
        if wait and passing.delay:
            time.sleep(2 * passing.delay)  # what a handshake takes on such a wire
        return ours

    def sockets(self):
        """What the relay knows of this host's sockets: those that listen, and the connections that are open, as a SocketTable."""
        rows = SocketTable()
        for (address, port), (real, callers) in self._lab.listening.items():
            if address == self.address and _listens(real):
                rows.append(SocketRow("tcp", f"0.0.0.0:{port}", "0.0.0.0:0", "LISTEN", 0, len(callers), "", 0))
        for connection, ended in self._lab.passing.connections().items():
            for side, other in (("client", "server"), ("server", "client")):
                if connection.ends[side].name == self.name:
                    ends = [f"{connection.ends[one].address}:{connection.ports[one]}" for one in (side, other)]
                    state = "FIN_WAIT2" if side in ended else "CLOSE_WAIT" if ended else "ESTABLISHED"
                    rows.append(SocketRow("tcp", *ends, state, 0, 0, "", 0))
        return rows


def _listens(address):
    """Whether somebody still listens there: a socket may have been handed on, so the kernel is asked."""
    if address is None:
        return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what is only closing does not count
        try:
            probe.bind(address)
        except OSError:
            return True
    return False


class RelaySocket(socket.socket):
    """A socket of the machine's that goes by its names in the lab: own and peer, as (address, port)."""

    def __init__(self, fileno=None, own=None, peer=None):
        super().__init__(fileno=fileno)
        self.own, self.peer, self.callers = own, peer, {}

    @property
    def real(self):
        return super().getsockname()

    def getsockname(self):
        return self.own or super().getsockname()

    def getpeername(self):
        super().getpeername()  # raises where there is none
        return self.peer or super().getpeername()

    def accept(self):
        made, caller = super().accept()
        peer = self.callers.pop(caller, caller)
        return RelaySocket(made.detach(), self.own, peer), peer


RelaySocket.__module__ = RelaySocket.__qualname__ = "socket"  # type(sock) and repr(sock) read as on any other link
