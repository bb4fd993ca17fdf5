"""How each kind of app is run: an aiohttp application, an ASGI app, a plain function with a thread for each connection.

Each runner has start(listener, context, backlog) and stop(), which are awaited on the background loop; alpn: the protocols that
it can offer in a TLS handshake; kind and counts: what it is called, and what its server counts.
"""

import asyncio
import errno
import inspect
import logging
import socket
import ssl
import threading
from contextlib import suppress
from typing import Any

__all__ = ["Aiohttp", "Asgi", "Threads", "runner_for"]

GRACE = 0.2  # seconds for requests in progress, once the server closes
FULL = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)  # accept(2): nothing is wrong with the connection
BREATH = 1.0  # seconds until it is tried again, as asyncio does


def runner_for(app: Any) -> "type[Aiohttp | Asgi | Threads]":
    """The class that can run `app`.  TypeError for what is none of the three."""
    if type(app).__module__.startswith("aiohttp.") and hasattr(app, "router"):
        return Aiohttp
    call = app if inspect.isroutine(app) else getattr(type(app), "__call__", None)  # noqa: B004  (it may be an async one)
    count = _parameters(app)
    if inspect.iscoroutinefunction(call) and count == 3:
        return Asgi
    if callable(app) and not inspect.isclass(app) and not inspect.iscoroutinefunction(call) and count == 1:
        return Threads
    raise TypeError(
        "expected an aiohttp web.Application, an ASGI app (async def app(scope, receive, send)) or a function "
        f"handler(connection), got {app!r}"
    )


def _parameters(app):
    """How many arguments a call must or may have by position; None if that cannot be told."""
    try:
        parameters = inspect.signature(app).parameters.values()
    except (TypeError, ValueError):
        return None
    return sum(one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) and one.default is one.empty for one in parameters)


class _ToLog(logging.Logger):
    """What a framework would print, into the server's log."""

    def __init__(self, log):
        super().__init__("labs.serve", logging.ERROR)  # by itself: no handler of the notebook hears it
        self.log = log

    def handle(self, record):
        self.log.add(record.getMessage(), record.exc_info[1] if record.exc_info else None)


class Aiohttp:
    """An aiohttp web.Application on the background loop."""

    kind, counts, alpn = "aiohttp", "request", ("http/1.1",)

    def __init__(self, app, server):
        self.app, self.server, self.runner = app, server, None

    async def start(self, listener: socket.socket, context: ssl.SSLContext | None, backlog: int) -> None:
        from aiohttp import web

        if getattr(self.app, "_loop", None) is not None and self.app._loop.is_closed():
            self.app._loop = None  # it ran before, on a loop that is gone; aiohttp 3 keeps an app to its first loop for ever
        self.runner = web.AppRunner(self.app, access_log=None, logger=_ToLog(self.server.log), shutdown_timeout=GRACE)
        await self.runner.setup()
        self._count(self.runner.server)
        await web.SockSite(self.runner, listener, ssl_context=context, backlog=backlog).start()

    def _count(self, inner):
        """Count requests before they are answered: who has the answer finds the count right."""
        handle = inner.request_handler

        async def counted(request):
            self.server.requests += 1
            return await handle(request)

        inner.request_handler = counted

    async def stop(self) -> None:
        if self.runner:
            await self.runner.cleanup()


class Asgi:
    """An ASGI app (asgi.readthedocs.io), carried by hypercorn: HTTP/1.1, and HTTP/2 by ALPN or prior knowledge."""

    kind, counts, alpn = "ASGI", "request", ("h2", "http/1.1")

    def __init__(self, app, server):
        self.app, self.server, self.task, self.running = app, server, None, set()

    async def _counted(self, scope, receive, send):
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        self.server.requests += 1
        task = asyncio.current_task()
        self.running.add(task)
        try:
            await self.app(scope, receive, send)
        finally:
            self.running.discard(task)

    async def start(self, listener: socket.socket, context: ssl.SSLContext | None, backlog: int) -> None:
        from hypercorn.asyncio import serve
        from hypercorn.config import Config, Sockets

        ready, self.ending = asyncio.Event(), asyncio.Event()

        class Handed(Config):
            """hypercorn opens sockets by name and certificates by path; ours are here already."""

            ssl_enabled = context is not None

            def create_ssl_context(self):
                return context

            def create_sockets(self):  # called when the app has started up
                ready.set()
                return Sockets([listener] if context else [], [] if context else [listener], [])

        config = Handed()
        config.errorlog, config.accesslog, config.backlog = _ToLog(self.server.log), None, backlog
        config.graceful_timeout, config.shutdown_timeout, config.startup_timeout = GRACE, GRACE, 5.0
        self.task = asyncio.create_task(serve(self._counted, config, shutdown_trigger=self.ending.wait, mode="asgi"))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait([self.task, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self.task.done():
            self.task.result()  # raises what the app raised

    async def stop(self) -> None:
        if self.task:
            self.ending.set()
            if self.running:
                await asyncio.wait(self.running, timeout=GRACE)
            for task in tuple(self.running):  # hypercorn would wait for them: on Python 3.12 and later, for ever
                task.cancel()
            await self.task


class Threads:
    """A function that is called with each connection, in a thread of its own; the connection is closed when it returns."""

    kind, counts, alpn = "threads", "connection", ()

    def __init__(self, handler, server):
        self.handler, self.server, self.running, self.listener, self.again = handler, server, {}, None, None

    async def start(self, listener: socket.socket, context: ssl.SSLContext | None, backlog: int) -> None:
        self.listener, self.context, self.loop = listener, context, asyncio.get_running_loop()
        self.loop.add_reader(listener, self._accept)

    def _accept(self):
        try:
            connection, _ = self.listener.accept()
        except OSError as error:
            if error.errno in FULL:  # the connection stays in the queue, and the loop would call us again at once, for ever
                self.server.log.add("accept() failed", error)
                self.loop.remove_reader(self.listener)
                self.again = self.loop.call_later(BREATH, self.loop.add_reader, self.listener, self._accept)
            return  # else: gone again
        connection.setblocking(True)
        self.server.requests += 1
        name = f"{self.server.host}:{self.server.port}"
        thread = threading.Thread(target=self._handle, args=(connection,), name=name, daemon=True)
        self.running[thread] = connection
        thread.start()

    def _handle(self, connection):
        try:
            if self.context:
                connection = self._encrypted(connection)
            if connection:
                self.handler(connection)
        except Exception as error:
            if not (self.server.closed and isinstance(error, OSError)):  # we cut it ourselves
                self.server.log.add(f"in {getattr(self.handler, '__name__', 'the handler')}", error)
        finally:
            self.running.pop(threading.current_thread()).close()

    def _encrypted(self, connection):
        """The connection after its TLS handshake; None when that failed."""
        encrypted = self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self.running[threading.current_thread()] = encrypted  # before we wait for anything: it must be possible to close it
        self.listener.accepted.add(encrypted)
        try:
            encrypted.do_handshake()
            return encrypted
        except OSError as error:
            self.server.log.append(f"TLS handshake failed: {error}")

    async def stop(self) -> None:
        if not self.listener:
            return
        if self.again:
            self.again.cancel()
        self.loop.remove_reader(self.listener)
        self.listener.close()
        for connection in list(self.running.values()):  # who waits for a request reads its end; who answers one may finish
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RD)
        end = self.loop.time() + GRACE
        while self.running and self.loop.time() < end:
            await asyncio.sleep(0.001)
