"""A frame, layer by layer, outermost first: each decoder reads one header and says which one comes next.

Where a decoder gives up, its layer carries the reason in `.error` and holds the bytes unread; so every byte of every frame
belongs to exactly one field, and `peel` has an answer for any bytes at all.
"""

from dataclasses import replace

from labs.decode import arp, ethernet, http, icmp, icmpv6, ipv4, ipv6, tcp, tls, udp
from labs.decode.fields import DecodeError, Layer
from labs.decode.reading import data_layer

__all__ = ["peel", "peel_application"]

# name: (OSI layer, decoder).  decode(raw, at, end, below) → (layer, name of what it carries, where that begins, where it ends);
# `below` are the layers that carry this one, because TCP's checksum covers IP's addresses.
DECODERS = {
    "Ethernet": (2, ethernet.decode),
    "802.1Q": (2, ethernet.decode_tag),
    "ARP": (2, arp.decode),
    "IPv4": (3, ipv4.decode),
    "IPv6": (3, ipv6.decode),
    "IPv6 Hop-by-Hop Options": (3, ipv6.decode_hop_by_hop),
    "IPv6 Destination Options": (3, ipv6.decode_destination),
    "IPv6 Routing": (3, ipv6.decode_routing),
    "IPv6 Fragment": (3, ipv6.decode_fragment),
    "ICMP": (3, icmp.decode),
    "ICMPv6": (3, icmpv6.decode),
    "TCP": (4, tcp.decode),
    "UDP": (4, udp.decode),
    # RFC 8446 knows no OSI layers, nor does TCP/IP have a sixth: the course files TLS here because it changes the representation.
    "TLS record": (6, tls.decode),
    "HTTP": (7, http.decode),
    "HTTP chunk": (7, http.decode_chunk),
    "JSON": (7, http.decode_json),
}
LINK = ("Ethernet", "802.1Q")
QUOTED = " (quoted)"  # an ICMP error carries the start of the packet that caused it
DEEPEST = 32  # headers inside headers; real frames have about five, only a forged one has more


def peel(raw, first="Ethernet"):
    """The layers of a frame.  Never raises, whatever the bytes; `first` names the outermost header."""
    if first not in DECODERS:
        raise ValueError(f"expected one of {', '.join(DECODERS)} as the first header; {first!r} came")
    return _peel(bytes(raw), first)


def peel_application(data, at=0):
    """Plaintext of a TCP stream as HTTP, JSON or Data, with offsets that begin at `at`.

    In TLS 1.3 plaintext and ciphertext line up byte for byte, so these layers can be laid over the record that hid them.
    """
    return tuple(_shift(layer, at) for layer in _peel(bytes(data), "Application")) if data else ()


def _peel(raw, first):
    layers = []
    todo = [(first, 0, len(raw), ())]  # what to decode next is at the end
    while todo:
        name, at, end, below = todo.pop()
        layer, inner, body, stop = _decode(raw, name, at, end, below)
        if layer.name == "Padding":  # it fills the frame, and nothing below it carries it as content
            layers = [replace(lower, length=min(lower.length, at - lower.offset)) for lower in layers]
        layers.append(layer)
        if stop < end:
            todo.append((_behind(layer, below), stop, end, below))
        if inner and (body < stop or inner.removesuffix(QUOTED) in DECODERS):
            todo.append((inner, body, stop, (*below, layer)))
    return tuple(layers)


def _decode(raw, name, at, end, below):
    """As a decoder, but for every name and without exceptions."""
    if name == "Application":
        name = _guess(raw, at, end)
    plain = name.removesuffix(QUOTED)
    if plain not in DECODERS or len(below) >= DEEPEST:
        return _data(raw, name, at, end, below), None, end, end
    number, decode = DECODERS[plain]
    try:
        if plain != name and plain == "TCP":
            decode = tcp.decode_quoted
        layer, inner, body, stop = decode(raw, at, end, below)
    except DecodeError as error:
        undecoded = data_layer(raw, at, end, number, error=str(error))
        return replace(undecoded, name=name), None, end, end
    if plain != name:
        layer = replace(layer, name=name)
        inner = inner + QUOTED if inner in DECODERS else inner and "Data"
    return layer, inner, body, stop


def _guess(raw, at, end):
    """What a TCP stream carries here, by the look of it: ports are only a habit."""
    for name, module in (("TLS record", tls), ("HTTP", http)):
        if module.begins(raw, at, end):
            return name
    return "JSON" if http.is_json(raw[at:end]) else "Data"


def _behind(layer, below):
    """What stands behind the end of `layer` in the bytes that were left for it."""
    if layer.name in ("TLS record", "HTTP"):
        return "Application"  # a stream: the next record or message
    if layer.name == "HTTP chunk":
        return "HTTP chunk" if layer["Chunk Size"] else "Application"
    return "Padding" if below and below[-1].name in LINK else "Data"


def _data(raw, name, at, end, below):
    if name == "Padding":
        return data_layer(raw, at, end, 2, "Padding", "fills the frame up to Ethernet's 60 bytes", "RFC 894; IEEE 802.3 §4.2.3.3")
    carrier = below[-1] if below else Layer("", 4, (), 0, 0, 0)
    number = 3 if carrier.name.startswith("ICMP") else {2: 3, 3: 4}.get(carrier.number, 7)
    fragment = next((f for f in carrier.fields if f.name == "Fragment Offset" and f.value), None)
    meaning = "a later fragment: the header that it belongs to is in the first" if fragment else ""
    return data_layer(raw, at, end, number, meaning=meaning, varies=carrier.name.startswith("ICMP"))  # ping puts the clock there


def _shift(layer, by):
    fields = tuple(replace(field, offset=field.offset + by) for field in layer.fields)
    return replace(layer, fields=fields, offset=layer.offset + by)
