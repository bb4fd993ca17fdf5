"""From names to a plan: who is on which wire, with which addresses, and who is the way to whom.

Hosts are named in a row, as they stand; a router in the row ends one wire and begins the next.  Wire number n is the
network 10.0.n.0/24: hosts count upwards from .1, routers downwards from .254, so an address tells which one it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Router", "plan", "router"]


@dataclass(frozen=True)
class Router:
    """A host that joins two wires and forwards packets between them."""

    name: str


def router(name: str) -> Router:
    """A router, to be put between hosts: labs.network("client", labs.router("r1"), "server").  Chapter 09-osi-model."""
    return Router(name)


def _check(row: Sequence["str | Router"]) -> None:
    names = [item.name if isinstance(item, Router) else item for item in row]
    for item in names:
        if not isinstance(item, str) or not item.isidentifier():
            raise ValueError(f"expected a host name such as 'client' or labs.router('r1'), got {item!r}")
    if len(set(names)) < len(names):
        raise ValueError(f"expected names that differ, got {', '.join(names)}")
    if len(row) < 2:
        raise ValueError(f"expected two hosts or more, got {len(row)}: labs.network('client', 'server')")
    if isinstance(row[0], Router) or isinstance(row[-1], Router):
        raise ValueError("expected a host at each end of the row; a router stands between two wires")
    if len(row) > 200:
        raise ValueError(f"expected at most 200 hosts, got {len(row)}")


def plan(row: Sequence["str | Router"], mtu: int | Sequence[int] = 1500, ipv6: bool = False) -> list[dict]:
    """The hosts' cards, addresses and routes as plain data.  `mtu` is one number, or one for each wire.

    With ipv6, wire number n is fd00:0:0:n::/64 as well, the hosts count in the same way (RFC 4193: addresses of nobody else).
    """
    _check(row)
    wires = 1 + sum(isinstance(item, Router) for item in row)
    mtus: list = list(mtu) if isinstance(mtu, (list, tuple)) else [mtu] * wires
    if len(mtus) != wires or any(not isinstance(m, int) or not 68 <= m <= 65_000 for m in mtus):  # RFC 791 §3.2: at least 68
        raise ValueError(f"expected an MTU from 68 to 65000 bytes, one number or one for each of {wires} wires, got {mtu!r}")
    if ipv6 and min(mtus) < 1280:
        raise ValueError(f"expected an MTU of 1280 bytes or more with ipv6=True (RFC 8200 §5), got {min(mtus)}")
    hosts, wire, cards = [], 0, 0
    counts = [[0, 255] for _ in range(wires)]

    def card(name, on, is_router):
        nonlocal cards
        cards += 1
        counts[on][is_router] += -1 if is_router else 1
        last = counts[on][is_router]
        # Of the MAC address, RFC 4291 appendix A; a router asks for neighbours with it.
        link_local = [f"fe80::ff:fe00:{cards:x}/64"]
        return {
            "name": name, "wire": on, "mtu": mtus[on], "mac": f"02:00:00:00:{cards >> 8:02x}:{cards & 255:02x}",
            "addresses": [f"10.0.{on}.{last}/24"] + [f"{_fd00(on)}::{last:x}/64"] * ipv6 + link_local * (ipv6 and is_router),
        }  # fmt: skip

    for item in row:
        if isinstance(item, Router):
            hosts.append({"name": item.name, "router": True, "cards": [card("eth0", wire, True), card("eth1", wire + 1, True)]})
            wire += 1
        else:
            hosts.append({"name": item, "router": False, "cards": [card("eth0", wire, False)]})
    routers = [host for host in hosts if host["router"]]
    for host in hosts:
        host["routes"] = [route for family in range(1 + ipv6) for route in _routes(host, routers, wires, family)]
    return hosts


def _fd00(wire: int) -> str:
    """The first half of a wire's IPv6 addresses, as RFC 5952 writes it, and so frames."""
    return f"fd00:0:0:{wire:x}" if wire else "fd00"


def _routes(host: dict, routers: list[dict], wires: int, family: int) -> list[tuple[str, str]]:
    """(network, router) for IPv4 (0) or IPv6 (1): to lower wires by the left router, to higher ones by the right."""
    on = [card["wire"] for card in host["cards"]]
    address = lambda r, wire: next(c["addresses"][family].split("/")[0] for c in routers[r]["cards"] if c["wire"] == wire)
    left = address(min(on) - 1, min(on)) if min(on) > 0 else None
    right = address(max(on), max(on)) if max(on) < wires - 1 else None
    default = left or right
    everything = ("0.0.0.0/0", "::/0")[family]
    if left and right:
        network = lambda w: f"{_fd00(w)}::/64" if family else f"10.0.{w}.0/24"
        return [(network(w), left) for w in range(min(on))] + [(everything, right)]
    return [(everything, default)] if default else []
