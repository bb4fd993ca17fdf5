"""How the load generator reads an HTTP/1.1 response: as little of it as tells where it ends (RFC 9112 §6.3).

The generator must be much faster than the servers that it asks; `labs.decode.http1` is the reader that explains.
"""

__all__ = ["field", "parse"]


def parse(buffer: bytes) -> tuple[int, int, bytes, bool] | None:
    """The response that begins a buffer: (bytes, status, head, stays open), or None if it is not complete.

    A length of -1 says that it ends with the connection (RFC 9112 §6.3).  ValueError for what is no response.
    """
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        if len(buffer) > 65536:
            raise ValueError("a head of more than 64 KiB")
        return None
    head = bytes(buffer[:end]).lower()
    if not head.startswith(b"http/1."):
        raise ValueError("not an HTTP/1 response")
    status, open_after = int(head[9:12]), b"\r\nconnection: close" not in head
    at, length = end + 4, field(head, b"content-length")
    if head.startswith(b"http/1.0") and b"\r\nconnection: keep-alive" not in head:
        open_after = False
    if status < 200 or status in (204, 304):
        return at, status, head, open_after
    if length is not None:
        if not length.isdigit():
            raise ValueError("a length that is none")
        at += int(length)
        return (at, status, head, open_after) if len(buffer) >= at else None
    if b"chunked" not in (field(head, b"transfer-encoding") or b""):
        return -1, status, head, False
    while (line := buffer.find(b"\r\n", at)) >= 0:
        size = int(bytes(buffer[at:line]).split(b";")[0], 16)
        if size < 0:
            raise ValueError("a chunk of less than nothing")
        if not size:
            last = buffer.find(b"\r\n\r\n", line)
            return (last + 4, status, head, open_after) if last >= 0 else None
        at = line + 2 + size + 2
    return None


def field(head: bytes, name: bytes) -> bytes | None:
    """The value of a header field in a head in small letters; None if it has none."""
    at = head.find(b"\r\n" + name + b":")
    if at < 0:
        return None
    end = head.find(b"\r\n", at + 2)
    return head[at + len(name) + 3 : end if end >= 0 else len(head)].strip()
