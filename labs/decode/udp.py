"""UDP, RFC 768: two ports, a length, a checksum.  Built in the chapter on UDP."""

from struct import unpack_from

from labs.decode.checksum import transport_verdict
from labs.decode.fields import DecodeError, Field, Layer
from labs.decode.reading import EPHEMERAL, need, port_meaning

__all__ = ["decode"]

SEE = "RFC 768, Format"


def decode(raw, at, end, below=()):
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
    return Layer("UDP", 4, fields, at, 8, stop - at), "Data", at + 8, stop
