"""An httpx.Client inside a host: host.http().

httpx asks a transport for responses, and the transport's connection pool (httpcore) asks a network backend for streams.  Ours
opens them in the host, and knows the network's names instead of asking a resolver.  All else is httpx as everybody knows it.
One client in several threads is for HTTP/1.1 only: httpcore does not lock HTTP/2's state (encode/httpx issue 3566).
Chapter 02-polling uses it.
"""

import select
import socket
import ssl
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpcore
import httpx

if TYPE_CHECKING:
    from labs.network.host import Host

__all__ = ["http_client"]


def http_client(
    host: "Host", http2: bool | str = False, verify: Any = True, timeout: float = 10.0, names: dict | None = None, **how: Any
) -> httpx.Client:
    """An httpx.Client whose connections start in `host`; see Host.http."""
    if http2 not in (False, True, "only"):
        raise ValueError(f'expected http2 to be False, True or "only", got {http2!r}')
    names = {name: to if isinstance(to, str) else to.address for name, to in (names or {}).items()}
    limits = how.pop("limits", httpx.Limits())
    transport = Transport(_Backend(host, names), _context(verify), http2, limits)
    _closed_with(host._lab, transport)
    how.setdefault("trust_env", False)  # proxies of this machine are not in the lab
    return httpx.Client(transport=transport, timeout=timeout, **how)


def _context(verify):
    if isinstance(verify, ssl.SSLContext):
        return verify
    if hasattr(verify, "client_context"):  # a certificate of the lab, or the authority that signed it
        return verify.client_context()
    if not isinstance(verify, bool):
        raise TypeError(f"expected verify to be True, False, an ssl.SSLContext or a labs.certificate(…), got {verify!r}")
    return httpx.create_ssl_context(verify=verify, trust_env=False)


_transports: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # lab process → the transports of its clients


def _closed_with(lab, transport):
    """A client that nobody closed ends with its network; nothing here keeps the one or the other alive."""
    transports = _transports.get(lab)
    if transports is None:
        transports = _transports[lab] = weakref.WeakSet()
        lab.at_close.append(lambda: [one.close() for one in list(transports)])
    transports.add(transport)


class Transport(httpx.BaseTransport):
    """What httpx.Client sends requests through: a pool of connections that start in a host."""

    def __init__(self, backend, context, http2, limits):
        self._pool = httpcore.ConnectionPool(
            ssl_context=context, http1=http2 != "only", http2=bool(http2), network_backend=backend,
            max_connections=limits.max_connections, max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
        )  # fmt: skip

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        asked = httpcore.Request(
            request.method,
            httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw, content=request.stream, extensions=request.extensions,
        )  # fmt: skip
        with _as_httpx():
            got = self._pool.handle_request(asked)
        return httpx.Response(got.status, headers=got.headers, stream=_Body(got.stream), extensions=got.extensions)

    def close(self) -> None:
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, stream):
        self._stream = stream

    def __iter__(self):
        with _as_httpx():
            yield from self._stream

    def close(self) -> None:
        self._stream.close()


@contextmanager
def _as_httpx():
    """httpcore's exceptions as httpx's, which have the same names."""
    try:
        yield
    except Exception as error:
        for kind in type(error).__mro__:
            if kind.__module__.startswith("httpcore") and hasattr(httpx, kind.__name__):
                raise getattr(httpx, kind.__name__)(str(error)) from error
        raise


class _Backend(httpcore.NetworkBackend):
    """Opens connections in a host."""

    def __init__(self, host, names):
        self._host, self._names = host, names

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: Any = None, socket_options: Any = None
    ) -> "_Stream":
        try:
            made = self._host.connect(self._names.get(host, host), port, timeout=timeout)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except (OSError, ValueError) as error:  # ValueError: no such name
            raise httpcore.ConnectError(getattr(error, "strerror", None) or str(error)) from error
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as httpcore does
        for option in socket_options or ():
            made.setsockopt(*option)
        return _Stream(made)


class _Stream(httpcore.NetworkStream):
    """A connected socket as httpcore wants it: every wait has a timeout, every failure is one of httpcore's."""

    def __init__(self, sock):
        self._sock = sock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with self._errors(timeout, httpcore.ReadTimeout, httpcore.ReadError, "sent nothing for"):
            return self._sock.recv(max_bytes)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        with self._errors(timeout, httpcore.WriteTimeout, httpcore.WriteError, "took nothing for"):
            self._sock.sendall(buffer)

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> "_Stream":
        with self._errors(timeout, httpcore.ConnectTimeout, httpcore.ConnectError, "did not finish the TLS handshake within"):
            try:
                return _Stream(ssl_context.wrap_socket(self._sock, server_hostname=server_hostname))
            except BaseException:
                self.close()
                raise

    @contextmanager
    def _errors(self, timeout, late, failed, says):
        peer = "the server"
        try:
            peer = "%s port %d" % self._sock.getpeername()[:2]
            self._sock.settimeout(timeout)
            yield
        except TimeoutError as error:
            raise late(f"{peer} {says} {timeout:g} s") from error
        except ssl.SSLCertVerificationError as error:
            why = f"{error.verify_message}: the certificate of {peer} is not to be trusted"
            raise failed(f"{why}; did http(verify=…) get it, or the authority that signed it?") from error
        except OSError as error:
            raise failed(f"{error.strerror or error} ({peer})") from error

    def close(self) -> None:
        self._sock.close()

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object":  # a wrapped socket has the methods that matter: version(), cipher() …
            return self._sock if isinstance(self._sock, ssl.SSLSocket) else None
        if info == "socket":
            return self._sock
        if info == "client_addr":
            return self._sock.getsockname()
        if info == "server_addr":
            return self._sock.getpeername()
        if info == "is_readable":  # an idle connection with something to read: the server has closed it
            if self._sock.fileno() < 0:
                return True
            if not hasattr(select, "poll"):  # Windows
                return bool(select.select([self._sock], [], [], 0)[0])
            poll = select.poll()  # select() itself knows no descriptor above 1,023
            poll.register(self._sock, select.POLLIN)
            return bool(poll.poll(0))
        return None
