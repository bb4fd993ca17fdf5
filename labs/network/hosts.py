"""The lab process's hosts: a network namespace each, their cards, addresses and routes, and the kernel's settings inside.

What `ip netns add`, `ip link`, `ip addr` and `ip route` would do, done from within one process (network_namespaces(7), setns(2)).
"""

import ctypes
import os
import socket

from labs.network import netlink
from labs.network.cards import TapCard, VethCard
from labs.network.held_clocks import HeldClocks
from labs.network.netlink import NEWNET, checked

__all__ = ["Hosts", "libc"]

libc = ctypes.CDLL(None, use_errno=True)
A_DAY = {"base_reachable_time_ms": 86_400_000, "delay_first_probe_time": 86_400}  # of settings for each card, arp(7)


class Hosts:
    """Makes the hosts of a plan, steps into them, and answers what the notebook asks of one."""

    def __init__(self, plan: dict) -> None:
        self.namespaces: dict[str, int] = {}  # host → a descriptor of its network namespace
        self.cards: list[TapCard | VethCard] = []  # of all hosts; their places are the numbers by which everybody knows them
        self.host_of: list[str] = []  # card number → host
        self.macs: list[bytes] = []  # card number → MAC address
        self.on_wire: dict[int, list[int]] = {}  # wire → card numbers
        self.clocks: dict[str, HeldClocks] = {}
        checked(libc.unshare(NEWNET))
        self.between = self.namespace()  # the far ends of veth pairs live there
        for host in plan["hosts"]:
            checked(libc.unshare(NEWNET))
            self.namespaces[host["name"]] = self.namespace()
            self.settings(host, plan["ipv6"])
            netlink.set_up("lo")
            for card in host["cards"]:
                self.plug_in(host, card, plan["link"], plan["ipv6"])
            self.clocks[host["name"]] = HeldClocks([card["name"] for card in host["cards"]])
            for network, via in host["routes"]:
                netlink.add_route(network, via)
        if plan["link"] == "veth":
            checked(libc.setns(self.between, NEWNET))
            for number in range(len(self.cards)):
                netlink.wait_until_up(f"cable{number}")

    def namespace(self) -> int:
        """A descriptor of the network namespace that we are in."""
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def plug_in(self, host: dict, card: dict, link: str, ipv6: bool) -> None:
        """Make a card of the host that we are in, with its addresses."""
        number, mac, name = len(self.cards), bytes.fromhex(card["mac"].replace(":", "")), card["name"]
        if link == "tap":
            self.cards.append(TapCard(name, mac, card["mtu"]))
        else:
            checked(libc.setns(self.between, NEWNET))
            self.cards.append(VethCard(name, mac, card["mtu"], f"cable{number}", self.namespaces[host["name"]]))
            self.enter(host["name"])
            netlink.no_offloads(name)
            netlink.set_up(name, router_solicitations=False)
        # The kernel doubts a neighbour's entry that grows old, and one that it only overheard, and asks again at a moment of its
        # own: that frame would be in some captures only.
        for version in ("ipv4", "ipv6") if ipv6 else ("ipv4",):
            for setting, long in A_DAY.items():
                self.set_if_allowed(f"net.{version}.neigh.{name}.{setting}", long)
        for address in card["addresses"]:
            netlink.add_address(name, address)
        if host["router"]:
            netlink.forward(name)
        self.host_of.append(host["name"])
        self.macs.append(mac)
        self.on_wire.setdefault(card["wire"], []).append(number)

    def settings(self, host: dict, ipv6: bool) -> None:
        """Make a fresh namespace's kernel settings the same on every machine, where /proc/sys may be written."""
        wanted = {
            "net.ipv6.conf.default.disable_ipv6": 0 if ipv6 else 1,
            "net.ipv6.conf.all.disable_ipv6": 0 if ipv6 else 1,
            "net.ipv6.conf.all.accept_dad": 0,
            "net.ipv6.conf.default.mldv2_unsolicited_report_interval": 1,  # ms; else a report comes within 1 s, into some capture
            "net.ipv4.ip_forward": 1 if host["router"] else 0,
            "net.ipv4.tcp_congestion_control": "reno",  # RFC 5681; the one algorithm that every kernel has
            "net.ipv4.tcp_rmem": "4096 131072 6291456",  # else they depend on the machine's memory, and with them
            "net.ipv4.tcp_wmem": "4096 16384 4194304",  # the window scale that a SYN announces
        }
        for name, value in wanted.items():
            self.set_if_allowed(name, value)
        if host["router"] and ipv6:  # rtnetlink(7) can switch on forwarding of IPv4 only: where this fails, there is no router
            netlink.write_sysctl("net.ipv6.conf.all.forwarding", 1)

    def set_if_allowed(self, name: str, value: int | str) -> None:
        try:
            netlink.write_sysctl(name, value)
        except OSError:
            pass  # read-only /proc/sys, as in containers: netlink did what must be done, the rest is the kernel's default

    def enter(self, host: str) -> None:
        checked(libc.setns(self.namespaces[host], NEWNET))

    def hold_clocks(self, held: bool) -> None:
        """As long as a wire is held, the hosts wait for the learner (labs.network.held_clocks)."""
        for host, clocks in self.clocks.items():
            if held != clocks.held:
                self.enter(host)
                clocks.stop() if held else clocks.go_on()

    def lost(self) -> int:
        """Frames that the cards could not keep for us, so far."""
        count = 0
        for card, host in zip(self.cards, self.host_of):
            self.enter(host)
            count += card.lost()
        return count

    # -- what the notebook asks for ----------------------------------------------------------------------------------------

    def do_socket(self, host: str, family: int, kind: int, protocol: int) -> tuple:
        self.enter(host)
        return {}, [socket.socket(family, kind, protocol).detach()]

    def do_open(self, host: str, path: str) -> tuple:
        self.enter(host)
        return {}, [os.open(path, os.O_RDONLY | os.O_CLOEXEC)]

    def do_sysctl(self, host: str, name: str, value: str | None) -> dict:
        self.enter(host)
        if value is not None:
            netlink.write_sysctl(name, value)
        return {"value": netlink.read_sysctl(name)}
