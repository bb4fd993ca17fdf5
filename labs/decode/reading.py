"""What every decoder does before it reads: ask whether the bytes are there; and how it writes bytes that it cannot name."""

from labs.decode.fields import DecodeError, Field, Layer

__all__ = ["data_layer", "need", "port_meaning", "preview"]

EPHEMERAL = range(32768, 61000)  # net.ipv4.ip_local_port_range of Linux: a client's port comes from here
SERVICES = {
    22: "SSH",
    25: "SMTP",
    53: "DNS",
    67: "DHCP server",
    68: "DHCP client",
    80: "HTTP",
    123: "NTP",
    443: "HTTPS",
    853: "DNS over TLS",
}


def need(at, end, size, what):
    """Raise DecodeError unless `size` bytes stand between `at` and `end`."""
    if end - at < size:
        raise DecodeError(f"{what} takes {size} bytes; {max(end - at, 0)} came. The frame is cut short, or a length is wrong.")


def preview(data, limit=32):
    """Bytes as people write them: quoted text where all is printable, else hexadecimal; cut after `limit` bytes."""
    head = data[:limit]
    more = f" … ({len(data)} bytes)" if len(data) > limit else ""
    if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head):
        return repr(head)[1:] + more  # b'GET /\r\n' → 'GET /\r\n'
    return head.hex(" ") + more


def port_meaning(port):
    """Who usually listens at this port, or that a kernel picked it."""
    return SERVICES.get(port, "ephemeral: chosen by the client's kernel" if port in EPHEMERAL else "")


def data_layer(raw, at, end, number, name="Data", meaning="", see="", error="", varies=False):
    """Bytes that have no header of their own: one layer of one field."""
    count = end - at
    meaning = meaning or f"{count} byte{'s' * (count != 1)}"
    fields = (Field(name, raw[at:end], preview(raw[at:end]), meaning, at, count, see, varies=varies),) if count else ()
    return Layer(name, number, fields, at, 0, count, error)
