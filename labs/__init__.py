"""labs: a real network that a notebook can hold.

    net = labs.network("client", "server")     two hosts with real TCP/IP stacks, and a wire between them
    with net.capture() as cap: …               every frame on that wire
    cap.ladder()                               a picture, and the same as text

The names below are all that notebooks use.  Each is imported at its first use, so that `import labs` takes no time.
"""

from importlib import import_module

for _room in ("network", "serve"):  # Python binds a package's parts to their names when they are first imported,
    import_module(f"labs.{_room}")  # so take the rooms now: from here on `labs.network` is the function, as notebooks mean it
    del globals()[_room]

_HOME = {
    "network": "labs.network.net",
    "router": "labs.network",
    "LabError": "labs.network",
    "Capture": "labs.capture",
    "Bars": "labs.views",
    "Dots": "labs.views",
    "Gauge": "labs.views",
    "Lanes": "labs.views",
    "States": "labs.views",
    "chapter": "labs.lessons",
    "claim": "labs.lessons",
    "heard": "labs.lessons",
    "predict": "labs.lessons",
    "exercise": "labs.lessons",
    "program": "labs.lessons.program",
    "doctor": "labs.network.doctor",
    "source": "labs.source",
    "certificate": "labs.serve.certificate",
    "serve": "labs.serve.server",
    "load": "labs.serve.load",
    "workers": "labs.serve.workers",
    "streams": "labs.decode.stream",
    "tls": "labs.session",
}
__all__ = sorted(_HOME)
__version__ = "0.1.0"


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"labs has no {name!r}; it has {', '.join(__all__)}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted([*globals(), *__all__])
