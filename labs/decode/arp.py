"""ARP, RFC 826: who has this address?  Chapter 09-osi-model meets it.

The packet says how long its addresses are, so that it fits any link and any protocol; on Ethernet with IPv4 it has 28 bytes.
"""

from ipaddress import IPv4Address
from struct import unpack_from

from labs.decode.fields import Field, Layer
from labs.decode.headers import Headers
from labs.decode.protocol import Decoded, Protocol
from labs.decode.reading import need

__all__ = ["PROTOCOLS", "decode", "words"]

SEE = "RFC 826, Packet format"
OPCODES = {1: "request", 2: "reply", 3: "reverse request", 4: "reverse reply", 8: "inverse request", 9: "inverse reply"}


def decode(raw: bytes, at: int, end: int, below: tuple[Layer, ...] = ()) -> Decoded:
    """An ARP packet with addresses of any length."""
    need(at, end, 8, "the fixed part of an ARP packet")
    hardware, protocol, hlen, plen, opcode = unpack_from("!HHBBH", raw, at)
    size = 8 + 2 * (hlen + plen)
    need(at, end, size, f"an ARP packet with addresses of {hlen} and {plen} bytes")
    fields = [
        Field("Hardware Type", hardware, str(hardware), "Ethernet" if hardware == 1 else "", at, 2, SEE),
        Field("Protocol Type", protocol, f"0x{protocol:04x}", "IPv4" if protocol == 0x0800 else "", at + 2, 2, SEE),
        Field("Hardware Address Length", hlen, str(hlen), "bytes", at + 4, 1, SEE),
        Field("Protocol Address Length", plen, str(plen), "bytes", at + 5, 1, SEE),
        Field("Opcode", opcode, str(opcode), OPCODES.get(opcode, ""), at + 6, 2, SEE),
    ]
    where = at + 8
    for side in ("Sender", "Target"):
        for kind, length in (("Hardware", hlen), ("Protocol", plen)):
            asked = opcode == 1 and side == "Target" and kind == "Hardware"
            if length:  # a length of 0 leaves no field to point at
                fields.append(
                    _address(f"{side} {kind} Address", raw[where : where + length], where, "what is asked for" if asked else "")
                )
            where += length
    return Layer("ARP", 2, tuple(fields), at, size, size), None, at + size, at + size


def _address(name, value, at, meaning):
    if "Protocol" in name and len(value) == 4:
        text = str(IPv4Address(value))
    else:
        text = value.hex(":")
    return Field(name, text, text, meaning, at, len(value), SEE)


def words(frame: Headers, past: dict | None = None, window: bool = False) -> tuple[str]:
    """ "who has 10.0.0.2?", "10.0.0.2 is at 02:00:00:00:00:02"."""
    if frame.arp_op is None:
        return ("header cut off",)
    if frame.src == frame.dst:
        return (f"announces {frame.src}",)  # RFC 5227 §3
    if frame.arp_op == 1:
        return (f"who has {frame.dst}?",)
    return (f"{frame.src} is at {frame.raw[22:28].hex(':')}" if frame.arp_op == 2 else f"operation {frame.arp_op}",)


PROTOCOLS = (Protocol("ARP", 2, decode, noun="ARP message", words=words),)
