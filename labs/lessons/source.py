"""Look inside: the source of anything in labs, shown in the notebook.

    labs.source("network.cable")      a module
    labs.source("Capture.where")      something in one
    labs.source(labs.claim)           the thing itself

Nothing in this course is a black box; this is the lid.
"""

import difflib
import importlib
import importlib.util
import inspect
import pkgutil
import re
import textwrap
import types
from typing import Any

from labs.rooms import CallableRoom

__all__ = ["Source", "source"]


class Source:
    """The source of one thing: highlighted in a notebook, plain in a terminal."""

    def __init__(self, title: str, text: str):
        self.title, self.text = title, text

    def __repr__(self) -> str:
        return f"# {self.title}\n\n{self.text}"

    def _repr_markdown_(self) -> str:
        longest = max((len(ticks) for ticks in re.findall("`+", self.text)), default=0)
        fence = "`" * max(3, longest + 1)  # CommonMark §4.5: a fence is longer than any within
        return f"`{self.title}`\n\n{fence}python\n{self.text}\n{fence}"


def source(name: Any) -> Source:
    """The source of a module, class, function or method of labs: a dotted name ("network.cable", "Capture") or the thing itself.

    A room that can be called, such as "network", means what notebooks call by it; the room itself is "network.__init__".
    Raises LookupError for what labs does not have, and TypeError for what has no source in labs.
    """
    thing = _find(name.removeprefix("labs.")) if isinstance(name, str) else name
    if isinstance(thing, property):
        thing = thing.fget
    if isinstance(thing, CallableRoom) and not (isinstance(name, str) and name.endswith(".__init__")):
        thing = getattr(thing, thing.called)
    if not isinstance(thing, (type, types.FunctionType, types.MethodType, types.ModuleType)):
        thing = inspect.unwrap(thing) if hasattr(thing, "__wrapped__") else type(thing)  # a cached function; an object's class
    module = inspect.getmodule(thing)
    if module is None or module.__name__.partition(".")[0] != "labs":
        raise TypeError(f"expected something of labs, got {name!r}; for the rest of Python there is inspect.getsource")
    lines, _ = inspect.getsourcelines(thing)
    where = module.__name__.replace(".", "/") + ("/__init__.py" if hasattr(module, "__path__") else ".py")
    if not isinstance(thing, types.ModuleType):
        where += f", {thing.__qualname__}"
    return Source(where, textwrap.dedent("".join(lines)).rstrip())


def _find(name):
    """What a dotted name means: first as notebooks use it, then as modules lie in folders."""
    labs = importlib.import_module("labs")
    parts = name.removesuffix(".__init__").split(".")
    if parts[0] in labs.__all__ and not name.endswith(".__init__"):
        found = _follow(getattr(labs, parts[0]), parts[1:])
        if found is not None:
            return found
    for end in range(len(parts), 0, -1):
        module = ".".join(["labs", *parts[:end]])
        if module in _modules():
            found = _follow(importlib.import_module(module), parts[end:])
            if found is not None:
                return found
    known = list(dict.fromkeys([*labs.__all__, *(module.removeprefix("labs.") for module in _modules())]))
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    top = ", ".join(word for word in known if "." not in word and not word.startswith("_"))
    hint = f"did you mean {' or '.join(near)}?" if near else f"it has {top}"
    raise LookupError(f"labs has no {name!r}; {hint}")


def _follow(thing, attributes):
    for attribute in attributes:
        thing = inspect.getattr_static(thing, attribute, None) if isinstance(thing, type) else getattr(thing, attribute, None)
        if isinstance(thing, (staticmethod, classmethod)):
            thing = thing.__func__
    return thing


def _modules():
    """The names of all modules of labs, found in its folders without importing any."""
    folder = importlib.import_module("labs").__path__[0]
    found, waiting = [], [("labs.", folder)]
    for prefix, path in waiting:
        for _, name, is_room in pkgutil.iter_modules([path]):
            found.append(prefix + name)
            if is_room:
                waiting.append((f"{prefix}{name}.", f"{path}/{name}"))
    return found
