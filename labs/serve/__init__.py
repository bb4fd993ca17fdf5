"""The serve room: servers that run in the notebook's process, clients, worker processes, load, and the certificates they need.

    labs.serve(app, on=server)                 an aiohttp or ASGI application, or a plain function of a connection
    client.http().get("http://server/")        httpx, its connections starting inside that host
    labs.load(on=server, url=…)                load from a process of its own
    labs.certificate("shop.test")              a certificate for that name, and a CA that signed it

Names are imported at first use.
"""

from importlib import import_module

_HOME = {
    "Authority": "certificate", "Certificate": "certificate", "Load": "load", "Log": "server", "Server": "server",
    "Worker": "workers", "Workers": "workers", "http_client": "client", "serve": "server",
}  # fmt: skip
__all__ = sorted(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"labs.serve has no {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"labs.serve.{_HOME[name]}"), name)
