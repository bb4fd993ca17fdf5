"""Which link carries the frames on this machine: the best one that works, tried once.

tap: a user namespace and /dev/net/tun.  veth: a user namespace.  relay: nothing; programs' bytes are live, layers 2 to 4 are
redrawn.  loopback: CAP_NET_RAW; a relay, and the frames that `lo` carried besides.  recording: nothing; what the cells did
elsewhere is shown.  LABS_LINK=tap, veth, loopback, relay or recording forces one.
"""

import functools
import os

from labs.errors import LabError
from labs.network.channel import LabProcess
from labs.network.topology import plan

__all__ = ["LINKS", "choose", "make_plan", "why_not"]

LINKS = ("tap", "veth", "loopback", "relay", "recording")


def make_plan(row, link, mtu=1500, ipv6=False, wire=None, log_limit=256 << 20):
    """The whole plan that the lab process builds."""
    hosts = plan(row, mtu, ipv6)
    return {"hosts": hosts, "link": link, "ipv6": ipv6, "wire": wire or {}, "log_limit": log_limit}


@functools.cache
def why_not(link):
    """Why this machine cannot carry frames over `link`: "" if it can.  Makes two hosts and lets them go (about 50 ms)."""
    if link in ("relay", "recording"):
        return ""
    if link == "loopback":
        from labs.network import loopback  # late: it is the third choice

        return loopback.why_not()
    if not hasattr(os, "memfd_create"):
        return "it needs Linux"
    try:
        LabProcess(make_plan(["client", "server"], link)).close()
    except OSError as e:
        return e.strerror or str(e)
    return ""


@functools.cache
def choose():
    """The link to use: as LABS_LINK says, else the best that works here."""
    wanted = os.environ.get("LABS_LINK", "")
    if wanted and wanted not in LINKS:
        raise LabError(f"expected LABS_LINK to be one of {', '.join(LINKS)}, got {wanted!r}")
    if wanted:
        if reason := why_not(wanted):
            raise LabError(f"LABS_LINK={wanted} was asked for, but this machine cannot: {reason}; labs.doctor() says more")
        return wanted
    return next(link for link in LINKS if not why_not(link))
