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
from collections import deque
from time import monotonic_ns as now

__all__ = ["Generator", "main", "parse"]

RETRY = 20_000_000  # ns until a connection that failed is tried again
NAMES = {errno.ECONNREFUSED: "refused", errno.ECONNRESET: "reset", errno.EPIPE: "reset", errno.ETIMEDOUT: "timeout"}


def parse(buffer):
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
    at, length = end + 4, _field(head, b"content-length")
    if head.startswith(b"http/1.0") and b"\r\nconnection: keep-alive" not in head:
        open_after = False
    if status < 200 or status in (204, 304):
        return at, status, head, open_after
    if length is not None:
        if not length.isdigit():
            raise ValueError("a length that is none")
        at += int(length)
        return (at, status, head, open_after) if len(buffer) >= at else None
    if b"chunked" not in (_field(head, b"transfer-encoding") or b""):
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


def _field(head, name):
    at = head.find(b"\r\n" + name + b":")
    if at < 0:
        return None
    end = head.find(b"\r\n", at + 2)
    return head[at + len(name) + 3 : end if end >= 0 else len(head)].strip()


class Connection:
    __slots__ = ("index", "sock", "fd", "buffer", "due", "sent", "retry")

    def __init__(self, index):
        self.index, self.sock, self.fd, self.buffer, self.due, self.sent, self.retry = index, None, -1, bytearray(), 0, 0, 0


class Generator:
    """One run.  `plan` is what labs.load wrote; `result` is what it reads."""

    def __init__(self, plan):
        self.address, self.port, self.request = plan["address"], plan["port"], plan["request"].encode("latin-1")
        self.count, self.rate, self.most, self.timeout = (
            plan["connections"],
            plan["rate"],
            plan["requests"],
            int(plan["timeout"] * 1e9),
        )
        self.worker_field = plan["worker"].lower().encode("latin-1")
        self.starts, self.latencies, self.by, self.worker_of = [], [], [], []
        self.workers, self.errors, self.statuses = {}, {}, {}
        self.poll, self.connections = select.epoll(), [Connection(index) for index in range(self.count)]
        self.of, self.closed, self.idle, self.waiting = {}, deque(self.connections), deque(), deque()
        self.known = {}  # short whole answers → what parse says of them
        self.planned = self.begun = 0
        self.length = int(plan["seconds"] * 1e9)

    def run(self):
        gc.disable()
        self.begin = now()
        self.end = self.begin + self.length
        check = self.begin
        while True:
            time = now()
            if self.rate:
                self.schedule(time)
            if time >= check:
                self.expire(time)
                check = time + 10_000_000
            self.reopen(time)
            self.start(time)
            if self.finished(time):
                break
            for fd, _ in self.ready(time):
                self.event(self.of[fd])
        self.took = now() - self.begin
        return self.result()

    def finished(self, time):
        if self.most and len(self.latencies) + sum(self.errors.values()) >= self.most:
            return True
        if not self.rate:
            return time >= self.end
        asking = any(connection.sent for connection in self.connections)
        return time >= self.end and not self.waiting and not asking or time >= self.end + self.timeout

    def schedule(self, time):
        """Requests that are due by now: number n at n / rate seconds after the beginning."""
        until = min(time, self.end - 1)
        while not (self.most and self.planned >= self.most):
            due = self.begin + self.planned * 1_000_000_000 // self.rate
            if due > until:
                break
            self.waiting.append(due)
            self.planned += 1

    def ready(self, time):
        """What epoll has; it waits until something happens or is due.  epoll counts in milliseconds, select in microseconds."""
        until = self.end if time < self.end else self.end + self.timeout
        if self.rate and time < self.end and not (self.most and self.planned >= self.most):
            until = min(until, self.begin + self.planned * 1_000_000_000 // self.rate)
        if self.closed:
            until = min(until, self.closed[0].retry)
        wait = max(0, until - time)
        if self.rate and wait:
            select.select([self.poll], [], [], min(wait, 10_000_000) / 1e9)
            wait = 0
        return self.poll.poll(min(wait, 10_000_000) / 1e9, 256)

    def reopen(self, time):
        """Connect what is not connected, unless it has just failed."""
        while self.closed and self.closed[0].retry <= time:
            connection = self.closed.popleft()
            connection.sock = socket.socket(socket.AF_INET6 if ":" in self.address else socket.AF_INET)
            connection.sock.setblocking(False)
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            code = connection.sock.connect_ex((self.address, self.port))
            if code not in (0, errno.EINPROGRESS):
                self.fail(connection, NAMES.get(code, errno.errorcode.get(code, str(code))))
                continue
            connection.fd, connection.retry, connection.due = connection.sock.fileno(), -1, time  # -1: connecting
            self.of[connection.fd] = connection
            self.poll.register(connection.fd, select.EPOLLOUT)

    def start(self, time):
        """Give requests to connections that are free."""
        if self.rate:
            while self.waiting and self.idle:
                self.ask(self.idle.popleft(), self.waiting.popleft())
        elif time < self.end:
            while self.idle:
                self.ask(self.idle.popleft(), 0)

    def ask(self, connection, due):
        if self.most and self.begun >= self.most:
            return
        self.begun += 1
        time = now()
        connection.due, connection.sent = due or time, time
        try:
            connection.sock.send(self.request)  # far smaller than an empty send buffer
        except OSError as error:
            self.fail(connection, NAMES.get(error.errno, error.strerror))

    def connected(self, connection):
        code = connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            return self.fail(connection, NAMES.get(code, errno.errorcode.get(code, str(code))))
        connection.retry = 0
        self.poll.modify(connection.fd, select.EPOLLIN)
        self.idle.append(connection)

    def event(self, connection):
        if connection.retry == -1:
            return self.connected(connection)
        try:
            data = connection.sock.recv(16384)
        except BlockingIOError:
            return
        except OSError as error:
            return self.fail(connection, NAMES.get(error.errno, error.strerror))
        if connection.buffer:
            connection.buffer += data
            got = connection.buffer
        else:
            got = data
        if not data and not (connection.sent and got):
            return (
                self.fail(connection, "closed") if connection.sent else self.reset(connection, 0)
            )  # idle: the server may do that
        try:
            response = self.known.get(got) if got is data else None
            if response is None:
                response = parse(got)
                if response and response[0] == len(data) and len(data) < 2048:  # the same answer comes again and again
                    if len(self.known) > 64:
                        self.known.clear()
                    self.known[data] = response
        except (ValueError, IndexError):
            return self.fail(connection, "not HTTP")
        if response is None or response[0] < 0 and data:
            if not data:
                return self.fail(connection, "closed")
            if got is data:
                connection.buffer += data
            return
        length, status, head, open_after = response
        if 100 <= status < 200:
            connection.buffer = bytearray(got[length:])
            return
        self.answered(connection, status, head)
        if connection.buffer:
            connection.buffer = bytearray()
        if not open_after:
            return self.reset(connection, 0)
        if self.rate:
            self.idle.append(connection)
        elif now() < self.end:
            self.ask(connection, 0)

    def answered(self, connection, status, head):
        time = now()
        self.starts.append((connection.due - self.begin) // 1000)
        self.latencies.append((time - connection.due) // 1000)
        self.by.append(connection.index)
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if self.worker_field:
            name = (_field(head, self.worker_field) or b"").decode("latin-1")
            self.worker_of.append(self.workers.setdefault(name, len(self.workers)))
        connection.sent = 0

    def fail(self, connection, why):
        self.errors[why] = self.errors.get(why, 0) + 1
        self.reset(connection, now() + RETRY)

    def reset(self, connection, retry):
        """Close the connection; it is opened again at `retry`."""
        if connection.fd >= 0:
            del self.of[connection.fd]
        if connection in self.idle:
            self.idle.remove(connection)
        connection.sock.close()
        connection.fd, connection.sent, connection.retry, connection.buffer = -1, 0, retry, bytearray()
        self.closed.append(connection)

    def expire(self, time):
        for connection in list(self.of.values()):
            if (connection.sent or connection.retry == -1) and time - max(
                connection.sent, connection.due if connection.retry == -1 else 0
            ) > self.timeout:
                self.fail(connection, "timeout")

    def result(self):
        unanswered = sum(connection.sent > 0 for connection in self.connections)
        if self.rate and unanswered + len(
            self.waiting
        ):  # they were due, so they count: to leave them out would flatter the server
            self.errors["unanswered"] = unanswered + len(self.waiting)
        return {
            "seconds": min(self.took, self.length) / 1e9, "starts": self.starts, "latencies": self.latencies,
            "connection_of": self.by, "worker_of": self.worker_of, "workers": list(self.workers), "errors": self.errors,
            "statuses": list(self.statuses.items()),
        }  # fmt: skip


def main(plan):
    """Run the plan (JSON text) and write the result to standard output, as JSON."""
    json.dump(Generator(json.loads(plan)).run(), sys.stdout, separators=(",", ":"))
