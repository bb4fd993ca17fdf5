"""The network room: hosts with real TCP/IP stacks, the wires between them, and what crosses those.

    with labs.network("client", "server") as net:
        client, server = net

Names are imported at first use: the lab process starts from here too, and needs few of them.
"""

from importlib import import_module

_HOME = {
    "Arrival": "frame", "Card": "host", "Frame": "frame", "Host": "host", "LabError": "channel", "Network": "net",
    "Router": "topology",
    "Wire": "wire", "choose": "links", "network": "net", "router": "topology", "why_not": "links",
}  # fmt: skip
__all__ = sorted(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"labs.network has no {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"labs.network.{_HOME[name]}"), name)
