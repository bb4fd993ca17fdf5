"""A host: one of the machine's real TCP/IP stacks, in a network namespace of its own.

Sockets are made inside the host by the lab process and handed over (SCM_RIGHTS, unix(7)).  From then on they are plain
`socket.socket` objects of this notebook: whatever uses sockets can use them.
"""

import errno
import os
import socket
import weakref
from collections.abc import Iterable
from functools import partial
from socket import socket as Socket
from typing import TYPE_CHECKING, Any

from labs.errors import LabError
from labs.network import kernel
from labs.network.listener import TIMEOUT, Listener, calling_cell, same_cell
from labs.network.program import Program
from labs.network.refusals import UNKNOWN, Watch, in_use, no_way, overflowed, refused
from labs.rooms import above

if TYPE_CHECKING:
    import httpx

    from labs.network.wire import Wire

__all__ = ["Card", "Host", "check_port"]

STREAM = socket.SOCK_STREAM  # inside Host, `socket` is a method


class Card:
    """A network card of a host: its name there, the wire it is plugged into, its MAC and IP addresses."""

    def __init__(self, plan):
        self.name, self.wire, self.mac, self.mtu = plan["name"], plan["wire"], plan["mac"], plan["mtu"]
        self.interfaces = tuple(plan["addresses"])  # with their prefix: "10.0.0.1/24"
        self.addresses = tuple(a.split("/")[0] for a in self.interfaces)

    def __repr__(self):
        return f"{self.name} {self.mac} {', '.join(self.interfaces)}"


class Host:
    """A host of a network.  Chapter 00-start-here meets it; 24-tcp-connection looks inside."""

    def __init__(self, lab, plan, names):
        self._lab, self.name, self.is_router = lab, plan["name"], plan["router"]
        self._names = names  # of all hosts → address
        self.cards = tuple(Card(card) for card in plan["cards"])
        self.mac, self.address = self.cards[0].mac, self.cards[0].addresses[0]
        self._programs, self._left = [], {}  # (address, port) → the socket that last listened there, the cell that made it
        self._wires, self._owners = (), {}  # of the whole network, see know()

    def know(self, wires: "tuple[Wire, ...]", owners: dict[str, str]) -> None:
        """What surrounds it: the network's wires, and who has which address."""
        self._wires, self._owners = wires, owners

    def __repr__(self):
        return f"{self.name} ({', '.join(card.addresses[0] for card in self.cards)})"

    def socket(self, family: int = socket.AF_INET, type: int = STREAM, proto: int = 0) -> Socket:
        """A new socket inside this host, waiting at most 10 s in each call (socket.settimeout changes that)."""
        return self._open(Socket, family, type, proto)

    def _open(self, kind, family, type=STREAM, proto=0):
        _, (fd,) = self._lab.ask("socket", host=self.name, family=int(family), kind=int(type), protocol=int(proto))
        made = kind(family, type, proto, fileno=fd)
        made.settimeout(TIMEOUT)
        return made

    def listen(self, port: int, backlog: int = 128, address: str = "0.0.0.0") -> Listener:
        """A listening TCP socket: listen(2) with this backlog.  Port 0 lets the kernel choose.

        A cell that is run again, unchanged, takes the place of the socket that it left listening here; all others get EADDRINUSE.
        """
        check_port(port)
        here = calling_cell()
        try:
            made = self._listen(port, backlog, address)
        except OSError as e:
            left, where = self._left.get((address, port), (lambda: None, None))
            if e.errno != errno.EADDRINUSE or (former := left()) is None or not same_cell(where, here):
                raise
            former.close()
            made = self._listen(port, backlog, address)
        self._left[address, port] = weakref.ref(made), here
        return made

    def _listen(self, port, backlog, address):
        made = self._open(Listener, socket.AF_INET6 if ":" in address else socket.AF_INET)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((address, port))
            made.listen(backlog)
        except OSError as e:
            made.close()
            if e.errno == errno.EADDRINUSE:
                raise in_use(self.name, port) from None
            if e.errno == errno.EADDRNOTAVAIL:
                own = ", ".join(a for card in self.cards for a in card.addresses)
                has = f"it has {own}, 127.0.0.1 and 0.0.0.0 (all of them)"
                raise OSError(e.errno, f"{self.name} has no address {address}; {has}") from None
            raise
        return made

    def resolve(self, name: str) -> str:
        """The address of a host of this network by its name, "server" → "10.0.0.2"; an address stays.  ValueError for others."""
        address = self._names.get(name, "127.0.0.1" if name == "localhost" else name)
        try:
            socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address.split("%")[0])
        except (OSError, ValueError):  # this machine's resolver would look it up outside the lab
            hosts = ", ".join(self._names)
            wanted = f"a host of this network ({hosts}) or an address such as '10.0.0.2'"
            raise ValueError(f"expected {wanted}, got {name!r}") from None
        return address

    def address_of(self, to: "Host | str", port: int) -> str:
        """The address at which connect(to, port) knocks; TypeError or ValueError if there can be none."""
        check_port(port)
        if not isinstance(to, (Host, str)):
            raise TypeError(f"expected a Host or an address such as '10.0.0.2', got {to!r}")
        if isinstance(to, Host) and to._lab is not self._lab:
            raise ValueError(f"expected a host of {self.name}'s network, got {to!r} of another one: no wire joins them")
        return to.address if isinstance(to, Host) else self.resolve(to)

    def connect(self, to: "Host | str", port: int, wait: bool = True, timeout: float = TIMEOUT) -> Socket:
        """A TCP socket connected to `port` of another host (a Host, its name, or an address).

        With wait=False it returns as soon as the kernel has been told to connect: the SYN is on its way then, or held.
        """
        address = self.address_of(to, port)
        before = Watch(self._wires if wait else ())
        made = self.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        try:
            if wait:
                made.settimeout(timeout)
                made.connect((address, port))
            else:
                made.setblocking(False)
                code = made.connect_ex((address, port))
                if code not in (0, errno.EINPROGRESS):
                    raise OSError(code, os.strerror(code))
            made.settimeout(TIMEOUT)
        except TimeoutError:
            made.close()
            why = before.why(timeout) or overflowed(port, *self._at(address)) or UNKNOWN
            raise TimeoutError(f"{address} port {port} did not answer {self.name} within {timeout:g} s: {why}") from None
        except ConnectionRefusedError:
            made.close()
            raise refused(address, port, self._at(address)[0]) from None
        except OSError as e:
            made.close()
            if e.errno not in (errno.EHOSTUNREACH, errno.ENETUNREACH):
                raise
            raise no_way(e.errno, self.name, address, self._owners, before.why()) from None
        except BaseException:
            made.close()
            raise
        return made

    def _at(self, address):
        """The sockets and the counters of the host that has this address; nothing where that is not known."""
        name = self.name if address.startswith("127.") or address == "::1" else self._owners.get(address)
        read = partial(_read, self._lab, name)
        return (kernel.sockets(read), kernel.counters(read)) if name else ([], {})

    def http(
        self, http2: bool | str = False, verify: object = True, timeout: float = TIMEOUT, names: dict | None = None, **how: Any
    ) -> "httpx.Client":
        """An httpx.Client whose connections start in this host; the names of hosts resolve: client.http().get("http://server/").

        http2: True offers HTTP/2 over TLS (ALPN, RFC 7301), "only" speaks nothing else, over plain TCP by prior knowledge
        (RFC 9113 §3.3).  verify: a certificate or authority of the lab, an SSLContext, or False; timeout: seconds;
        names: more host names, {"shop.test": server}; the rest as for httpx.Client.  Chapter 02-polling uses it.
        """
        return above("http_client")(self, http2, verify, timeout, names or {}, **how)

    def run(
        self, argv: list, env: dict | None = None, folder: str | None = None, sockets: Iterable[Socket | int] = ()
    ) -> Program:
        """Start a program inside this host: a Program with wait(), output(), kill().  It ends with the network at the latest.

        sockets (or other files, 3 at most) are its descriptors 3, 4, 5, as sd_listen_fds(3) hands them to services.
        """
        program = Program(self._lab, self.name, argv, env, folder, sockets)
        self._programs = [*self.programs, program]
        return program

    @property
    def programs(self) -> list[Program]:
        """The programs that run in this host now, as run() returned them, in the order of their start."""
        self._programs = [program for program in self._programs if program.running]
        return list(self._programs)

    def forget_programs(self) -> None:
        """The network closes, and they end with it."""
        self._programs = []

    def read(self, path: str) -> str:
        """The text of a file as this host sees it: read("/proc/net/arp")."""
        return _read(self._lab, self.name, path)

    def sockets(self) -> kernel.SocketTable:
        """The kernel's view of every TCP and UDP socket in this host: a list of rows that prints as a table."""
        return kernel.sockets(self.read)

    def listens(self, port: int) -> bool:
        """True if something in this host listens on this TCP port."""
        return any(row.state == "LISTEN" and row.local.endswith(f":{port}") for row in self.sockets())

    def counters(self) -> dict[str, int]:
        """The kernel's counters of this host as a dict, named as nstat(8) names them."""
        return kernel.counters(self.read)

    def sysctl(self, name: str, value: object = None) -> str:
        """Read, or change, a kernel setting of this host: sysctl("net.ipv4.tcp_syncookies", 0)."""
        if not name.startswith("net."):
            raise ValueError(f"expected a setting of this host's network such as 'net.ipv4.ip_forward', got {name!r}")
        try:
            reply, _ = self._lab.ask("sysctl", host=self.name, name=name, value=None if value is None else str(value))
        except FileNotFoundError:
            raise LabError(f"this kernel has no setting {name!r} for a host") from None
        except OSError as e:
            read_only = e.errno in (errno.EROFS, errno.EACCES)
            why = "; /proc/sys cannot be written on this machine, as in many containers" if read_only else ""
            raise LabError(f"the kernel did not take {name} = {value}: {e.strerror}{why}") from None
        return reply["value"]


def _read(lab, name, path):
    path = path.replace("/proc/net/", "/proc/thread-self/net/")  # /proc/net is of the lab's first thread; this one is in the host
    _, (fd,) = lab.ask("open", host=name, path=path)
    with open(fd) as file:
        return file.read()


def check_port(port: int) -> None:
    if not isinstance(port, int) or not 0 <= port <= 65535:
        raise ValueError(f"expected a port from 0 to 65535, got {port!r}")
