"""A host: one of the machine's real TCP/IP stacks, in a network namespace of its own.

Sockets are made inside the host by the lab process and handed over (SCM_RIGHTS, unix(7)).  From then on they are plain
`socket.socket` objects of this notebook: whatever uses sockets can use them.
"""

import errno
import os
import socket

from labs.errors import LabError
from labs.network import kernel
from labs.network.program import Program
from labs.rooms import above

__all__ = ["Card", "Host", "check_port", "in_use", "refused"]

PATIENCE = 10.0  # seconds that sockets made here wait before TimeoutError, so that no cell hangs for ever


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
        self._programs = []

    def __repr__(self):
        return f"{self.name} ({', '.join(card.addresses[0] for card in self.cards)})"

    def socket(self, family=socket.AF_INET, type=socket.SOCK_STREAM, proto=0):
        """A new socket inside this host, waiting at most 10 s in each call (socket.settimeout changes that)."""
        _, (fd,) = self._lab.ask("socket", host=self.name, family=int(family), kind=int(type), protocol=int(proto))
        made = socket.socket(family, type, proto, fileno=fd)
        made.settimeout(PATIENCE)
        return made

    def listen(self, port, backlog=128, address="0.0.0.0"):
        """A listening TCP socket: listen(2) with this backlog.  Port 0 lets the kernel choose."""
        check_port(port)
        made = self.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
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
                raise OSError(
                    e.errno, f"{self.name} has no address {address}; it has {own}, 127.0.0.1 and 0.0.0.0 (all of them)"
                ) from None
            raise
        return made

    def resolve(self, name):
        """The address of a host of this network by its name, "server" → "10.0.0.2"; an address stays.  ValueError for others."""
        address = self._names.get(name, "127.0.0.1" if name == "localhost" else name)
        try:
            socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address.split("%")[0])
        except (OSError, ValueError):  # this machine's resolver would look it up outside the lab
            hosts = ", ".join(self._names)
            raise ValueError(
                f"expected a host of this network ({hosts}) or an address such as '10.0.0.2', got {name!r}"
            ) from None
        return address

    def address_of(self, to, port):
        """The address at which connect(to, port) knocks; TypeError or ValueError if there can be none."""
        check_port(port)
        if not isinstance(to, (Host, str)):
            raise TypeError(f"expected a Host or an address such as '10.0.0.2', got {to!r}")
        if isinstance(to, Host) and to._lab is not self._lab:
            raise ValueError(f"expected a host of {self.name}'s network, got {to!r} of another one: no wire joins them")
        return to.address if isinstance(to, Host) else self.resolve(to)

    def connect(self, to, port, wait=True, timeout=PATIENCE):
        """A TCP socket connected to `port` of another host (a Host, its name, or an address).

        With wait=False it returns as soon as the kernel has been told to connect: the SYN is on its way then, or held.
        """
        address = self.address_of(to, port)
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
            made.settimeout(PATIENCE)
        except TimeoutError:
            made.close()
            raise TimeoutError(
                f"{address} port {port} did not answer {self.name} within {timeout:g} s; is the wire held or cut?"
            ) from None
        except ConnectionRefusedError:
            made.close()
            raise refused(address, port) from None
        except BaseException:
            made.close()
            raise
        return made

    def http(self, http2=False, verify=True, timeout=PATIENCE, names=None, **how):
        """An httpx.Client whose connections start in this host; the names of hosts resolve: client.http().get("http://server/").

        http2: True offers HTTP/2 over TLS (ALPN, RFC 7301), "only" speaks nothing else, over plain TCP by prior knowledge
        (RFC 9113 §3.3).  verify: a certificate or authority of the lab, an SSLContext, or False; timeout: seconds;
        names: more host names, {"shop.test": server}; the rest as for httpx.Client.  Chapter 02-polling uses it.
        """
        return above("http_client")(self, http2, verify, timeout, names or {}, **how)

    def run(self, argv, env=None, folder=None, sockets=()):
        """Start a program inside this host: a Program with wait(), output(), kill().  It ends with the network at the latest.

        sockets (or other files, 3 at most) are its descriptors 3, 4, 5, as sd_listen_fds(3) hands them to services.
        """
        program = Program(self._lab, self.name, argv, env, folder, sockets)
        self._programs = [*self.programs, program]
        return program

    @property
    def programs(self):
        """The programs that run in this host now, as run() returned them, in the order of their start."""
        self._programs = [program for program in self._programs if program.running]
        return list(self._programs)

    def forget_programs(self):
        """The network closes, and they end with it."""
        self._programs = []

    def read(self, path):
        """The text of a file as this host sees it: read("/proc/net/arp")."""
        path = path.replace(
            "/proc/net/", "/proc/thread-self/net/"
        )  # /proc/net belongs to the lab's first thread; this one is in the host
        _, (fd,) = self._lab.ask("open", host=self.name, path=path)
        with open(fd) as file:
            return file.read()

    def sockets(self):
        """The kernel's view of every TCP and UDP socket in this host: a list of rows that prints as a table."""
        return kernel.sockets(self.read)

    def listens(self, port):
        """True if something in this host listens on this TCP port."""
        return any(row.state == "LISTEN" and row.local.endswith(f":{port}") for row in self.sockets())

    def counters(self):
        """The kernel's counters of this host as a dict, named as nstat(8) names them."""
        return kernel.counters(self.read)

    def sysctl(self, name, value=None):
        """Read, or change, a kernel setting of this host: sysctl("net.ipv4.tcp_syncookies", 0)."""
        if not name.startswith("net."):
            raise ValueError(f"expected a setting of this host's network such as 'net.ipv4.ip_forward', got {name!r}")
        try:
            reply, _ = self._lab.ask("sysctl", host=self.name, name=name, value=None if value is None else str(value))
        except FileNotFoundError:
            raise LabError(f"this kernel has no setting {name!r} for a host") from None
        except OSError as e:
            why = (
                "; /proc/sys cannot be written on this machine, as in many containers"
                if e.errno in (errno.EROFS, errno.EACCES)
                else ""
            )
            raise LabError(f"the kernel did not take {name} = {value}: {e.strerror}{why}") from None
        return reply["value"]


def in_use(name, port):
    return OSError(
        errno.EADDRINUSE, f"port {port} of {name} is in use; close the socket that listens there, or take another port"
    )


def refused(address, port):
    return ConnectionRefusedError(errno.ECONNREFUSED, f"{address} answered with RST: nothing listens on its port {port}")


def check_port(port):
    if not isinstance(port, int) or not 0 <= port <= 65535:
        raise ValueError(f"expected a port from 0 to 65535, got {port!r}")
