"""The exercises of chapter 09-osi-model: reading, building and forwarding frames, byte by byte."""

from collections.abc import Callable
from typing import Any

from labs.captures.capture import Capture
from labs.decode import build, peel
from labs.decode.checksum import internet_checksum
from labs.decode.headers import PSH
from labs.lessons.exercise import Exercise, Feedback, close, done, missing
from labs.lessons.graders.tools import call

MACS = [bytes([2, 0, 0, 0, 0, n]) for n in range(6)]
CLIENT, ROUTER, SERVER = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 254]), bytes([10, 0, 1, 1])
SIXTY = 60  # bytes of the shortest Ethernet frame, without its check sequence


def packet(protocol: int, body: bytes, options: bytes = b"", ttl: int = 64, source: bytes = CLIENT) -> bytes:
    return build.ip(source, SERVER, protocol, body, ttl=ttl, identification=7, options=options)


def ethernet(kind: int, body: bytes, target: bytes = MACS[2]) -> bytes:
    return build.ethernet(MACS[1], target, kind, body)


def tcp(data: bytes = b"", options: bytes = b"") -> bytes:
    return build.tcp(40_000, 443, seq=1, ack=1, flags=PSH, window=500, options=options, data=data)


def udp(data: bytes) -> bytes:
    return build.udp(40_000, 53, data)


def padded(raw: bytes) -> bytes:
    return raw + bytes(max(SIXTY - len(raw), 0))


ROUTE = bytes([7, 7, 4, 0, 0, 0, 0, 0])  # Record Route with room for one address, and End of Option List: RFC 791 §3.1
ECHO = bytes([8, 0, 0, 0, 0, 1, 0, 1])  # RFC 792: type 8, code 0, checksum, identifier, sequence number
ARP = build.arp(1, MACS[1], CLIENT, MACS[2], ROUTER)[14:]


def samples() -> list[tuple[str, bytes, dict[str, tuple[int, int]]]]:
    """(what it is, the frame, the spans), from plain to odd."""

    def ip(what, protocol, name, header, data, options=b"", ending=lambda raw: raw):
        raw = ethernet(0x0800, packet(protocol, header + data, options))
        top = 34 + len(options)
        spans = {"Ethernet": (0, 14), "IPv4": (14, top)}
        if name:
            spans[name] = (top, top + len(header))
        if data:
            spans["data"] = (top + len(header), top + len(header) + len(data))
        return what, ending(raw), spans

    return [
        ip("a TCP segment with 31 bytes of data", 6, "TCP", tcp(options=bytes(12)), bytes(31)),
        ip("a TCP segment without data", 6, "TCP", tcp(options=bytes(20)), b""),
        ip("a UDP datagram", 17, "UDP", udp(bytes(101))[:8], bytes(101)),
        ip("an ICMP echo request", 1, "ICMP", ECHO, b"ping?"),
        ("an ARP request", ethernet(0x0806, ARP, b"\xff" * 6), {"Ethernet": (0, 14), "ARP": (14, 42)}),
        ip("a UDP datagram with IP options", 17, "UDP", udp(bytes(3))[:8], bytes(3), ROUTE, padded),
        ip("a TCP segment with IP options and TCP options", 6, "TCP", tcp(options=bytes(8)), bytes(700), ROUTE + bytes(24)),
        ip("a TCP acknowledgement, padded by the card", 6, "TCP", tcp(), b"", ending=padded),
        ip("one byte over UDP, padded by the card", 17, "UDP", udp(b"x")[:8], b"x", ending=padded),
        ("an ARP answer, padded by the card", padded(ethernet(0x0806, ARP)), {"Ethernet": (0, 14), "ARP": (14, 42)}),
        ip("IP protocol 253, which nobody knows", 253, None, b"", b"something"),
    ]


class Spans(Exercise):
    id = "09-spans"
    title = "Write spans_of(raw): where each layer of a frame begins and ends"
    expects = callable
    hints = (
        "EtherType, bytes 12 and 13, says what follows: 0x0800 is IPv4, 0x0806 is ARP (28 bytes).",
        "Two headers tell their own length in words of 4 bytes: IHL = raw[14] & 15, and TCP's Data Offset = raw[at + 12] >> 4.",
        "The data ends where IP's Total Length says (bytes 16 and 17, counted from byte 14). What is behind it is padding.",
    )
    WHY = {
        "IPv4": "IHL, the lower half of its first byte, counts words of 4 bytes",
        "TCP": "its Data Offset, the upper half of byte 12, counts words of 4 bytes",
        "data": "it begins behind the last header and ends where IP's Total Length says, not where the frame ends",
        "ARP": "an ARP packet for IPv4 over Ethernet has 28 bytes; what is behind it is padding",
        "UDP": "a UDP header has 8 bytes",
        "ICMP": "count 8 bytes as ICMP's header",
    }

    def grade(self, function: Callable) -> Feedback:
        cases = samples()
        for number, (what, raw, wanted) in enumerate(cases):
            got = call(function, raw, on=f"{what} ({len(raw)} bytes)", returns=dict)
            if odd := next((name for name, span in got.items() if not isinstance(span, (tuple, list))), None):
                return missing(f"spans_of should name each layer with (first, end); {odd!r} has {got[odd]!r}")
            fault = self.fault({name: tuple(span) for name, span in got.items()}, wanted)
            if fault:
                return close(f"{number} of {len(cases)} frames are right; the next is {what} ({len(raw)} bytes): {fault}")
        return done(f"{len(cases)} frames, every layer in its place")

    def fault(self, got: dict, wanted: dict) -> str:
        for name, span in wanted.items():
            if name not in got:
                return f"it has {name}, at {span[0]} to {span[1]}; yours does not name it"
            if got[name] != span:
                why = self.WHY.get(name)
                said = " to ".join(map(str, got[name]))
                return f"{name} is {span[0]} to {span[1]}, yours is {said}" + (f"; {why}" if why else "")
        extra = [name for name in got if name not in wanted]
        if extra:
            return f"it has no {extra[0]}, yours has one at {' to '.join(map(str, got[extra[0]]))}"
        return ""


def errors(raw: bytes) -> str:
    """What is wrong with a hand-made frame that should be an ICMP echo request, layer by layer, or ""."""
    layers = {layer.name: layer for layer in peel(raw)}
    broken = next((layer for layer in layers.values() if layer.error), None)
    if broken:
        return f"{broken.name} could not be read: {broken.error}"
    if "IPv4" not in layers:
        return f"EtherType 0x{int.from_bytes(raw[12:14], 'big'):04x} is not IPv4's 0x0800"
    ip = layers["IPv4"]
    if ip["Total Length"] != len(raw) - 14 and len(raw) > SIXTY:
        return f"IP's Total Length says {ip['Total Length']} bytes, the frame carries {len(raw) - 14}"
    if internet_checksum(raw[14 : 14 + ip.header]):
        return "IP's header checksum is wrong: add up the header with zeros in its place"
    if "ICMP" not in layers:
        return f"IP's Protocol {ip['Protocol']} is not ICMP's 1"
    icmp = layers["ICMP"]
    if (icmp["Type"], icmp["Code"]) != (8, 0):
        return f"ICMP type {icmp['Type']}, code {icmp['Code']} is not an echo request (8, 0)"
    if internet_checksum(raw[icmp.offset : 14 + ip["Total Length"]]):
        return "ICMP's checksum is wrong: it covers header and data, and nothing of IP"
    return ""


def by_hand(capture: Capture) -> list[Any]:
    """The frames that no card of a host sent: put on a wire by the notebook."""
    return [f for f in capture if f.sender not in capture.hosts]


def answers(capture: Capture, frame: Any) -> list[Any]:
    """The echo replies to this very request: same identifier, sequence number and data."""
    at = 14 + (frame.raw[14] & 15) * 4 + 4
    end = 14 + int.from_bytes(frame.raw[16:18], "big")
    asked = frame.raw[at:end]
    replies = [f for f in capture if f.number > frame.number and f.protocol == "ICMP" and f.icmp_type == 0]
    return [f for f in replies if f.src == frame.dst and f.raw[38 : 38 + len(asked)] == asked]


class ByHand(Exercise):
    id = "09-by-hand"
    title = "Hand in a capture in which the server answers an ICMP echo request that you put on the wire"
    expects = Capture
    hints = (
        "14 bytes of Ethernet: to, from, 0x0800. Then 20 of IP, 8 of ICMP, and your data.",
        'IP: struct.pack("!BBHHHBBH", 0x45, 0, length, 1, 0, 64, 1, 0) and both addresses (socket.inet_aton).',
        "Both checksums: pack with 0, compute checksum(…) of the chapter over it, and put it in. "
        "IP's covers its header, ICMP's covers header and data.",
    )

    def grade(self, capture: Capture) -> Feedback:
        made = by_hand(capture)
        if not made:
            sent = any(f.icmp_type == 8 for f in capture)
            why = "; the echo request came from a host's own kernel" if sent else ""
            return missing(f"no frame in it was put on the wire by hand{why}")
        found = [self.judge(capture, frame) for frame in made]
        return next((one for one in found if one.status == "done"), found[-1])

    def judge(self, capture: Capture, frame: Any) -> Feedback:
        if frame.protocol == "ARP":
            answered = any(f.arp_op == 2 and f.number > frame.number for f in capture)
            ended = ", and it was answered: layer 2 is right" if answered else ""
            return close(f"this is ARP{ended}. Now layer 3: an ICMP echo request")
        fault = errors(frame.raw)
        if fault:
            return close(f"your frame of {len(frame)} bytes: {fault}")
        hosts = {mac: host for host, _, mac, _ in capture.cards}
        owner = capture.names.get(frame.dst)
        if answers(capture, frame):
            return done(f"{len(frame)} bytes by hand, and {owner}'s kernel answered them")
        if owner is None:
            return close(f"no host here has the IP address {frame.dst}")
        if frame.dst_mac not in hosts:
            return close(f"no card here has the MAC address {frame.dst_mac}: the frame arrived, and nobody took it")
        if hosts[frame.dst_mac] != owner:
            return close(f"the frame is for {hosts[frame.dst_mac]}'s card, the packet for {owner}")
        if frame.src not in capture.names:
            return close(f"the answer would go to {frame.src}, and no host here has that IP address")
        return close("the frame is right, but the answer is not in this capture; let the wire settle before it ends")


class Through(Exercise):
    id = "09-through"
    title = "Hand in a capture in which your own echo request crosses the router and the server answers"
    expects = Capture
    hints = (
        "Two addresses, two questions: who is next on this wire, and who is the packet for in the end?",
        "The MAC address is that of the router's card on the first wire (net[\"r1\"].mac), the IP address is the server's.",
        "net.wires[0].socket() puts the frame on the first wire; settle() before the capture ends.",
    )

    def grade(self, capture: Capture) -> Feedback:
        if len({wire for _, wire, _, _ in capture.cards}) < 2:
            return missing('this network has one wire; take labs.network("client", labs.router("r1"), "server")')
        made = [f for f in by_hand(capture) if f.protocol != "ARP"]
        if not made:
            return missing("no frame in it was put on the wire by hand")
        frame = made[0]
        fault = errors(frame.raw)
        if fault:
            return close(f"your frame of {len(frame)} bytes: {fault}")
        owners = {mac: (host, wire) for host, wire, mac, _ in capture.cards}
        owner, wire = owners.get(frame.dst_mac, (None, None))
        if wire is not None and wire != frame.wire:
            where = f"the frame is addressed to {owner}'s MAC address, which is on the other wire"
            return close(f"{where}: nobody here took it. Who is next on *this* wire?")
        if owner is None:
            return close(f"no card on this wire has the MAC address {frame.dst_mac}")
        if capture.names.get(frame.dst) == owner:
            return close(f"the packet is for {owner} itself, so {owner} does not pass it on")
        inside = frame.raw[34 : 14 + int.from_bytes(frame.raw[16:18], "big")]
        crossed = [f for f in capture if f.wire != frame.wire and f.raw[34:] == inside]
        if not crossed:
            late = any(f.icmp_type == 11 for f in capture)
            return close("the router did not pass it on" + (": TTL was 1, and it said so (ICMP Time Exceeded)" if late else ""))
        if not [f for f in answers(capture, frame) if f.wire == frame.wire]:
            what = "your packet reached the second wire, but the answer is not on the first"
            return close(f"{what}: let the wires settle, and look at your source address")
        return done(f"TTL {frame.ttl} on the first wire, {crossed[0].ttl} on the second, and the answer came back")


class Forward(Exercise):
    id = "09-forward"
    title = "Write forward(raw, own_mac, next_mac): what a router does with a frame"
    expects = callable
    hints = (
        "What changes: both MAC addresses, TTL, and IP's checksum. All else is copied, options and padding too.",
        "Four reasons to return None: another card's MAC address, no IPv4, a wrong header checksum, a TTL that would become 0.",
        "checksum(header) of an undamaged header is 0. Compute the new one with zeros in its place, over IHL × 4 bytes.",
    )

    def grade(self, function: Callable) -> Feedback:
        own, after = (MACS[2], MACS[3]), MACS[4]
        plain = packet(17, udp(b"hello"))
        for what, body in (
            ("a UDP datagram", plain),
            ("a TCP segment with 1,000 bytes", packet(6, tcp(bytes(1000), bytes(12)))),
            ("a packet with IP options", packet(17, udp(b"abc"), ROUTE)),
            ("a packet whose new checksum carries over", carrying()),
            ("a packet of a protocol that nobody knows", packet(253, b"?")),
            ("a packet with TTL 2", packet(1, ECHO, ttl=2)),
        ):
            raw = ethernet(0x0800, body)
            got = call(function, raw, own, after, on=what, returns=(bytes, bytearray, type(None)))
            if got is None:
                if what == "a UDP datagram":
                    return missing("forward returned nothing for an ordinary frame; it should return the bytes that leave")
                return close(f"{what} should be passed on, yours returned None")
            fault = self.fault(raw, bytes(got), own, after)
            if fault:
                return close(f"{what}: {fault}")
        damaged = ethernet(0x0800, plain[:12] + b"\x0b" + plain[13:])
        for what, raw in (
            ("a frame for another card", ethernet(0x0800, plain, target=MACS[5])),
            ("an ARP request", ethernet(0x0806, ARP, target=MACS[2])),
            ("a packet with TTL 1", ethernet(0x0800, packet(17, udp(b"late"), ttl=1))),
            ("a packet with a damaged header", damaged),
        ):
            got = call(function, raw, own, after, on=what, returns=(bytes, bytearray, type(None)))
            if got is not None:
                return close(f"{what} must not be passed on, yours returned {len(got)} bytes")
        return done("good frames leave as a router sends them, the others stay")

    def fault(self, raw: bytes, got: bytes, own: tuple[bytes, bytes], after: bytes) -> str:
        """The first thing that a receiver would find wrong."""
        if len(got) != len(raw):
            return f"{len(raw)} bytes came in, yours returned {len(got)}"
        if (got[:6], got[6:12]) != (after, own[1]):
            if got[:6] == raw[:6]:
                return "the MAC addresses are still those of the first wire"
            return "the MAC addresses should be: to next_mac, from the leaving card (own_mac[1])"
        if got[22] != raw[22] - 1:
            return f"TTL should fall from {raw[22]} to {raw[22] - 1}, yours is {got[22]}"
        end = 14 + (raw[14] & 15) * 4
        if got[26:34] != raw[26:34]:
            return "the IP addresses must stay as they are"
        if internet_checksum(got[14:end]):
            if got[24:26] == raw[24:26]:
                return "IP's checksum is still the old one, and TTL has changed"
            return "IP's checksum is wrong; it covers the header with its options, with zeros in its own place"
        if got[12:24] != raw[12:22] + got[22:23] + raw[23:24] or got[26:] != raw[26:]:
            return "something else has changed; a router copies all that it need not change"
        return ""


def carrying() -> bytes:
    """A packet whose checksum lies so near to 0xFFFF that adding 0x0100 wraps round."""
    for number in range(70_000):
        body = packet(17, udp(bytes(number % 1400)), source=bytes([10, 0, number >> 8 & 255, number & 255]))
        if 0xFF00 <= int.from_bytes(body[10:12], "big") < 0xFFFF:
            return body
    raise ValueError("no such packet")
