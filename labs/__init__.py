"""labs: a real network that a notebook can hold.

    net = labs.network("client", "server")     two hosts with real TCP/IP stacks, and a wire between them
    with net.capture() as cap: …               every frame on that wire
    cap.ladder()                               a picture, and the same as text

The names below, and what the rooms themselves offer, are all that notebooks use.
"""

from labs import network, serve  # noqa: F401  (rooms that are called by their names)
from labs.rooms import at_first_use

__all__, __getattr__, __dir__ = at_first_use(
    __name__,
    {
        "Bars": "labs.views",
        "Capture": "labs.captures",
        "Dots": "labs.views",
        "Gauge": "labs.views",
        "LabError": "labs.errors",
        "Lanes": "labs.views",
        "States": "labs.views",
        "certificate": "labs.serve.certificate",
        "chapter": "labs.lessons",
        "claim": "labs.lessons",
        "doctor": "labs.network.doctor",
        "exercise": "labs.lessons",
        "heard": "labs.lessons",
        "load": "labs.serve.load",
        "predict": "labs.lessons",
        "program": "labs.lessons.installed",
        "router": "labs.network",
        "source": "labs.lessons.source",
        "steady": "labs.lessons",
        "streams": "labs.captures",
        "tls": "labs.views",
        "workers": "labs.serve.workers",
    },
)
__all__ += ["network", "serve"]
__version__ = "0.1.0"
