"""Names instead of numbers: "client:A" instead of 10.0.0.1:43716.

A kernel picks the port of a new client from the ephemeral range (Linux: net.ipv4.ip_local_port_range, 32768 to 60999), so the
number says nothing and differs in every run.  Names gives each such port a letter, per host, in order of appearance.
"""

from labs.captures.frame import Frame
from labs.decode.reading import EPHEMERAL, letters

from . import escape

__all__ = ["Names"]


class Names:
    """Symbolic endpoints for the frames of a capture (or a plain dict of address → host name).  Built in chapter 09-osi-model."""

    def __init__(self, cap: object):
        hosts = cap if isinstance(cap, dict) else getattr(cap, "names", None) or {}
        self._hosts = {str(address).lower(): escape.plain(name, 40) for address, name in hosts.items()}
        self._hosts |= {"ff:ff:ff:ff:ff:ff": "all", "255.255.255.255": "all"}
        self._endpoints, self._used = {}, {}

    def host(self, address: str | None) -> str:
        """The host that has this MAC or IP address; the address itself if no host is known to have it."""
        return self._hosts.get(address or "") or address or "?"

    def knows(self, address: str | None) -> bool:
        """True if a host is known to have this address."""
        return address in self._hosts

    def port(self, address: str | None, port: int | None, protocol: str = "TCP") -> str:
        """The port as text: a letter if it is ephemeral, otherwise its number."""
        return self.endpoint(address, port, protocol).rpartition(":")[2]

    def endpoint(self, address: str | None, port: int | None = None, protocol: str = "TCP") -> str:
        """ "server:80", "client:A"; without a port just the host."""
        if port is None:
            return self.host(address)
        key = address, port, protocol
        known = self._endpoints.get(key)
        if known is None:
            host, shown = self.host(address), str(port)
            if port in EPHEMERAL:
                used = self._used[host] = self._used.get(host, -1) + 1
                shown = letters(used)
            if ":" in host:
                host = f"[{host}]"  # RFC 3986 §3.2.2: an IPv6 address beside a port stands in brackets
            known = self._endpoints[key] = f"{host}:{shown}"
        return known

    def source(self, frame: Frame) -> str:
        """Who the frame says it is from, as its highest header that has an address says it."""
        if frame.src is not None and frame.protocol != "ARP":
            return self.endpoint(frame.src, frame.sport, frame.protocol)
        return self.host(frame.src_mac)

    def target(self, frame: Frame) -> str:
        """Whom the frame is for."""
        if frame.dst is not None and frame.protocol != "ARP":
            return self.endpoint(frame.dst, frame.dport, frame.protocol)
        return self.host(frame.dst_mac)
