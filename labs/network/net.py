"""A network: hosts in a row, the wires between them, and one lab process that carries it all."""

import errno
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from labs.errors import LabError
from labs.network.channel import too_many
from labs.network.host import Host
from labs.network.links import Link, choose, make_plan, named
from labs.network.topology import Router
from labs.network.wire import Wire, checked_settings

if TYPE_CHECKING:
    from labs.captures.capture import Capture

__all__ = ["Network", "make_network"]


class Network:
    """Hosts and the wires between them.  Unpacks into its hosts; closes with `with`, close(), or when nothing refers to it."""

    def __init__(self, row: Sequence, link: Link, settings: dict, mtu: int | Sequence[int], ipv6: bool, log_limit: int) -> None:
        plan = make_plan(row, link.name, mtu, ipv6, settings, log_limit)
        self._lab, kind = link.make(plan)
        self.link, self.origin = link.name, link.origin  # origin: what captures of this network show, "live, tap"
        names = {host["name"]: host["cards"][0]["addresses"][0].split("/")[0] for host in plan["hosts"]}
        self.hosts = tuple(kind(self._lab, host, names) for host in plan["hosts"])
        self.wires = tuple(
            Wire(self._lab, i, self.hosts, settings) for i in range(1 + max(c.wire for h in self.hosts for c in h.cards))
        )
        owners = {address: host.name for host in self.hosts for card in host.cards for address in card.addresses}
        for host in self.hosts:
            host.know(self.wires, owners)

    def __iter__(self) -> Iterator[Host]:
        return iter(self.hosts)

    def __len__(self) -> int:
        return len(self.hosts)

    def __getitem__(self, name: str) -> Host:
        for host in self.hosts:
            if host.name == name:
                return host
        raise LabError(f"expected one of {', '.join(host.name for host in self.hosts)}, got {name!r}: no such host")

    def __repr__(self):
        return "network of " + ", ".join(map(repr, self.hosts))

    @property
    def wire(self) -> Wire:
        """The wire, if there is just one."""
        if len(self.wires) > 1:
            which = "; ".join(f"net.wires[{w.index}] is {w!r}" for w in self.wires)
            raise LabError(f"this network has {len(self.wires)} wires, say which: {which}")
        return self.wires[0]

    def capture(self) -> "Capture":
        """Record every frame from here to the end of the `with`: a Capture.  Chapter 00-start-here."""
        from labs.captures.capture import Capture

        return Capture.of(self)

    @property
    def closed(self) -> bool:
        """True if it was closed, and if its lab process has died."""
        return self._lab.closed

    def at_close(self, function: Callable[[], object]) -> None:
        """Call function() first when this network closes.  It must not refer to the network, or that never closes by itself."""
        self._lab.at_close.append(function)

    def close(self) -> None:
        """End the hosts, their programs and the wires.  Sockets that are still open are cut off.  Doing it twice is fine."""
        for wire in self.wires:
            wire.close()
        for host in self.hosts:
            host.forget_programs()
        self._lab.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def make_network(
    *row: str | Router, delay: float = 0.0, loss: float = 0.0, rate: float | None = None, mtu: int | tuple[int, ...] = 1500,
    ipv6: bool = False, link: str | None = None, log_limit: int = 256 << 20,
) -> Network:  # fmt: skip
    """Hosts on a wire: network("client", "server").  Three or more share a switch; labs.router("r1") in the row joins two wires.

    delay: seconds one way; loss: 0 to 1; rate: bits a second or None; mtu: bytes, one number or one a wire; ipv6: give
    fd00:: addresses, too; link: "tap", "veth", "relay" (default: the best that works); log_limit: bytes that captures may
    keep.
    Addresses: wire n is 10.0.n.0/24, hosts from .1 up, routers from .254 down; MACs count from 02:00:00:00:00:01.
    Raises ValueError for a row that cannot be, LabError where this machine has no live network.
    """
    settings = checked_settings(delay, loss, rate)
    chosen = named(link or choose())
    if not isinstance(log_limit, int) or log_limit < 0:
        raise ValueError(f"expected log_limit in bytes, got {log_limit!r}")
    try:
        return Network(row, chosen, settings, mtu, ipv6, log_limit)
    except OSError as e:
        if e.errno == errno.EMFILE:  # nothing is wrong with this machine
            raise too_many() from None
        raise LabError(
            f"this machine cannot make a network on {chosen.name}: {e.strerror or e}; labs.doctor() says why and what to do"
        ) from e
