"""What the rest of the package knows of a protocol.

A protocol is one module of this room, which ends with its `Protocol`, and one line in labs.decode.protocols.  Peeling, ladders,
sentences, colours and dialogues ask here; none of them knows a protocol by its name.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from labs.decode.fields import Layer

__all__ = ["PROTOCOLS", "Decoded", "Protocol", "Unit", "carried", "known", "register"]

Decoded = tuple[Layer, str | None, int, int]  # the layer, the name of what it carries, where that begins, where it ends
PROTOCOLS: dict[str, "Protocol"] = {}  # by the name of its layers, in the order in which bytes are asked what they are


@dataclass(frozen=True, slots=True)
class Protocol:
    """One kind of header or message.  What is not needed is left out: a body has no noun, Ethernet no port."""

    name: str  # of its layers: "TLS record"
    layer: int  # OSI, 2 to 7; it gives the colour
    decode: Callable[..., Decoded] | None  # decode(raw, at, end, below); `below` carry it; raises DecodeError
    label: str = ""  # in a row of a ladder, if it is not the name: "TLS"
    noun: str = ""  # in a sentence: "DNS message"

    # What a ladder writes: words(frame, past) → (head, rest, …), see labs.views.frame_words.  `past` is for those that remember.
    words: Callable[..., tuple] = lambda frame, *_: ("",)

    # How it is recognised: by its first bytes; at these ports alone, if any; or by what hands a conversation over to it.
    begins: Callable[[bytes, int, int], bool] | None = None
    ports: tuple[int, ...] = ()
    handed_over_by: tuple[str, str] = ("", "")  # ("101", "websocket"), ("ALPN", "h2")

    # What it carries, and what stands behind it.
    by_port: bool = False  # what it carries is known by its ports, not by its looks
    behind: Callable[[Layer], str] = lambda layer: "Data"  # the name of what follows one message in the bytes that were left
    pads: bool = False  # short packets are filled up here
    echoes: bool = False  # data that nobody decodes is its own, and another run shows other bytes
    quoted: Callable[..., Decoded] | None = None  # decodes as much of it as an ICMP error quotes

    # What both sides of a stream say in it: units(up, down, ended) → (Units, what it hands over to, where up and down go on).
    units: Callable[[bytes, bytes, bool], tuple[list["Unit"], tuple[str, str], int, int]] | None = None


@dataclass(frozen=True, slots=True)
class Unit:
    """What one side says at once: an HTTP message, a WebSocket frame, a TLS record (OSI's word is protocol data unit)."""

    protocol: str  # the name of a Protocol
    side: str  # "client" or "server"
    offset: int  # of its first byte in that side's stream
    length: int  # bytes of it that are there
    words: str  # on one line; two spaces stand before what is less important
    kind: str = "message"  # or "request", "response"
    detail: Any = None  # what the protocol's own module made of it


def register(protocols: Iterable[Protocol]) -> None:
    """Make protocols known; one of the same name replaces an older one."""
    PROTOCOLS.update((protocol.name, protocol) for protocol in protocols)


def known(name: str) -> Protocol | None:
    """The protocol of a layer, or of a ladder's label; None if nobody knows it."""
    return PROTOCOLS.get(name) or next((one for one in PROTOCOLS.values() if one.label == name), None)


def carried(raw: bytes, at: int, end: int, ports: Iterable[int | None] = (), by_port: bool = False) -> Protocol | None:
    """The protocol that raw[at:end] begins with; by_port=True: of those alone that one of the ports is a sign of."""
    for one in PROTOCOLS.values():
        if one.begins and (not by_port or one.ports) and (not one.ports or any(port in one.ports for port in ports)):
            if one.begins(raw, at, end):
                return one
    return None
