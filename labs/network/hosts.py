"""The lab process's hosts: a network namespace each, their cards, addresses and routes, and the kernel's settings inside.

What `ip netns add`, `ip link`, `ip addr` and `ip route` would do, done from within one process (network_namespaces(7), setns(2)).
"""

import ctypes
import os

from labs.network import netlink
from labs.network.cable import Cable
from labs.network.cards import TapCard, VethCard
from labs.network.held_clocks import Patience
from labs.network.netlink import NEWNET, checked

__all__ = ["Hosts", "libc"]

libc = ctypes.CDLL(None, use_errno=True)


class Hosts:
    """The part of the lab that makes hosts, joins them by cables, and steps into one of them."""

    def build(self, plan):
        mtu, link, on_wire = plan["mtu"], plan["link"], {}
        checked(libc.unshare(NEWNET))
        cable_namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        for host in plan["hosts"]:
            checked(libc.unshare(NEWNET))
            self.namespaces[host["name"]] = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            self.settings(plan, host)
            netlink.set_up("lo")
            for card in host["cards"]:
                number, mac = len(self.cards), bytes.fromhex(card["mac"].replace(":", ""))
                if link == "tap":
                    self.cards.append(TapCard(card["name"], mac, card.get("mtu", mtu)))
                else:
                    checked(libc.setns(cable_namespace, NEWNET))
                    self.cards.append(
                        VethCard(card["name"], mac, card.get("mtu", mtu), f"cable{number}", self.namespaces[host["name"]])
                    )
                    self.enter(host["name"])
                    netlink.no_offloads(card["name"])
                    netlink.set_up(card["name"], router_solicitations=False)
                # The kernel doubts an ARP entry that grows old, and one that it only overheard, and asks again at a moment
                # of its own: that frame would be in some captures only (arp(7): base_reachable_time, delay_first_probe_time).
                for setting, a_day in (("base_reachable_time_ms", 86_400_000), ("delay_first_probe_time", 86_400)):
                    try:
                        netlink.write_sysctl(f"net.ipv4.neigh.{card['name']}.{setting}", a_day)
                    except OSError:
                        pass  # read-only /proc/sys, as below
                for address in card["addresses"]:
                    netlink.add_address(card["name"], address)
                if host["router"]:
                    netlink.forward(card["name"])
                self.host_of.append(host["name"])
                self.macs.append(mac)
                on_wire.setdefault(card["wire"], []).append(number)
            self.clocks[host["name"]] = Patience([card["name"] for card in host["cards"]])
            for network, via in host["routes"]:
                netlink.add_route(network, via)
        if link == "veth":
            checked(libc.setns(cable_namespace, NEWNET))
            for number in range(len(self.cards)):
                netlink.wait_until_up(f"cable{number}")
        self.cables = [Cable(self, wire, on_wire[wire], plan["wire"]) for wire in sorted(on_wire)]
        self.cable_of = {card: cable for cable in self.cables for card in cable.cards}

    def settings(self, plan, host):
        """Make a fresh namespace's kernel settings the same on every machine, where /proc/sys may be written."""
        wanted = {
            "net.ipv6.conf.default.disable_ipv6": 0 if plan["ipv6"] else 1,
            "net.ipv6.conf.all.disable_ipv6": 0 if plan["ipv6"] else 1,
            "net.ipv6.conf.all.accept_dad": 0,
            "net.ipv6.conf.default.mldv2_unsolicited_report_interval": 1,  # ms; else a report comes within 1 s, into some capture
            "net.ipv4.ip_forward": 1 if host["router"] else 0,
            "net.ipv6.conf.all.forwarding": 1 if host["router"] and plan["ipv6"] else 0,
            "net.ipv4.tcp_congestion_control": "reno",  # RFC 5681; the one algorithm that every kernel has
            "net.ipv4.tcp_rmem": "4096 131072 6291456",  # else they depend on the machine's memory, and with them
            "net.ipv4.tcp_wmem": "4096 16384 4194304",  # the window scale that a SYN announces
        }
        for name, value in wanted.items():
            try:
                netlink.write_sysctl(name, value)
            except OSError:
                pass  # read-only /proc/sys, as in containers: netlink did what must be done, the rest is the kernel's default

    def enter(self, host):
        checked(libc.setns(self.namespaces[host], NEWNET))

    def be_patient(self):
        """As long as a wire is held, the hosts wait for the learner (labs.network.held_clocks)."""
        held = any(cable.holding for cable in self.cables)
        if held != self.patient:
            self.patient = held
            for host, patience in self.clocks.items():
                self.enter(host)
                patience.begin() if held else patience.end()
