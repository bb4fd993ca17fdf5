"""Which link carries the frames on this machine: the best one that works, by trying.

tap: a user namespace and /dev/net/tun.  veth: a user namespace.  relay: nothing; programs' bytes are live, layers 2 to 4 are
redrawn.  recording: nothing; what the cells did elsewhere is shown.  LABS_LINK=tap, veth, relay or recording forces one.
"""

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from labs.errors import LabError
from labs.network.channel import LabProcess
from labs.network.host import Host
from labs.network.topology import plan

__all__ = ["LINKS", "Link", "choose", "make_plan", "named", "why_not"]

# What may be otherwise a moment later; 0: it did not answer in time.
PASSING = {0, errno.EAGAIN, errno.EINTR, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC}


@dataclass
class Link:
    """A way to carry a network's frames; everything that depends on which one it is asks it here."""

    name: str
    shows: str  # what the first line of a chapter says of it
    offers: str  # and the doctor
    origin: str  # what captures made on it say that they are
    module: str = ""  # the kernel's module that makes its cards: with it, wires and kernels of its own, all that a cell may want
    live: bool = True  # it carries something; else there are only recordings
    tried: str | None = field(default=None, repr=False)  # as why_not() says, once that is certain to stay so

    @property
    def whole(self) -> bool:
        return bool(self.module)

    def try_now(self) -> tuple[str, bool]:
        """(Why this machine cannot do it, "" if it can; whether that will stay so.)"""
        return "", True

    def why_not(self) -> str:
        """Why this machine cannot carry frames over this link: "" if it can.  Tried once, if that told something lasting."""
        if self.tried is not None:
            return self.tried
        why, lasts = self.try_now()
        if lasts:
            self.tried = why
        return why

    def make(self, plan: dict) -> tuple[Any, type[Host]]:
        """(What carries a network made to this plan, the class of its hosts.)  OSError or LabError where that cannot be."""
        reasons = "; ".join(f"{link.name}: {link.why_not()}" for link in LINKS if link.whole)
        raise LabError(f"this machine has no live network ({reasons}); labs.doctor() says more")


class Namespaces(Link):
    """Hosts with kernels of their own, on a cable that a lab process is."""

    def try_now(self) -> tuple[str, bool]:
        """Make two hosts and let them go (about 50 ms)."""
        if not hasattr(os, "memfd_create"):
            return "it needs Linux", True
        try:
            self.make(make_plan(["client", "server"], self.name))[0].close()
        except OSError as e:
            return e.strerror or str(e), (e.errno or 0) not in PASSING
        return "", True

    def make(self, plan: dict) -> tuple[LabProcess, type[Host]]:
        return LabProcess(plan), Host


class Relayed(Link):
    """Hosts that are names, and a relay that passes on what they say to each other."""

    def make(self, plan: dict) -> tuple[Any, type[Host]]:
        from labs.network.relay import Relay, RelayHost  # late: only machines without namespaces need it

        return Relay(plan), RelayHost


LINKS = (  # from the best down
    Namespaces(
        "tap", "two real TCP/IP stacks, every frame passes the lab's cable",
        "real TCP/IP stacks; the lab is the cable between them", "live, tap", module="tun",
    ),
    Namespaces(
        "veth", "two real TCP/IP stacks, captured at both ends of a kernel cable",
        "real TCP/IP stacks; the lab joins two cables of the kernel", "live, veth", module="veth",
    ),
    Relayed(
        "relay", "your programs' bytes are live, layers 2 to 4 redrawn; what needs more is recorded, marked so",
        "your programs' bytes live; layers 2 to 4 redrawn, or recorded", "layers 5 to 7 live, below redrawn",
    ),
    Link(
        "recording", "no live network here; live cells are recordings, marked so",
        "what live cells showed when the course was recorded", "recorded", live=False,
    ),
)  # fmt: skip


def named(name: str) -> Link:
    """The link of that name; ValueError for others."""
    for link in LINKS:
        if link.name == name:
            return link
    *others, last = (repr(link.name) for link in LINKS if link.live)
    raise ValueError(f"expected link={', '.join(others)} or {last}, got {name!r}")


def why_not(name: str) -> str:
    """Why this machine cannot carry frames over the link of that name: "" if it can."""
    return named(name).why_not()


def choose() -> str:
    """The name of the link to use: as LABS_LINK says, else the best that works here.

    A link that failed for a reason that may have passed is tried again the next time: a machine that was busy, say.
    """
    wanted = os.environ.get("LABS_LINK", "")
    if not wanted:
        return next(link.name for link in LINKS if not link.why_not())
    if wanted not in (link.name for link in LINKS):
        raise LabError(f"expected LABS_LINK to be one of {', '.join(link.name for link in LINKS)}, got {wanted!r}")
    if reason := why_not(wanted):
        raise LabError(f"LABS_LINK={wanted} was asked for, but this machine cannot: {reason}; labs.doctor() says more")
    return wanted


def make_plan(
    row: Sequence, link: str, mtu: int | Sequence[int] = 1500, ipv6: bool = False, wire: dict | None = None,
    log_limit: int = 256 << 20,
) -> dict:  # fmt: skip
    """The whole plan that the lab process builds."""
    hosts = plan(row, mtu, ipv6)
    return {"hosts": hosts, "link": link, "ipv6": ipv6, "wire": wire or {}, "log_limit": log_limit}
