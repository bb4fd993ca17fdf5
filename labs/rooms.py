"""How the rooms of this package fit together: names that are imported at their first use, rooms that can be called, and the few
ways up.

    decode → captures → network → serve      each may use those to its left (views: decode and captures; lessons: all),
                     ↘ views → lessons        none those to its right; tests/test_rooms.py reads all imports
"""

import sys
from importlib import import_module
from types import ModuleType

TYPE_CHECKING = False  # typing.TYPE_CHECKING: the lab process imports no typing
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["above", "at_first_use", "callable_room"]

# A capture shows itself, and a host speaks HTTP: what is called on an object of a lower room is done by a room above it.
# It is named here, all of it, and imported when it is called.
ABOVE = {
    "ByteMap": "labs.views.bytemap",
    "Ladder": "labs.views.ladder",
    "Layers": "labs.views.layers",
    "http_client": "labs.serve.client",
    "one_line": "labs.views.ladder",
}


def above(name: str) -> "Any":
    """The class or function of a room above, one of ABOVE."""
    return getattr(import_module(ABOVE[name]), name)


def at_first_use(package: str, homes: dict[str, str]) -> "tuple[list[str], Callable, Callable]":
    """(__all__, __getattr__, __dir__) of a package whose names are imported when somebody asks for them (PEP 562).

    homes: {name: the module it lives in}.  So `import labs` takes no time, and the lab process loads only what it runs.
    """

    def get(name):
        if name not in homes:
            raise AttributeError(f"{package} has no {name!r}; it has {', '.join(sorted(homes))}")
        value = getattr(import_module(homes[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return sorted(homes), get, lambda: sorted({*vars(sys.modules[package]), *homes})


class CallableRoom(ModuleType):
    """A room that does one thing can be called by its name: labs.network("client", "server"), labs.serve(app, on=server)."""

    def __call__(self, *args, **how):
        return getattr(self, self.called)(*args, **how)

    @property
    def __signature__(self):
        import inspect  # here: it takes longer than all else that the lab process loads

        return inspect.signature(getattr(self, self.called))


def callable_room(package: str, called: str) -> None:
    """Make a package callable: calling it calls its function `called`."""
    room = sys.modules[package]
    vars(room)["called"] = called
    room.__class__ = CallableRoom
