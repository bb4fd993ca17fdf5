"""A server inside a host: labs.serve(app, on=server, port=80).

    an aiohttp web.Application      HTTP/1.1
    an ASGI app                     HTTP/1.1 and HTTP/2, by hypercorn
    a function handler(connection)  anything: it gets a connected socket and a thread of its own

Apps run on a loop in the background (labs.serve.background).  What goes wrong there is never printed, which would land in any
cell: it is in the server's log.  Chapter 02-polling uses servers, 22-single-listener-multiple-workers looks inside.
"""

import asyncio
import os
import socket
import ssl
import time
import traceback
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from labs.errors import LabError
from labs.serve.apps import GRACE, runner_for
from labs.serve.background import acquire

if TYPE_CHECKING:
    from labs.network.host import Host
    from labs.serve.certificate import Certificate

__all__ = ["Log", "Server", "start_server"]

START_WITHIN = 10.0  # seconds
CLOSE_WITHIN = 1.0  # seconds, whatever clients and handlers do

_servers: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # lab process → {(host, port): Server}


def start_server(
    app: Any, on: "Host", port: int = 80, tls: "Certificate | ssl.SSLContext | None" = None, backlog: int = 128,
    http2: bool | None = None, address: str = "0.0.0.0",
) -> "Server":  # fmt: skip
    """Serve `app` on a port of the host `on`: a Server, which is ready when this returns.

    A server that this function started on the same host and port is closed first, so a cell can be run again.  tls: a
    labs.certificate, or an SSLContext, which is used as it is.  backlog: as in listen(2).  http2: offer HTTP/2 in the TLS
    handshake (ALPN, RFC 7301); default: for an ASGI app, unless tls is an SSLContext.  address: one of the host's, such as
    "127.0.0.1"; default: all of them.  Raises OSError when the port is taken.
    """
    lab = on._lab
    servers = _servers.get(lab)
    if servers is None:
        servers = _servers[lab] = {}
        lab.at_close.append(lambda: [one.close() for one in list(servers.values())])
    made = Server(app, on, port, tls, http2)
    made._background = acquire(made)  # before the former one ends: an aiohttp app keeps to the loop that it ran on
    try:
        if former := servers.get((on.name, port)):
            former.close()
        made._start(on.listen(port, backlog, address), backlog, servers)
    except BaseException:
        made.close()
        raise
    return made


class Log(list):
    """What went wrong in the background, as texts; print(server.log) shows them."""

    def add(self, what: str, error: BaseException | None = None) -> None:
        if error is not None:
            what = f"{what}: {''.join(traceback.format_exception(error)).rstrip()}"
        self.append(what)

    def __str__(self):
        return "\n".join(self) or "(nothing went wrong)"


class Listener(socket.socket):
    """A listening socket that remembers whom it accepted: a server that closes can end all of them, whatever they are doing."""

    def __init__(self, listening):
        super().__init__(fileno=listening.detach())
        self.accepted, self._room = set(), 64

    def accept(self) -> tuple[socket.socket, Any]:
        connection, address = super().accept()
        if len(self.accepted) >= self._room:
            self.accepted = self.open()
            self._room = 64 + 2 * len(self.accepted)
        self.accepted.add(connection)
        return connection, address

    def open(self) -> set[socket.socket]:
        """The connections that are not closed."""
        return {connection for connection in tuple(self.accepted) if connection.fileno() != -1}

    def cut(self) -> None:
        """End every connection: its peer hears FIN, its owner reads the end of the stream."""
        for connection in self.open():
            with suppress(OSError):  # ended already
                socket.socket.shutdown(connection, socket.SHUT_RDWR)


class Server:
    """A running server.  host, port; log: what went wrong; requests: how many came (for a handler: connections)."""

    def __init__(self, app, on, port, tls, http2):
        self.host, self.port, self.log, self.requests, self.closed = on.name, port, Log(), 0, False
        self._listener, self._servers, self._background = None, {}, None
        self._runner = runner_for(app)(app, self)
        self._context = self._tls_context(tls, http2)

    def _tls_context(self, tls, http2):
        protocols = list(self._runner.alpn)
        if http2 and "h2" not in protocols:
            raise ValueError(f"expected an ASGI app for http2=True: {self._runner.kind} does not speak HTTP/2")
        if http2 is False and "h2" in protocols:
            protocols.remove("h2")
        if tls is None:
            return None
        context = tls if isinstance(tls, ssl.SSLContext) else getattr(tls, "server_context", lambda: None)()
        if context is None:
            raise TypeError(f"expected tls to be a labs.certificate(…) or an ssl.SSLContext, got {tls!r}")
        if protocols and (context is not tls or http2 is not None):
            context.set_alpn_protocols(protocols)
        log = self.log

        class Heard(context.sslobject_class):  # asyncio drops a handshake that fails without a word
            def do_handshake(self):
                try:
                    super().do_handshake()
                except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    raise
                except ssl.SSLError as error:
                    log.append(f"TLS handshake failed: {error}")
                    raise

        context.sslobject_class = Heard
        return context

    def _start(self, listening, backlog, servers):
        self.port = listening.getsockname()[1]
        self._listener, self._servers = Listener(listening), servers
        self._listener.setblocking(False)
        servers[self.host, self.port] = self
        try:
            self._background.call(self._runner.start(self._listener, self._context, backlog), START_WITHIN)
        except TimeoutError:
            late = f"was not ready within {START_WITHIN:g} s; does its start-up wait?"
            raise LabError(f"the server on {self.host}:{self.port} {late}") from None

    def close(self) -> None:
        """Stop listening, give requests in progress 0.2 s, and end all connections.  At most 1 s; doing it twice is fine."""
        if self.closed:
            return
        self.closed, deadline = True, time.monotonic() + CLOSE_WITHIN
        if self._servers.get((self.host, self.port)) is self:
            del self._servers[self.host, self.port]
        if self._background is None:
            return
        if self._background.here():  # the garbage collector chose this thread: it must not wait for itself
            task = self._background.loop.create_task(self._stop())
            task.add_done_callback(lambda _: self._background.release(self, deadline))
            return
        try:
            if self._listener is not None:
                self._background.call(self._stop(), CLOSE_WITHIN * 0.8)
        except TimeoutError:
            why = "a handler blocks the event loop, or does not let itself be cancelled"
            self.log.append(f"the server did not end in time: {why}")
        finally:
            if self._listener is not None:
                self._abandon()
            self._background.release(self, deadline)

    async def _stop(self):
        try:
            with suppress(TimeoutError):  # its connections are cut below
                await asyncio.wait_for(self._runner.stop(), 2.5 * GRACE)
        except Exception as error:
            self.log.add("while closing", error)
        self._listener.close()
        self._listener.cut()
        end = time.monotonic() + GRACE / 2
        while self._listener.open() and time.monotonic() < end:
            await asyncio.sleep(0.001)
        if held := len(self._listener.open()):
            handlers = "1 handler has" if held == 1 else f"{held} handlers have"
            self.log.append(f"{handlers} not returned; the connection is cut, the thread ends when the handler does")

    def _abandon(self):
        """What can be ended without the loop."""
        with suppress(OSError):  # closed
            self._listener.shutdown(socket.SHUT_RDWR)  # it listens no more, even while the loop still holds it
        self._listener.cut()

    def forget(self) -> None:
        """In a forked child: close its copies of our sockets, and touch nothing else."""
        self.closed = True
        for one in [self._listener, *self._listener.open()] if self._listener is not None else ():
            if one.fileno() != -1:
                os.close(one.detach())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __repr__(self):
        count = f"{self.requests} {self._runner.counts}{'s' * (self.requests != 1)}"
        wrong = f"; {len(self.log)} in its log, the last: {self.log[-1].strip().splitlines()[-1]}" if self.log else ""
        return f"server ({self._runner.kind}) on {self.host}:{self.port}{', closed' * self.closed}, {count}{wrong}"
