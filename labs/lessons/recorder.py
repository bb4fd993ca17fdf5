"""In the notebook's kernel, while `python -m labs record` runs it: note what every live cell leaves behind.

Two hooks of IPython's stand round each cell.  Before: is the cell live, and what are the names worth?  After: which names did it
bind or change, and can their values be written down?  The cell itself runs as it always does.
"""

from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType

from labs.lessons.liveness import Tracker, read
from labs.lessons.record_values import Files, Unrecordable, encode, fingerprint, is_capture
from labs.lessons.store import cell_key, write

__all__ = ["Recorder", "begin", "obtains"]

HARMLESS = (ModuleType, FunctionType, BuiltinFunctionType, type)  # a live cell may use these: they keep nothing of it
_current = None


def begin(slug, link, folder):
    """Record from the next cell on, into folder/slug; what was recorded before in this kernel is started anew."""
    from IPython import get_ipython

    global _current
    if _current:
        _current.end()
    shell = get_ipython()
    if shell is None:
        raise RuntimeError("LABS_RECORD is set, and this is no notebook: expected an IPython kernel to record")
    _current = Recorder(shell, slug, link, Path(folder) / slug)


def obtains(name, found):
    """The cell that runs now has asked for a program (labs.lessons.program)."""
    if _current:
        _current.obtained.add(name)
        if not found:
            _current.problems.append(f"{name} is not installed here: a chapter that uses it is recorded where it is")


class Recorder:
    def __init__(self, shell, slug, link, folder):
        self.shell, self.slug, self.link, self.folder = shell, slug, link, folder
        self.files = Files(folder)
        self.tracker = Tracker()
        self.cells = []  # what cells.json will hold of each live cell
        self.seen = []  # [key, the names that make it live] of every cell
        self.problems = []
        self.running = None  # (code, why it is live, values before)
        self.obtained = set()  # programs that the running cell asked for
        self.needs = {}  # live name → the programs without which it would not be there
        shell.events.register("pre_run_cell", self.before)
        shell.events.register("post_run_cell", self.after)
        self.save()  # so that a chapter without live cells has a recording too

    def end(self):
        self.shell.events.unregister("pre_run_cell", self.before)
        self.shell.events.unregister("post_run_cell", self.after)

    def save(self):
        write(
            self.folder,
            {"chapter": self.slug, "link": self.link, "cells": self.cells, "seen": self.seen, "problems": self.problems},
        )

    def before(self, info):
        self.running, self.obtained = None, set()
        if info.silent:
            return
        try:
            code = read(self.shell.transform_cell(info.raw_cell))
        except SyntaxError:
            return  # the cell will say so itself
        why = self.tracker.why(code)
        self.seen.append([cell_key(info.raw_cell), why])
        self.running = code, why, self.values() if why else None

    def after(self, result):
        if self.running is None:
            return
        (code, why, before), self.running = self.running, None
        if not why:
            self.tracker.after(code)
            for name in code.bound():
                self.needs.pop(name, None)
            self.save()
            return
        source = result.info.raw_cell
        try:
            self.note(source, code, before, why)
        except Exception as error:  # said by the process that asked for the recording, not in the cell's output
            self.problems.append(f"the cell that begins {_begins(source)!r}: {type(error).__name__}: {error}")
        self.save()

    def names(self):
        """The notebook's own names: not IPython's, not its numbered outputs."""
        hidden = self.shell.user_ns_hidden
        return {name: value for name, value in self.shell.user_ns.items() if name[:1] != "_" and name not in hidden}

    def values(self):
        """{name: (identity, fingerprint)} now."""
        return {name: (id(value), fingerprint(value)) for name, value in self.names().items()}

    def note(self, source, code, before, why):
        names = self.names()
        kept, live = set(), set()
        for name in code.imports | set(code.defines):  # a replay runs them again as they stand, unless they need something live
            runs_again = name in code.top and not code.needs.get(name, set()) & (self.tracker.live | code.stores)
            (kept if runs_again else live).add(name)
        changed = {name for name, value in names.items() if before.get(name) != (id(value), fingerprint(value))}
        restore, in_place = {}, []
        # Captures first: a frame is then written as its place in one of them.
        for name in sorted(
            ((code.stores | changed) - kept - live) & set(names), key=lambda name: (not is_capture(names[name]), name)
        ):
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
        deleted = sorted(name for name in code.deletes if name in before and name not in names)
        entry = {
            "key": cell_key(source),
            "begins": _begins(source),
            "restore": restore,
            "in_place": in_place,
            "live": sorted(live & set(names)),
            "deleted": deleted,
        }
        programs = self.obtained.union(*(self.needs.get(name, ()) for name in why))
        if programs:
            entry["programs"], entry["obtains"] = sorted(programs), sorted(self.obtained)
        self.cells.append(entry)
        for name in code.bound() | set(restore) | set(deleted):
            self.needs.pop(name, None)
        self.needs.update(dict.fromkeys(live, programs) if programs else {})
        self.tracker.after(code, live=live & set(names), bound=set(restore) | set(deleted))


def _begins(source):
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    return lines[0][:100] if lines else ""
