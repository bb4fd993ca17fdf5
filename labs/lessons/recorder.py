"""In the notebook's kernel, while `python -m labs record` runs it: note what every live cell leaves behind.

Two hooks of IPython's stand round each cell.  Before: is the cell live, and what are the names worth?  After: which names did it
bind or change, and can their values be written down?  The cell itself runs as it always does.
"""

from collections.abc import Set
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from labs.lessons.liveness import Tracker, read
from labs.lessons.record_values import Files, Unrecordable, encode, fingerprint
from labs.lessons.store import as_python, cell_key, write

__all__ = ["HARMLESS", "Recorder", "begin", "obtains"]

HARMLESS = (ModuleType, FunctionType, BuiltinFunctionType, type)  # a live cell may use these: they keep nothing of it
_current = None


def begin(slug: str, link: str, folder: str | Path) -> None:
    """Record from the next cell on, into folder/slug; what was recorded before in this kernel is started anew."""
    from IPython import get_ipython

    global _current
    if _current:
        _current.end()
    shell = get_ipython()
    if shell is None:
        raise RuntimeError("LABS_RECORD is set, and this is no notebook: expected an IPython kernel to record")
    _current = Recorder(shell, slug, link, Path(folder) / slug)


def obtains(name: str, found: bool) -> None:
    """The cell that runs now has asked for a program (labs.lessons.installed)."""
    if _current:
        _current.obtained.add(name)
        if not found:
            _current.problems.append(f"{name} is not installed here: a chapter that uses it is recorded where it is")


class Recorder:
    """What is known of the cells that ran so far; cells.json is written anew after each."""

    def __init__(self, shell: Any, slug: str, link: str, folder: Path):
        self.shell, self.slug, self.link, self.folder = shell, slug, link, folder
        self.files = Files(folder)
        self.tracker = Tracker()
        self.cells: list[dict] = []  # what cells.json will hold of each live cell
        self.problems: list[str] = []
        self.running: tuple | None = None  # (code, why it is live, values before)
        self.obtained: set[str] = set()  # programs that the running cell asked for
        self.needs: dict[str, set[str]] = {}  # live name → the programs without which it would not be there
        shell.events.register("pre_run_cell", self.before)
        shell.events.register("post_run_cell", self.after)
        self.save()  # so that a chapter without live cells has a recording too

    def end(self) -> None:
        self.shell.events.unregister("pre_run_cell", self.before)
        self.shell.events.unregister("post_run_cell", self.after)

    def save(self) -> None:
        recording = {"chapter": self.slug, "link": self.link, "cells": self.cells, "problems": self.problems}
        write(self.folder, recording)

    def before(self, info: Any) -> None:
        self.running, self.obtained = None, set()
        if info.silent:
            return
        try:
            code = read(as_python(info.raw_cell))
        except SyntaxError:
            return  # the cell will say so itself
        why = self.tracker.why(code)
        self.running = code, why, self.values() if why else None

    def after(self, result: Any) -> None:
        if self.running is None:
            return
        (code, why, before), self.running = self.running, None
        source = result.info.raw_cell
        try:
            self.note(source, code, before, why) if why else self.bound(code)
        except Exception as error:  # said by the process that asked for the recording, not in the cell's output
            self.problems.append(f"the cell that begins {_begins(source)!r}: {type(error).__name__}: {error}")
        self.save()

    def names(self) -> dict[str, Any]:
        """The notebook's own names: not IPython's, not its numbered outputs."""
        hidden = self.shell.user_ns_hidden
        return {name: value for name, value in self.shell.user_ns.items() if name[:1] != "_" and name not in hidden}

    def values(self) -> dict[str, tuple[int, str | None]]:
        """{name: (identity, fingerprint)} now."""
        return {name: (id(value), fingerprint(value)) for name, value in self.names().items()}

    def note(self, source: str, code: Any, before: dict, why: list[str]) -> None:
        """Write down what a live cell has left."""
        names = self.names()
        kept: set[str] = set()
        live: set[str] = set()
        for name in code.imports | set(code.defines):  # a replay runs them again as they stand, unless they need something live
            runs_again = name in code.top and not code.needs.get(name, set()) & (self.tracker.live | code.stores)
            (kept if runs_again else live).add(name)
        changed = {name for name, value in self.values().items() if before.get(name) != value}
        restore: dict[str, Any] = {}
        in_place = []
        for name in sorted(((code.stores | changed) - kept - live) & set(names)):
            try:
                restore[name] = encode(names[name], self.files, name)
            except (Unrecordable, RecursionError):
                live.add(name)
                continue
            if before.get(name, (None,))[0] == id(names[name]):
                in_place.append(name)
        # What is not live, but was handed to live code, may have changed in a way that nobody can see: it is live from here on.
        for name in (self.tracker.reaches(code) | code.free()) - set(restore) - kept - self.tracker.live:
            if name in names and not isinstance(names[name], HARMLESS) and fingerprint(names[name]) is None:
                live.add(name)
        live &= set(names)
        entry = {"key": cell_key(source), "begins": _begins(source), "why": why, "outputs": []}
        entry |= {"restore": restore, "in_place": in_place, "live": sorted(live)}
        programs = set().union(*(self.needs.get(name, ()) for name in why))
        if programs:
            entry["programs"] = sorted(programs)
        self.cells.append(entry)
        self.bound(code, live, set(restore), programs | self.obtained)

    def bound(self, code: Any, live: Set = frozenset(), restored: Set = frozenset(), programs: Set = frozenset()) -> None:
        """Go on from a cell that left these names, the live ones with the help of these programs."""
        self.tracker.after(code, live, restored)
        for name in code.bound() | restored:
            self.needs.pop(name, None)
        self.needs.update(dict.fromkeys(live, programs) if programs else {})


def _begins(source):
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    return lines[0][:100] if lines else ""
