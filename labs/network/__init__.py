"""The network room: hosts with real TCP/IP stacks, the wires between them, and what crosses those.

with labs.network("client", "server") as net:
    client, server = net
"""

from labs.rooms import at_first_use, callable_room

__all__, __getattr__, __dir__ = at_first_use(
    __name__,
    {
        "Card": "labs.network.host",
        "Host": "labs.network.host",
        "Network": "labs.network.net",
        "Router": "labs.network.topology",
        "Wire": "labs.network.wire",
        "choose": "labs.network.links",
        "make_network": "labs.network.net",
        "router": "labs.network.topology",
        "why_not": "labs.network.links",
    },
)
callable_room(__name__, "make_network")
