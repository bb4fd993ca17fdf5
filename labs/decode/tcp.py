"""TCP, RFC 9293 §3.1, and its options.  Built in chapter 24-tcp-connection."""

from struct import unpack_from

from labs.decode.checksum import transport_verdict
from labs.decode.fields import DecodeError, Field, Layer
from labs.decode.protocol import Decoded, Protocol
from labs.decode.reading import EPHEMERAL, need, options, port_meaning
from labs.decode.tcp_words import words

__all__ = ["PROTOCOLS", "decode", "decode_quoted"]

SEE = "RFC 9293 §3.1"
BITS = (  # from the most significant bit of byte 13
    ("CWR", "congestion window reduced", "RFC 3168 §6.1"),
    ("ECE", "ECN echo: congestion was marked", "RFC 3168 §6.1"),
    ("URG", "the urgent pointer counts", SEE),
    ("ACK", "the acknowledgment number counts", SEE),
    ("PSH", "hand the data to the application now", SEE),
    ("RST", "reset: the connection is gone", SEE),
    ("SYN", "synchronize sequence numbers", SEE),
    ("FIN", "no more data from the sender", SEE),
)


def decode(raw: bytes, at: int, end: int, below: tuple[Layer, ...] = ()) -> Decoded:
    """A TCP header with its options."""
    need(at, end, 20, "a TCP header")
    offset, flags, window, checksum, urgent = unpack_from("!BBHHH", raw, at + 12)
    header = (offset >> 4) * 4
    if header < 20:
        raise DecodeError(f"a TCP header has at least 5 words; Data Offset says {offset >> 4}. The header is damaged or forged.")
    need(at, end, header, f"a TCP header of {offset >> 4} words")
    fields = [
        *_first_eight(raw, at, flags),
        _acknowledgment(raw, at + 8, flags),
        Field("Data Offset", offset >> 4, str(offset >> 4), f"header of {header} bytes", at + 12, 1, SEE, bits=(0, 4)),
        Field("Reserved", offset & 15, str(offset & 15), "must be zero", at + 12, 1, SEE, bits=(4, 4)),
    ]
    for bit, (name, meaning, see) in enumerate(BITS):
        value = flags >> (7 - bit) & 1
        fields.append(Field(name, value, str(value), meaning if value else "", at + 13, 1, see, bits=(bit, 1)))
    summed = transport_verdict(raw, at, end, below, 6, 16)
    scaled = "bytes" if flags & 2 else "bytes, times the sender's window scale"
    fields += [
        # Later windows follow the receiver's buffer, whose book-keeping depends on the card's driver.
        Field("Window", window, str(window), scaled, at + 14, 2, SEE, varies=not flags & 2),
        Field("Checksum", checksum, f"0x{checksum:04x}", summed, at + 16, 2, SEE, varies=True),
        Field("Urgent Pointer", urgent, str(urgent), "" if flags & 32 else "not in use", at + 18, 2, SEE),
    ]
    extra, error = options(raw, at + 20, at + header, SEE, _option)
    return Layer("TCP", 4, (*fields, *extra), at, header, end - at, error), "Application", at + header, end


def decode_quoted(raw: bytes, at: int, end: int, below: tuple[Layer, ...] = ()) -> Decoded:
    """As much of the header as an ICMP error quotes: by RFC 792 at least 8 bytes, which is enough to find the socket."""
    if end - at >= 20 and end - at >= (raw[at + 12] >> 4) * 4:
        return decode(raw, at, end, below)
    need(at, end, 8, "the quoted start of a TCP header")
    return Layer("TCP", 4, _first_eight(raw, at, 0), at, 8, end - at), "Data", at + 8, end


def _first_eight(raw, at, flags):
    sport, dport, seq = unpack_from("!HHI", raw, at)
    meaning = "initial sequence number" if flags & 2 else "number of the first byte of data"
    return (
        Field("Source Port", sport, str(sport), port_meaning(sport), at, 2, SEE, varies=sport in EPHEMERAL),
        Field("Destination Port", dport, str(dport), port_meaning(dport), at + 2, 2, SEE, varies=dport in EPHEMERAL),
        Field("Sequence Number", seq, str(seq), meaning, at + 4, 4, SEE, varies=True),
    )


def _acknowledgment(raw, at, flags):
    ack, counts = unpack_from("!I", raw, at)[0], bool(flags & 16)
    meaning = "number of the next byte expected" if counts else "not in use: ACK is not set"
    return Field("Acknowledgment Number", ack, str(ack), meaning, at, 4, SEE, varies=counts)


def _option(kind, data, at, length):
    """One option; one of an unexpected length is shown as an unknown one."""

    def field(name, value, text, meaning, see, varies=False):
        return Field(name, value, text, f"option {kind}{meaning}", at, length, see, varies=varies)

    if kind == 0:
        return field("End of Option List", 0, "", "", "RFC 9293 §3.2")
    if kind == 1:
        return field("No-Operation", 1, "", ": aligns the next option", "RFC 9293 §3.2")
    if kind == 2 and length == 4:
        mss, meaning = int.from_bytes(data, "big"), ": bytes of data that the sender can receive in one segment"
        return field("Maximum Segment Size", mss, str(mss), meaning, "RFC 9293 §3.7.1")
    if kind == 3 and length == 3:
        factor = 2 ** min(data[0], 14)  # RFC 7323 §2.3: more than 14 counts as 14
        return field("Window Scale", data[0], str(data[0]), f": window × {factor}", "RFC 7323 §2.2")
    if kind == 4 and length == 2:
        return field("SACK Permitted", True, "yes", "", "RFC 2018 §2")
    if kind == 5 and length % 8 == 2 and data:
        edges = unpack_from(f"!{len(data) // 4}I", data)
        blocks = tuple(zip(edges[::2], edges[1::2]))
        text = ", ".join(f"{left}–{right}" for left, right in blocks)
        return field("SACK", blocks, text, ": received beyond the gap; right edges not included", "RFC 2018 §3", True)
    if kind == 8 and length == 10:
        value, echo = unpack_from("!II", data)
        text, meaning = f"TSval {value}, TSecr {echo}", ": the sender's clock, and the last one it saw"
        return field("Timestamps", (value, echo), text, meaning, "RFC 7323 §3.2", True)
    if kind == 34 and (length == 2 or (6 <= length <= 18 and length % 2 == 0)):
        meaning = ": cookie that lets a SYN carry data" if data else ": asks for a cookie"
        return field("Fast Open Cookie", data, data.hex(" "), meaning, "RFC 7413 §4.1.1", bool(data))
    return field("Unknown Option", data, data.hex(" "), "", SEE)


PROTOCOLS = (Protocol("TCP", 4, decode, words=words, quoted=decode_quoted),)
