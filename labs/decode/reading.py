"""What every decoder does before it reads: ask whether the bytes are there; and how it writes bytes that it cannot name."""

from collections.abc import Callable

from labs.decode.fields import DecodeError, Field, Layer

__all__ = ["EPHEMERAL", "amount", "data_layer", "letters", "need", "options", "port_meaning", "preview", "told"]

# A client's port comes from here: net.ipv4.ip_local_port_range of Linux; RFC 6335 §6 would begin at 49152.
EPHEMERAL = range(32768, 61000)
WORDS = 48  # characters of a body that fit on a line
SERVICES = {
    22: "SSH", 25: "SMTP", 53: "DNS", 67: "DHCP server", 68: "DHCP client", 80: "HTTP", 123: "NTP", 443: "HTTPS",
    853: "DNS over TLS",
}  # fmt: skip


def need(at: int, end: int, size: int, what: str) -> None:
    """Raise DecodeError unless `size` bytes stand between `at` and `end`."""
    if end - at < size:
        raise DecodeError(f"{what} takes {amount(size)}; {max(end - at, 0)} came. The frame is cut short, or a length is wrong.")


def preview(data: bytes, limit: int = 32) -> str:
    """Bytes as people write them: quoted text where all is printable, else hexadecimal; cut after `limit` bytes."""
    head = data[:limit]
    more = f" … ({len(data)} bytes)" if len(data) > limit else ""
    if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head):
        return repr(head)[1:] + more  # b'GET /\r\n' → 'GET /\r\n'
    return head.hex(" ") + more


def amount(number: int) -> str:
    """ "1 byte", "1500 bytes"."""
    return "1 byte" if number == 1 else f"{number} bytes"


def told(body: bytes) -> str:
    """A body on a line: itself if it is short enough, else its size."""
    text = " ".join(body.decode("utf-8", "replace").split())
    return text if len(text) <= WORDS else f"{len(body):,} bytes"


def letters(index: int) -> str:
    """0 → "A", 25 → "Z", 26 → "AA", as columns of a spreadsheet: what stands for the ephemeral ports."""
    text = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        text = chr(65 + rest) + text
    return text


def port_meaning(port: int) -> str:
    """Who usually listens at this port, or that a kernel picked it."""
    return SERVICES.get(port, "ephemeral: chosen by the client's kernel" if port in EPHEMERAL else "")


def data_layer(
    raw: bytes, at: int, end: int, number: int, name: str = "Data", meaning: str = "", see: str = "", error: str = "",
    varies: bool = False,
) -> Layer:  # fmt: skip
    """Bytes that have no header of their own: one layer of one field."""
    count = end - at
    meaning = meaning or amount(count)
    fields = (Field(name, raw[at:end], preview(raw[at:end]), meaning, at, count, see, varies=varies),) if count else ()
    return Layer(name, number, fields, at, 0, count, error)


def options(raw: bytes, at: int, end: int, see: str, one: Callable[[int, bytes, int, int], Field]) -> tuple[list[Field], str]:
    """The options of an IPv4 or TCP header, each as one(kind, data, at, length) gives it, and what was wrong with them.

    Kind 0, the end of the list, and kind 1, which only pads, stand alone; all others carry their length.
    """
    fields = []
    while at < end:
        kind = raw[at]
        length = 1 if kind < 2 else raw[at + 1] if at + 1 < end else 0
        if kind > 1 and (length < 2 or at + length > end):
            fields.append(Field("Malformed Options", raw[at:end], raw[at:end].hex(" "), "not read", at, end - at, see))
            return fields, f"option {kind} claims {length} bytes; 2 to {end - at} fit here. The header is damaged or forged."
        fields.append(one(kind, raw[at + 2 : at + length], at, length))
        at += length
        if kind == 0 and at < end:
            fields.append(Field("Padding", raw[at:end], raw[at:end].hex(" "), "to a whole word", at, end - at, see))
            break
    return fields, ""
