"""Frames that labs.decode.build makes: scapy makes the same ones, byte by byte, checksums and all."""

import pytest
from scapy.config import conf

conf.verb = 0
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_RR  # noqa: E402
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6  # noqa: E402
from scapy.layers.l2 import ARP, Ether  # noqa: E402

from labs.decode import build, peel  # noqa: E402

A, B = "02:00:00:00:00:01", "02:00:00:00:00:02"
V4, V6 = ("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")
SYN = build.tcp_options(mss=1460, sack_permitted=True, timestamps=(7, 0), window_scale=7)
SYN_OF_SCAPY = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (7, 0)), ("NOP", None), ("WScale", 7)]
TWO = [("NOP", None), ("NOP", None)]


def over(addresses, protocol, message, **how):
    kind = build.IPV6 if ":" in addresses[0] else build.IPV4
    return build.ethernet(A, B, kind, build.ip(*addresses, protocol, message, **how))


def packet(addresses, **how):
    pair = dict(src=addresses[0], dst=addresses[1])
    return Ether(src=A, dst=B) / (IPv6(**pair, **how) if ":" in addresses[0] else IP(**pair, **{"flags": "DF", "id": 0, **how}))


@pytest.mark.parametrize("addresses", (V4, V6), ids=("IPv4", "IPv6"))
@pytest.mark.parametrize("data", (b"", b"x", b"even", bytes(range(256)) * 5, b"\xff" * 1401))
@pytest.mark.parametrize(
    "options, scapys",
    [
        (SYN, SYN_OF_SCAPY),
        (build.tcp_options(timestamps=(2**32 - 1, 5)), [*TWO, ("Timestamp", (2**32 - 1, 5))]),
        (build.tcp_options(sack_permitted=True), [("SAckOK", b""), *TWO]),
        (build.tcp_options(sack=[(5, 9), (20, 30)]), [*TWO, ("SAck", (5, 9, 20, 30))]),
        (b"", []),
    ],
)
def test_tcp(addresses, data, options, scapys):
    ours = build.tcp(40000, 80, seq=2**32 + 5, ack=2**32 - 1, flags=8, window=500, options=options, data=data)
    theirs = TCP(sport=40000, dport=80, seq=5, ack=2**32 - 1, flags="PA", window=500, options=scapys) / data
    assert over(addresses, build.TCP, ours) == bytes(packet(addresses) / theirs)


@pytest.mark.parametrize("addresses", (V4, V6), ids=("IPv4", "IPv6"))
@pytest.mark.parametrize("data", (b"", b"x", b"even", bytes(1400)))
def test_udp_and_echo(addresses, data):
    theirs = packet(addresses) / UDP(sport=40000, dport=53) / data
    assert over(addresses, build.UDP, build.udp(40000, 53, data)) == bytes(theirs)
    echo = packet(addresses) / (ICMP(type=8, id=1, seq=2) if addresses is V4 else ICMPv6EchoRequest(id=1, seq=2)) / data
    protocol, kind = (build.ICMP, 8) if addresses is V4 else (build.ICMPV6, 128)
    assert over(addresses, protocol, bytes([kind, 0, 0, 0, 0, 1, 0, 2]) + data) == bytes(echo)


def test_a_udp_sum_of_zero_is_sent_as_ffff():
    """RFC 768: a checksum that comes to zero is sent as all ones.  Two bytes of data make it come to anything."""
    plain = over(V4, build.UDP, build.udp(1, 2, b"\0\0"))
    zero = over(V4, build.UDP, build.udp(1, 2, plain[40:42]))
    assert zero[40:42] == b"\xff\xff" and zero == bytes(packet(V4) / UDP(sport=1, dport=2) / plain[40:42])


def test_ip_options_and_unknown_protocols():
    route = bytes([7, 7, 4, 0, 0, 0, 0, 0])  # RFC 791 §3.1: Record Route, one address
    made = over(V4, build.UDP, build.udp(1, 2, b"abc"), options=route, ttl=2, tos=0xC0, identification=9, dont_fragment=False)
    wanted = (
        packet(V4, ttl=2, tos=0xC0, id=9, flags=0, options=[IPOption_RR(routers=["0.0.0.0"])]) / UDP(sport=1, dport=2) / b"abc"
    )
    assert made == bytes(wanted)
    assert over(V6, 253, b"?", tos=0xC1, ttl=1) == bytes(packet(V6, nh=253, tc=0xC1, hlim=1) / b"?")
    assert over(V4, 253, b"?") == bytes(packet(V4, proto=253) / b"?")
    assert over(V4, build.TCP, b"cut") == bytes(packet(V4, proto=6) / b"cut")


def test_arp():
    asked = Ether(src=A, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=A, psrc=V4[0], hwdst="00:00:00:00:00:00", pdst=V4[1])
    assert build.arp(1, A, V4[0], B, V4[1]) == bytes(asked)
    answered = Ether(src=B, dst=A) / ARP(op=2, hwsrc=B, psrc=V4[1], hwdst=A, pdst=V4[0])
    assert build.arp(2, B, V4[1], A, V4[0]) == bytes(answered)


@pytest.mark.parametrize("addresses", (V4, V6), ids=("IPv4", "IPv6"))
def test_sealed(addresses):
    """What was changed by hand gets the lengths and sums of what was built so; a fragment keeps its message's sum."""
    for protocol, make in ((build.TCP, lambda data: build.tcp(1, 2, data=data)), (build.UDP, lambda data: build.udp(1, 2, data))):
        short, long = (over(addresses, protocol, make(data)) for data in (b"short", b"a longer one"))
        assert build.sealed(short[:-5] + b"a longer one") == long and build.sealed(long) == long
        assert "wrong" not in "".join(field.meaning for layer in peel(long) for field in layer.fields)
    fragment = bytearray(over(V4, build.UDP, build.udp(1, 2, b"first part")))
    fragment[20:22] = b"\x20\0"  # More Fragments
    assert build.sealed(bytes(fragment))[34:] == fragment[34:]


def test_bytes_do_as_addresses():
    mac, address = bytes([2, 0, 0, 0, 0, 1]), bytes([10, 0, 0, 1])
    assert build.ethernet(mac, B, build.IPV4, b"") == build.ethernet(A, B, build.IPV4, b"")
    assert build.ip(address, bytes([10, 0, 0, 2]), 6, b"") == build.ip(*V4, 6, b"")
