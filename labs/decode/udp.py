"""UDP, RFC 768: two ports, a length, a checksum.  Chapter 08-introduction-to-protocols compares it with TCP."""

from struct import unpack_from

from labs.decode.checksum import transport_verdict
from labs.decode.fields import DecodeError, Field, Layer
from labs.decode.headers import Headers
from labs.decode.protocol import Decoded, Protocol
from labs.decode.reading import EPHEMERAL, amount, need, port_meaning

__all__ = ["PROTOCOLS", "decode", "words"]

SEE = "RFC 768, Format"


def decode(raw: bytes, at: int, end: int, below: tuple[Layer, ...] = ()) -> Decoded:
    """The 8 bytes of a UDP header; the data ends where Length says."""
    need(at, end, 8, "a UDP header")
    sport, dport, length, checksum = unpack_from("!HHHH", raw, at)
    if length < 8:
        raise DecodeError(f"UDP's Length covers its header of 8 bytes; {length} came. The header is damaged or forged.")
    stop = min(at + length, end)
    meaning = transport_verdict(raw, at, stop, below, 17, 6)
    if at + length > end and not meaning.startswith("not checked"):
        meaning = "not checked: bytes are missing"
    meaning = meaning.replace("0x0000", "0xffff")  # 0 is taken: it says that no sum was computed
    if checksum == 0:
        meaning = "not computed"
    fields = (
        Field("Source Port", sport, str(sport), port_meaning(sport), at, 2, SEE, varies=sport in EPHEMERAL),
        Field("Destination Port", dport, str(dport), port_meaning(dport), at + 2, 2, SEE, varies=dport in EPHEMERAL),
        Field("Length", length, str(length), f"header of 8 bytes and {length - 8} of data", at + 4, 2, SEE),
        Field("Checksum", checksum, f"0x{checksum:04x}", meaning, at + 6, 2, SEE, varies=True),
    )
    return Layer("UDP", 4, fields, at, 8, stop - at), "Application", at + 8, stop


def words(frame: Headers, past: dict | None = None, window: bool = False) -> tuple[str]:
    """How much it carries."""
    return ("header cut off" if frame.sport is None else amount(frame.payload_length),)


PROTOCOLS = (Protocol("UDP", 4, decode, noun="UDP datagram", words=words, by_port=True),)
