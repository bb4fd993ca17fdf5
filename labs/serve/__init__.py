"""The serve room: servers that run in the notebook's process, clients, worker processes, load, and the certificates they need.

labs.serve(app, on=server)                 an aiohttp or ASGI application, or a plain function of a connection
client.http().get("http://server/")        httpx, its connections starting inside that host
labs.load(on=server, url=…)                load from a process of its own
labs.certificate("shop.test")              a certificate for that name, and a CA that signed it
"""

from labs.rooms import at_first_use, callable_room

__all__, __getattr__, __dir__ = at_first_use(
    __name__,
    {
        "Authority": "labs.serve.certificate",
        "Certificate": "labs.serve.certificate",
        "Load": "labs.serve.load",
        "Log": "labs.serve.server",
        "Server": "labs.serve.server",
        "Worker": "labs.serve.workers",
        "Workers": "labs.serve.workers",
        "http_client": "labs.serve.client",
        "start_server": "labs.serve.server",
    },
)
callable_room(__name__, "start_server")
