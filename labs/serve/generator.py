"""The load generator: a process of its own that asks an HTTP/1.1 server as hard, or as steadily, as labs.load tells it.

    closed loop   each connection asks again as soon as it is answered; how much comes out depends on the server
    open loop     requests are due at fixed times, whether earlier ones are answered or not, as real users do; latency counts
                  from when a request was due, not from when a connection was free to send it ("coordinated omission")

One thread, one epoll, sockets that never block: what is measured shall be the server.  Standard library only.
"""

import errno
import gc
import json
import select
import socket
import sys
from collections import Counter, deque
from time import monotonic_ns as now

from labs.serve.answer import field, parse

__all__ = ["Generator", "main"]

RETRY = 20_000_000  # ns until a connection that failed is tried again
LOOK = 5_000_000  # ns between two looks at what is late, and the longest wait
NAMES = {errno.ECONNREFUSED: "refused", errno.ECONNRESET: "reset", errno.EPIPE: "reset", errno.ETIMEDOUT: "timeout"}
CONNECTING = -1
MOST_WORKERS, NAME = 1000, 100  # names of workers that are told apart, bytes of each: a million answers stay under 64 MB as text
OTHERS = "others"  # who answered beyond those
SIZE = 4096  # bytes read at once: most answers are smaller, and what is larger takes time in any case


def name_of(code: int | None) -> str:
    return NAMES.get(code or 0) or errno.errorcode.get(code or 0, str(code))


class Connection:
    """sent: when its request was sent, 0 if it has none; due: when it should have been sent; retry: not opened before then."""

    __slots__ = ("index", "sock", "fd", "buffer", "due", "sent", "retry", "recv", "send")

    def __init__(self, index: int) -> None:
        self.index, self.fd, self.buffer, self.due, self.sent, self.retry = index, -1, b"", 0, 0, 0

    def open(self, sock: socket.socket) -> None:
        self.sock, self.fd = sock, sock.fileno()
        self.recv, self.send = sock.recv, sock.send  # bound once: they run at every answer


class Generator:
    """One run.  `plan` is what labs.load wrote; what run() returns is what it reads.  Times are nanoseconds, monotonic."""

    def __init__(self, plan: dict) -> None:
        self.address, self.port, self.request = plan["address"], plan["port"], plan["request"].encode("latin-1")
        self.rate, self.most, self.worker_field = plan["rate"], plan["requests"], plan["worker"].lower().encode("latin-1")
        self.length, self.timeout = int(plan["seconds"] * 1e9), int(plan["timeout"] * 1e9)
        self.poll, self.connections = select.epoll(), [Connection(index) for index in range(plan["connections"])]
        self.of: dict[int, Connection] = {}  # descriptor →
        self.closed, self.idle = deque(self.connections), deque[Connection]()
        self.waiting, self.planned, self.begun = deque[int](), 0, 0  # waiting: due, and no connection is free for them yet
        self.done: list[tuple[int, int, int, tuple[int, str]]] = []  # due, answered, connection, (status, worker)
        self.errors: dict[str, int] = {}  # what went wrong → how often
        self.known: dict[bytes, tuple[int, str]] = {}  # whole answers that came before → (status, worker)

    def run(self) -> dict:
        gc.disable()  # nothing here is cyclic
        look = self.begin_at(now())
        while True:
            time = now()
            if time >= look or self.rate or self.closed or self.idle or time >= self.end:
                if time >= look:
                    self.expire(time)
                    look = time + LOOK
                self.schedule(time)
                self.open(time)
                self.start(time)
                if self.finished(time):
                    return self.result(time)
            of, event = self.of, self.event
            for fd, _ in self.ready(time):
                event(of[fd])

    def begin_at(self, time: int) -> int:
        self.begin, self.end = time, time + self.length
        return time

    def finished(self, time: int) -> bool:
        if len(self.done) + sum(self.errors.values()) >= self.most:
            return True
        if not self.rate:
            return time >= self.end
        asking = any(connection.sent for connection in self.connections)
        return time >= self.end and not self.waiting and not asking or time >= self.end + self.timeout

    def next_due(self) -> int | None:
        """When the next request of an open loop is due; None when all are."""
        if not self.rate or self.planned >= self.most:
            return None
        due = self.begin + int(self.planned * 1_000_000_000 / self.rate)
        return due if due < self.end else None

    def schedule(self, time: int) -> None:
        while (due := self.next_due()) is not None and due <= time:
            self.waiting.append(due)
            self.planned += 1

    def ready(self, time: int) -> list[tuple[int, int]]:
        """What epoll has.  It counts in milliseconds, which is too coarse for a schedule; select counts in microseconds."""
        due = self.next_due()
        if due is not None:
            select.select([self.poll], [], [], max(0, min(due - time, LOOK)) / 1e9)
            return self.poll.poll(0, 256)
        return self.poll.poll(LOOK / 1e9, 256)

    def open(self, time: int) -> None:
        """Connect what is not connected, unless it has just failed."""
        while self.closed and self.closed[0].retry <= time:
            connection = self.closed.popleft()
            sock = socket.socket(socket.AF_INET6 if ":" in self.address else socket.AF_INET)
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.open(sock)
            code = sock.connect_ex((self.address, self.port))
            if code not in (0, errno.EINPROGRESS):
                self.fail(connection, name_of(code))
                continue
            connection.retry, connection.due = CONNECTING, time
            self.of[connection.fd] = connection
            self.poll.register(connection.fd, select.EPOLLOUT)

    def start(self, time: int) -> None:
        """Give requests to connections that are free."""
        if self.rate:
            while self.waiting and self.idle:
                self.ask(self.idle.popleft(), self.waiting.popleft(), time)
        else:
            while self.idle and time < self.end and self.begun < self.most:
                self.ask(self.idle.popleft(), time, time)

    def ask(self, connection: Connection, due: int, time: int) -> None:
        self.begun += 1
        connection.due, connection.sent = due, time
        try:
            connection.send(self.request)  # far smaller than an empty send buffer
        except OSError as error:
            self.fail(connection, name_of(error.errno))

    def event(self, connection: Connection) -> None:
        if connection.retry == CONNECTING:
            return self.connected(connection)
        try:
            data = connection.recv(SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            return self.fail(connection, name_of(error.errno))
        kind = self.known.get(data)
        if kind is None or not connection.sent or connection.buffer:
            return self.piece(connection, data)
        self.answered(connection, kind, True)  # nearly always: a whole answer that came before

    def connected(self, connection: Connection) -> None:
        if code := connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            return self.fail(connection, name_of(code))
        if not (self.begun or self.errors or self.rate):  # the handshakes of a closed loop are not part of the run
            self.begin_at(now())
        connection.retry = 0
        self.poll.modify(connection.fd, select.EPOLLIN)
        self.idle.append(connection)

    def piece(self, connection: Connection, data: bytes) -> None:
        """Some bytes of an answer, or b"" for the end of the connection."""
        if not connection.sent:  # a server may close an idle connection
            return self.reset(connection, 0)
        connection.buffer += data
        try:
            answer = parse(connection.buffer)
        except (ValueError, IndexError):
            return self.fail(connection, "not HTTP")
        if answer is None or answer[0] < 0 and data:
            return None if data else self.fail(connection, "closed")
        length, status, head, stays_open = answer
        if status < 200:  # 100 Continue and the like: the answer comes after
            connection.buffer = connection.buffer[length:]
            return self.piece(connection, data) if connection.buffer else None
        kind = (status, (field(head, self.worker_field) or b"")[:NAME].decode("latin-1") if self.worker_field else "")
        if stays_open and length == len(data) < SIZE:
            if len(self.known) > 64:
                self.known.clear()
            self.known[data] = kind
        connection.buffer = b""
        self.answered(connection, kind, stays_open)

    def answered(self, connection: Connection, kind: tuple[int, str], stays_open: bool) -> None:
        time = now()
        self.done.append((connection.due, time, connection.index, kind))
        connection.sent = 0
        if not stays_open:
            self.reset(connection, 0)
        elif self.rate or time >= self.end or self.begun >= self.most:
            self.idle.append(connection)
        else:
            self.ask(connection, time, time)

    def fail(self, connection: Connection, why: str) -> None:
        self.errors[why] = self.errors.get(why, 0) + 1
        self.reset(connection, now() + RETRY)

    def reset(self, connection: Connection, retry: int) -> None:
        """Close the connection; it is opened again at `retry`."""
        self.of.pop(connection.fd, None)
        if connection in self.idle:
            self.idle.remove(connection)
        connection.sock.close()
        connection.fd, connection.sent, connection.retry, connection.buffer = -1, 0, retry, b""
        self.closed.append(connection) if retry else self.closed.appendleft(connection)

    def expire(self, time: int) -> None:
        for connection in list(self.of.values()):
            since = connection.due if connection.retry == CONNECTING else connection.sent
            if since and time - since > self.timeout:
                self.fail(connection, "timeout")

    def result(self, time: int) -> dict:
        unanswered = len(self.waiting) + sum(connection.sent > 0 for connection in self.connections)
        if self.rate and unanswered:  # they were due, so they count: to leave them out would flatter the server
            self.errors["unanswered"] = unanswered
        workers = list(dict.fromkeys(worker for *_, (_, worker) in self.done)) if self.worker_field else []
        if len(workers) > MOST_WORKERS:
            workers[MOST_WORKERS - 1 :] = [OTHERS]
        number, last = {worker: index for index, worker in enumerate(workers)}, len(workers) - 1
        return {
            "seconds": ((min(time, self.end) if self.rate else time) - self.begin) / 1e9,
            "starts": [(due - self.begin) // 1000 for due, _, _, _ in self.done],
            "latencies": [(answered - due) // 1000 for due, answered, _, _ in self.done],
            "connection_of": [index for _, _, index, _ in self.done],
            "worker_of": [number.get(worker, last) for *_, (_, worker) in self.done] if workers else [],
            "workers": workers,
            "errors": self.errors,
            "statuses": list(Counter(status for *_, (status, _) in self.done).items()),
        }


def main(plan: str) -> None:
    """Run the plan (JSON text) and write the result to standard output, as JSON."""
    json.dump(Generator(json.loads(plan)).run(), sys.stdout, separators=(",", ":"))
