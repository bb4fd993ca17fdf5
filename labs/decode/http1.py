"""The HTTP/1.1 messages of a stream: who asked what, and what came back (RFC 9112), read by h11.

    for message in messages(stream):
        message.side, message.method, message.status, message.body

h11 is the state machine with which httpx speaks HTTP/1.1; here two of them listen to both sides of a conversation that is over.
`labs.decode.http` explains single frames; this reads whole messages, however many frames carried them.
Chapter 02-polling uses it.
"""

from dataclasses import dataclass
from typing import Any

from labs.decode.protocol import Unit
from labs.decode.reading import told

__all__ = ["Message", "exchange", "messages", "units"]

PIECE = 1 << 16  # bytes given to h11 at a time


@dataclass(frozen=True, slots=True)
class Message:
    """A request or a response, with its place in the stream of the side that sent it."""

    side: str  # "client" or "server"
    offset: int  # of its first byte in that side's stream
    head: int  # bytes up to and with the empty line
    length: int  # bytes in all, chunk sizes included
    headers: tuple  # ((name, value), …) as text, names in lower case (RFC 9110 §5.1: their case does not matter)
    body: bytes = b""  # without chunk sizes
    method: str = ""  # of a request, or of the request that this answers
    target: str = ""
    status: int = 0  # of a response; 0 in a request
    reason: str = ""
    version: str = "1.1"
    complete: bool = True  # its end was seen
    error: str = ""  # what was wrong with the bytes, if anything

    def __getitem__(self, name: str) -> str:
        """The value of a header field; KeyError if it is not there.  Several of one name are joined by ", " (RFC 9110 §5.3)."""
        values = [value for one, value in self.headers if one == name.lower()]
        if not values:
            raise KeyError(f"this message has no header field {name!r}; it has {', '.join(dict(self.headers))}")
        return ", ".join(values)

    def __repr__(self):
        what = f"{self.status} {self.reason}".rstrip() if self.status else f"{self.method} {self.target}"
        cut = f"; {self.error}" if self.error else "" if self.complete else "; its end is not in the capture"
        return f"{what}, {len(self.body)} bytes of body{cut}"


def messages(stream: Any) -> list[Message]:
    """All messages of a stream in the order of the conversation: each request, then what answers it.  Never raises.

    Where bytes are not HTTP/1.1 the last message of that side has `error`; where the capture ends, `complete` is False.
    """
    return exchange(stream.sent("client"), stream.sent("server"), bool(stream.ended("server")))


def exchange(up: bytes, down: bytes, down_ended: bool = True) -> list[Message]:
    """The messages in `up`, what the client sent, and `down`, what the server sent; the same as `messages` for plain bytes."""
    import h11

    found, at = [], 0
    for request in _requests(up):
        found.append(request)
        if request.error or not request.method:
            break
        final = False
        while at < len(down) and not final:
            answer, after = _read(down, at, "server", h11.CLIENT, request, down_ended)
            found.append(answer)
            at, final = after, answer.status >= 200 or answer.status == 101 or bool(answer.error)
        if found[-1].error or found[-1].status == 101 or (request.method == "CONNECT" and 200 <= found[-1].status < 300):
            break  # what follows is not HTTP/1.1, or cannot be told apart
    return found


def units(up: bytes, down: bytes, ended: bool = True) -> tuple[list[Unit], tuple[str, str], int, int]:
    """The messages of both sides, and to whom a 101 hands over what follows (RFC 9110 §7.8)."""
    found, over, at = [], ("", ""), {"client": 0, "server": 0}
    for one in exchange(up, down, ended):
        at[one.side] = one.offset + one.length
        head = f"{one.status} {one.reason}" if one.status else f"{one.method} {one.target}"
        head = head if one.head else one.error or "cut off"
        kind = "response" if one.status else "request"
        found.append(Unit("HTTP", one.side, one.offset, one.length, f"{head}  {told(one.body)}".strip(), kind, one))
        if one.status == 101 and "upgrade" in dict(one.headers):
            over = "101", one["upgrade"].lower()
        elif one.method == "CONNECT" and 200 <= one.status < 300:
            over = "CONNECT", one.target  # a tunnel: anything may follow (RFC 9110 §9.3.6)
    return found, over, at["client"], at["server"]


def _requests(up):
    import h11

    at = 0
    while at < len(up):
        request, at = _read(up, at, "client", h11.SERVER, None, False)
        yield request
        if request.error or not request.complete:
            return


def _read(data, at, side, role, request, ended):
    """One message that begins at `at`: (Message, where the next one begins)."""
    import h11

    machine, given = h11.Connection(role), at
    if request:
        _pretend(machine, request)
    first, head, body, complete, error = None, 0, [], False, ""
    place = lambda: given - len(machine.trailing_data[0])  # how far h11 has read
    try:
        while True:
            event = machine.next_event()
            if event is h11.NEED_DATA:
                if given == len(data):
                    if not ended or first is None:
                        break
                    machine.receive_data(b"")  # the end of the connection ends a response without a length (RFC 9112 §6.3)
                    ended = False
                else:
                    machine.receive_data(data[given : given + PIECE])
                    given = min(given + PIECE, len(data))
            elif isinstance(event, (h11.Request, h11.Response)):
                first, head = event, place() - at
                if isinstance(event, h11.Response) and (
                    event.status_code == 101 or request.method == "CONNECT" and event.status_code < 300
                ):
                    complete = True
                    break
            elif isinstance(event, h11.InformationalResponse):
                first, head, complete = event, place() - at, True
                break
            elif isinstance(event, h11.Data):
                body.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                complete = True
                break
            else:  # paused or closed: nothing of this message follows
                break
    except h11.RemoteProtocolError as problem:
        error = str(problem)
    after = place() if complete else len(data)
    return _message(side, at, after, head, first, b"".join(body), complete, error, request), after


def _pretend(machine, request):
    """Let h11 believe that it sent the request: what a response may carry depends on it (RFC 9112 §6.3)."""
    import h11

    headers = [("Host", "labs")] + ([("Connection", "Upgrade"), ("Upgrade", "any")] if "upgrade" in dict(request.headers) else [])
    machine.send(h11.Request(method=request.method, target="/", headers=headers))
    machine.send(h11.EndOfMessage())


def _message(side, at, after, head, event, body, complete, error, request):
    text = lambda data: bytes(data).decode("latin-1")
    asked = {"method": request.method, "target": request.target} if request else {}
    if event is None:
        return Message(side, at, head, after - at, (), b"", **asked, complete=False, error=error)
    headers = tuple((text(name), text(value)) for name, value in event.headers)
    how = {"version": text(event.http_version), "complete": complete, "error": error}
    if request:
        return Message(
            side, at, head, after - at, headers, body, **asked, status=event.status_code, reason=text(event.reason), **how
        )
    return Message(side, at, head, after - at, headers, body, text(event.method), text(event.target), **how)
