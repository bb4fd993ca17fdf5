"""A frame, layer by layer, outermost first: each decoder reads one header and says which one comes next.

Where a decoder gives up, its layer carries the reason in `.error` and holds the bytes unread; so every byte of every frame
belongs to exactly one field, and `peel` has an answer for any bytes at all.
"""

from dataclasses import replace

from labs.decode import protocols  # noqa: F401  (makes them known)
from labs.decode.fields import DecodeError, Layer
from labs.decode.protocol import PROTOCOLS, Decoded, Protocol, carried
from labs.decode.reading import data_layer

__all__ = ["peel", "peel_application"]

QUOTED = " (quoted)"  # an ICMP error carries the start of the packet that caused it
DEEPEST = 32  # headers inside headers; real frames have about five, only a forged one has more


def peel(raw: bytes, first: str = "Ethernet") -> tuple[Layer, ...]:
    """The layers of a frame.  Never raises, whatever the bytes; `first` names the outermost header."""
    if first not in PROTOCOLS or not PROTOCOLS[first].decode:
        raise ValueError(f"expected one of {', '.join(PROTOCOLS)} as the first header; {first!r} came")
    return _peel(bytes(raw), first)


def peel_application(data: bytes, at: int = 0, first: str = "Application") -> tuple[Layer, ...]:
    """Plaintext of a TCP stream as HTTP, JSON or Data, with offsets that begin at `at`; `first`: what it is, where that is known.

    In TLS 1.3 plaintext and ciphertext line up byte for byte, so these layers can be laid over the record that hid them.
    """
    return tuple(_shift(layer, at) for layer in _peel(bytes(data), first)) if data else ()


def _peel(raw: bytes, first: str) -> tuple[Layer, ...]:
    layers = []
    todo: list[tuple[str, int, int, tuple[Layer, ...]]] = [(first, 0, len(raw), ())]  # what to decode next is at the end
    while todo:
        name, at, end, below = todo.pop()
        layer, inner, body, stop = _decode(raw, name, at, end, below)
        if layer.name == "Padding":  # it fills the frame, and nothing below it carries it as content
            layers = [replace(lower, length=min(lower.length, at - lower.offset)) for lower in layers]
        layers.append(layer)
        if stop < end:
            todo.append((_behind(layer, below), stop, end, below))
        if inner and (body < stop or inner.removesuffix(QUOTED) in PROTOCOLS):
            todo.append((inner, body, stop, (*below, layer)))
    return tuple(layers)


def _decode(raw: bytes, name: str, at: int, end: int, below: tuple[Layer, ...]) -> Decoded:
    """As a decoder, but for every name and without exceptions."""
    if name == "Application":
        name = _guess(raw, at, end, below)
    protocol = PROTOCOLS.get(plain := name.removesuffix(QUOTED))
    if protocol is None or not protocol.decode or len(below) >= DEEPEST:
        return _data(raw, name, at, end, below), None, end, end
    try:
        decode = protocol.quoted or protocol.decode if plain != name else protocol.decode
        layer, inner, body, stop = decode(raw, at, end, below)
    except DecodeError as error:
        undecoded = data_layer(raw, at, end, protocol.layer, error=str(error))
        return replace(undecoded, name=name), None, end, end
    if plain != name:
        layer = replace(layer, name=name)
        inner = inner + QUOTED if inner in PROTOCOLS else inner and "Data"
    return layer, inner, body, stop


def _guess(raw: bytes, at: int, end: int, below: tuple[Layer, ...]) -> str:
    """What a stream or a datagram carries here: by the look of it, and where bytes alone do not tell by the ports."""
    ports = [field.value for field in below[-1].fields[:2] if field.name.endswith("Port")] if below else []
    found = carried(raw, at, end, ports, bool(below) and _carrier(below).by_port)
    return found.name if found else "Data"


def _carrier(below: tuple[Layer, ...]) -> Protocol:
    return PROTOCOLS[below[-1].name.removesuffix(QUOTED)]


def _behind(layer: Layer, below: tuple[Layer, ...]) -> str:
    """What stands behind the end of `layer` in the bytes that were left for it."""
    if below and _carrier(below).pads:
        return "Padding"
    protocol = PROTOCOLS.get(layer.name)
    return protocol.behind(layer) if protocol else "Data"


def _data(raw: bytes, name: str, at: int, end: int, below: tuple[Layer, ...]) -> Layer:
    if name == "Padding":
        return data_layer(raw, at, end, 2, "Padding", "fills the frame up to Ethernet's 60 bytes", "RFC 894; IEEE 802.3 §4.2.3.3")
    echoes = bool(below) and _carrier(below).echoes
    carrier = below[-1] if below else Layer("", 4, (), 0, 0, 0)
    number = carrier.number if echoes else {2: 3, 3: 4}.get(carrier.number, 7)
    fragment = next((f for f in carrier.fields if f.name == "Fragment Offset" and f.value), None)
    meaning = "a later fragment: the header that it belongs to is in the first" if fragment else ""
    return data_layer(raw, at, end, number, meaning=meaning, varies=echoes)


def _shift(layer: Layer, by: int) -> Layer:
    fields = tuple(replace(field, offset=field.offset + by) for field in layer.fields)
    return replace(layer, fields=fields, offset=layer.offset + by)
