"""The protocols of this package, a line each: bytes are asked in this order what they are."""

from labs.decode import arp, dns, ethernet, http, http2, icmp, icmpv6, ipv4, ipv6, tcp, tls, udp, websocket
from labs.decode.protocol import register

__all__ = ["MODULES"]

MODULES = (ethernet, arp, ipv4, ipv6, icmp, icmpv6, tcp, udp, dns, tls, http2, websocket, http)
for module in MODULES:
    register(module.PROTOCOLS)
