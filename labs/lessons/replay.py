"""In a kernel without a network: show what a live cell showed when it was recorded, and restore what it left.

The same where the network is here and a program is not (labs.lessons.program): then for the cells alone that depend on it.

The set-up cell puts one input transformer into IPython.  It knows the recorded cells by their source; such a cell is replaced by
a call of `play`.  Every other cell runs as it stands: what only computes, draws or decodes is never recorded, and what needs
the network without being the recorded cell meets a NotHere, which says so.
"""

import ast
import sys
from base64 import b64encode
from pathlib import Path

from labs.lessons import store
from labs.lessons.liveness import DEFINING
from labs.lessons.record_values import Files, decode

__all__ = ["NotHere", "begin", "end", "lack", "play"]

MARK = Path(__file__).with_name("recorded.png")  # drawn by labs.lessons.mark
MARK_SIZE = {"width": 170, "height": 22}  # half its pixels: sharp on dense screens
_current = None
_slug = ""  # of the chapter that this kernel is in


def begin(slug, live=False):
    """Replay the recorded cells of a chapter from the next cell on.  Returns whether there is a recording.

    live: run them first, as long as the link can do what they ask for (labs.lessons.attempt).
    """
    global _current
    end(slug)
    recording = store.read(store.data_dir() / slug)
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if recording is not None and shell is not None:  # outside a notebook there are no cells to replay
        _current = Replay(shell, recording, Files(store.data_dir() / slug), live)
    return recording is not None


def end(slug):
    """Run all cells as they stand; `slug` is the chapter that begins."""
    global _current, _slug
    _slug = slug
    if _current:
        _current.end()
        _current = None


def lack(program, how):
    """Replay, from the next cell on, the recorded cells that need this program.  Returns what stands for it: a NotHere."""
    global _current
    if _slug and (_current is None or _current.lacking):
        lacking = {**(_current.lacking if _current else {}), program: how}
        slug = _slug
        if begin(slug) and _current:
            _current.only(lacking)
    return NotHere(program, _needs(program, how))


def _needs(program, how):
    return f"needs {program}, which is not installed here ({how})"


def play(key):
    """What a recorded cell is replaced by."""
    if _current is None:
        raise RuntimeError("no recording is open: run the notebook's set-up cell first")
    _current.play(key)


class NotHere:
    """Stands where the recorded cell bound something live.  Whatever is done with it says that it is not here."""

    __slots__ = ("_name", "_why")
    shown_as = "something of a live network, which this machine lacks"

    def __init__(self, name, why=""):
        object.__setattr__(self, "_name", name)
        object.__setattr__(self, "_why", why)

    def __repr__(self):
        return _not_here(self._name, self._why)

    def __getattr__(self, attribute):
        if attribute.startswith("_"):  # how Python and IPython ask what an object can do
            raise AttributeError(attribute)
        _refuse(self)

    __hash__ = object.__hash__


def _not_here(name, why):
    if why:
        return f"`{name}` {why}, and this cell is not one that was recorded (or it was changed since)."
    return (
        f"`{name}` belongs to a live network; this machine has none, and this cell is not one that was recorded "
        "(or it was changed since). labs.doctor() says how to get a live network."
    )


def _refuse(self, *args, **kwargs):
    from labs.errors import LabError

    raise LabError(_not_here(object.__getattribute__(self, "_name"), object.__getattribute__(self, "_why")))


for _name in (
    "call setattr delattr len bool iter next contains getitem setitem delitem enter exit aenter aexit aiter anext await "
    "eq ne lt le gt ge add radd sub rsub mul rmul truediv rtruediv or ror and rand int float index bytes fspath format"
).split():  # Python looks these up on the class, past __getattr__
    setattr(NotHere, f"__{_name}__", _refuse)


class Replay:
    """The recording of one chapter, in one kernel."""

    def __init__(self, shell, recording, files, live=False):
        self.shell, self.files, self.attempt = shell, files, None
        self.lacking = {}  # program → how to get it; empty: there is no network
        if live:
            from labs.lessons.attempt import Attempt  # late: a recording alone needs no capture, no stream

            self.attempt = Attempt(shell, files)
        self.cells = {}  # key → its cells, in the notebook's order
        for cell in recording["cells"]:
            self.cells.setdefault(cell["key"], []).append(cell)
        self.played = dict.fromkeys(self.cells, 0)
        self.sources = {}  # key → the cell as it was written
        self.resting = False  # while the code of a recorded cell itself is wanted
        shell.input_transformers_cleanup.insert(0, self.transform)  # first: it must see the cell as it was written

    def only(self, lacking):
        """Replay only the cells that need one of these programs.  The cell that asks for it runs: the answer may change."""
        self.lacking, needed = lacking, {}
        for key, cells in self.cells.items():
            kept = [one for one in cells if set(lacking) & set(one.get("programs", ())) and not one["obtains"]]
            if kept:
                needed[key] = kept
        self.cells = needed

    def end(self):
        if self.transform in self.shell.input_transformers_cleanup:
            self.shell.input_transformers_cleanup.remove(self.transform)

    def transform(self, lines):
        """IPython may ask several times for one run of a cell, so this changes nothing that counts."""
        source = "".join(lines)
        key = store.cell_key(source)
        if key not in self.cells or self.resting:
            return lines
        self.sources[key] = source
        return [f"__import__('labs.lessons.replay', fromlist=['play']).play('{key}')\n"]

    def play(self, key):
        """The same source may stand in a notebook more than once: the k-th run is the k-th of them, and round again."""
        cells = self.cells[key]
        cell = cells[self.played[key] % len(cells)]
        self.played[key] += 1
        if self.attempt is not None and self._try(key, cell):
            return
        _mark()
        self.define(self.sources[key], cell)
        self.restore(cell)
        for output in cell.get("outputs", ()):
            _show(output)

    def _try(self, key, cell):
        self.resting = True
        try:
            return self.attempt.play(self.sources[key], cell)
        finally:
            self.resting = False

    def define(self, source, cell):
        """Imports, functions and classes of the cell run as they stand; they are the learner's own code."""
        self.resting = True
        try:
            code = self.shell.transform_cell(source)
        finally:
            self.resting = False
        tree = ast.parse(code)
        tree.body = [node for node in tree.body if isinstance(node, DEFINING) and getattr(node, "name", None) not in cell["live"]]
        if tree.body:
            file = self.shell.compile.cache(code)  # so that inspect and tracebacks find the source
            exec(self.shell.compile(tree, file, "exec"), self.shell.user_ns)

    def restore(self, cell):
        names = self.shell.user_ns
        for name, record in cell["restore"].items():
            value, old = decode(record, self.files), names.get(name)
            if name in cell["in_place"] and type(old) is type(value) and isinstance(value, (list, dict, set, bytearray)):
                old.clear()
                (old.extend if isinstance(value, (list, bytearray)) else old.update)(value)
            else:
                names[name] = value
        for name in cell["deleted"]:
            names.pop(name, None)
        missing = [program for program in cell.get("programs", ()) if program in self.lacking]
        why = _needs(missing[0], self.lacking[missing[0]]) if missing else ""
        for name in cell["live"]:
            names[name] = NotHere(name, why)


def _mark():
    """ "recorded", as a picture and nothing else: the tests compare texts, and the texts are those of the live run."""
    from IPython.display import display

    display({"image/png": b64encode(MARK.read_bytes()).decode()}, metadata={"image/png": MARK_SIZE}, raw=True)


def _show(output):
    from IPython.display import display

    if output["output_type"] == "stream":
        stream = sys.stderr if output["name"] == "stderr" else sys.stdout
        stream.write(output["text"])
        stream.flush()
    else:
        display(output["data"], raw=True)
