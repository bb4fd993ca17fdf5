"""What the `ip` command does, in the kernel's own words: rtnetlink messages.

A netlink message is a header, a fixed structure and a list of attributes (length, type, value, padded to 4 bytes).  The
lab needs five of them: make a card, set it up, give it an address, add a route, and turn on forwarding.
Layouts: netlink(7), rtnetlink(7), linux/if_link.h.
"""

import errno
import fcntl
import os
import socket
import struct
from array import array

__all__ = [
    "NEWNET", "add_address", "add_route", "checked", "forward", "make_veth", "no_offloads", "read_sysctl", "set_up",
    "wait_until_up", "write_sysctl",
]  # fmt: skip

NEWNET = 0x40000000  # CLONE_NEWNET, sched.h
RTM_NEWLINK, RTM_GETLINK, RTM_NEWADDR, RTM_NEWROUTE = 16, 18, 20, 24
OPER_UP = 6  # IF_OPER_UP, RFC 2863
REQUEST, ACK, EXCL, CREATE = 0x1, 0x4, 0x200, 0x400  # NLM_F_*
IFF_UP, IFA_F_NODAD = 0x1, 0x02


def _attr(kind: int, value: bytes | int) -> bytes:
    value = value if isinstance(value, bytes) else struct.pack("=I", value)
    return struct.pack("=HH", len(value) + 4, kind) + value + b"\0" * (-len(value) % 4)


def _ask(kind: int, flags: int, body: bytes) -> None:
    """Send one request to this thread's network namespace and wait for the kernel's verdict; raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.send(struct.pack("=IHHII", 16 + len(body), kind, REQUEST | ACK | flags, 1, 0) + body)
        (error,) = struct.unpack_from("=i", kernel.recv(65536), 16)  # struct nlmsgerr: 0, or a negative errno
    if error:
        raise OSError(-error, os.strerror(-error))


def _parse(interface: str) -> tuple[int, bytes, int]:
    """ "10.0.0.1/24" as (family, packed address, prefix length)."""
    address, prefix = interface.split("/")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return family, socket.inet_pton(family, address), int(prefix)


def _link(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, flags, change)  # struct ifinfomsg


def make_veth(name: str, peer: str, peer_namespace: int, mac: bytes, mtu: int) -> None:
    """Make a pair of cards: `name` here, `peer` (with address `mac`) in the namespace behind the descriptor."""
    far = _link() + _attr(3, peer.encode() + b"\0") + _attr(28, peer_namespace) + _attr(1, mac) + _attr(4, mtu)
    info = _attr(1, b"veth\0") + _attr(2, _attr(1, far))  # IFLA_INFO_KIND, IFLA_INFO_DATA(VETH_INFO_PEER)
    _ask(RTM_NEWLINK, CREATE | EXCL, _link() + _attr(3, name.encode() + b"\0") + _attr(4, mtu) + _attr(18, info))


def set_up(
    name: str, mac: bytes | None = None, mtu: int | None = None, queue: int | None = None, router_solicitations: bool = True
) -> None:
    """Bring a card up, with a MAC address, an MTU (bytes) and a transmit queue (frames) where given."""
    index, extra = socket.if_nametoindex(name), b""
    if mac:
        extra += _attr(1, mac)  # IFLA_ADDRESS
    if mtu:
        extra += _attr(4, mtu)  # IFLA_MTU
    if queue:
        extra += _attr(13, queue)  # IFLA_TXQLEN
    if extra:
        _ask(RTM_NEWLINK, 0, _link(index) + extra)
    if not router_solicitations:  # IFLA_AF_SPEC(AF_INET6(IFLA_INET6_ADDR_GEN_MODE = none)): no link-local address, no noise
        try:
            _ask(RTM_NEWLINK, 0, _link(index) + _attr(26, _attr(socket.AF_INET6, _attr(8, b"\1"))))
        except OSError:
            pass  # a kernel without IPv6 makes no IPv6 noise either
    _ask(RTM_NEWLINK, 0, _link(index, IFF_UP, IFF_UP))


def wait_until_up(name: str) -> None:
    """Wait until a card can send; raises OSError after 2 s.

    That the far end of a veth pair is up reaches the near end by a worker of the kernel (net/core/link_watch.c), which may be
    late.  Until then the card counts as up, and drops in silence what it is given.
    """
    index = socket.if_nametoindex(name)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.bind((0, 1))  # RTMGRP_LINK: hear of every change; then ask, and the answer is old or the change is heard
        kernel.settimeout(2)
        kernel.send(struct.pack("=IHHII", 32, RTM_GETLINK, REQUEST, 1, 0) + _link(index))
        state = None
        while state != OPER_UP:
            try:
                message, at = kernel.recv(65536), 32
            except TimeoutError:
                raise OSError(errno.ETIMEDOUT, f"the card {name} did not come up within 2 s") from None
            while at + 4 <= len(message) and struct.unpack_from("=4xi", message, 16) == (index,):
                length, kind = struct.unpack_from("=HH", message, at)
                if kind == 16:  # IFLA_OPERSTATE
                    state = message[at + 4]
                at += max(length + 3 & ~3, 4)


def add_address(name: str, interface: str) -> None:
    """Give a card an address with its prefix: "10.0.0.1/24"."""
    family, address, prefix = _parse(interface)
    body = struct.pack("=BBBBi", family, prefix, IFA_F_NODAD, 0, socket.if_nametoindex(name))
    _ask(RTM_NEWADDR, CREATE | EXCL, body + _attr(2, address) + _attr(1, address))  # IFA_LOCAL, IFA_ADDRESS


def add_route(network: str, via: str) -> None:
    """Send what is for `network` ("10.0.2.0/24", "0.0.0.0/0") to the router at `via`."""
    family, to, prefix = _parse(network)
    # struct rtmsg: family, prefix, source prefix, TOS, table main, protocol static, scope universe, type unicast, flags
    body = struct.pack("=BBBBBBBBI", family, prefix, 0, 0, 254, 4, 0, 1, 0)
    destination = _attr(1, to) if prefix else b""
    _ask(RTM_NEWROUTE, CREATE | EXCL, body + destination + _attr(5, socket.inet_pton(family, via)))  # RTA_DST, RTA_GATEWAY


def forward(name: str) -> None:
    """Let packets that arrive on this card go on to others: the netlink way of net.ipv4.conf.NAME.forwarding = 1."""
    forwarding = _attr(26, _attr(socket.AF_INET, _attr(1, _attr(1, 1))))  # IFLA_AF_SPEC(AF_INET(IFLA_INET_CONF(FORWARDING)))
    _ask(RTM_NEWLINK, 0, _link(socket.if_nametoindex(name)) + forwarding)


def no_offloads(name: str) -> None:
    """Make the kernel send what a plain card would: computed checksums, segments no longer than the MTU."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for command in (0x15, 0x17, 0x1F, 0x24, 0x2C):  # ETHTOOL_SRXCSUM, STXCSUM, STSO, SGSO, SGRO: linux/ethtool.h
            value = array("I", [command, 0])
            try:
                fcntl.ioctl(any_socket, 0x8946, struct.pack("16sP16x", name.encode(), value.buffer_info()[0]))  # SIOCETHTOOL
            except OSError:
                pass  # fixed for this card: nothing to turn off


def checked(result: int) -> int:
    """The result of a C call, or the OSError that its errno tells."""
    import ctypes

    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _path(name: str) -> str:
    return "/proc/sys/" + name.replace(".", "/")


def read_sysctl(name: str) -> str:
    """A kernel setting of this thread's network namespace, as text: read_sysctl("net.ipv4.ip_forward")."""
    with open(_path(name)) as file:
        return file.read().strip().replace("\t", " ")


def write_sysctl(name: str, value: int | str) -> None:
    """Change a kernel setting of this thread's network namespace; raises OSError where /proc/sys is read-only."""
    with open(_path(name), "w") as file:
        file.write(str(value))
