"""In a kernel without a network: show what a live cell showed when it was recorded, restore what it left, and say so.

The same where the network is here and a program is not (labs.lessons.installed): then for the cells alone that need it.

The set-up cell puts one input transformer into IPython.  It knows the recorded cells by what they say; such a cell is replaced by
a call of `play`.  Every other cell runs as it stands: what only computes, draws or decodes is never recorded, and what needs
the network without being a recorded cell meets a NotHere.  Which cells work with recorded values is followed from name to name
(labs.lessons.liveness): what they show is marked, too.
"""

import ast
import sys
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from labs.errors import LabError
from labs.lessons import store
from labs.lessons.liveness import DEFINING, Code, Tracker, read
from labs.lessons.record_values import Files, decode, fingerprint
from labs.lessons.say import as_recorded

__all__ = ["STRIPS", "NotHere", "begin", "end", "lack", "play", "rests"]

# The pictures beside this file, and their words.
STRIPS = {"recorded": "recorded, not run here", "rests": "made from a recording"}
STRIP_SIZE = {"width": 170, "height": 22}  # half a strip's pixels: sharp on dense screens
TELLS = {"claim", "heard", "predict"}  # they mark their own lines (labs.lessons.say)
NO_NETWORK = "belongs to a live network, which this machine lacks; labs.doctor() says how to get one"
_current = None  # the Replay of this kernel, where one is needed
_chapter = ""


class NotHere:
    """Stands where the recorded cell bound something live.  Whatever is done with it raises LabError, which says why.

    why: what follows the name in that sentence, "belongs to …".
    """

    __slots__ = ("_name", "_why")
    shown_as = "something that only the recording has"

    def __init__(self, name: str, why: str):
        object.__setattr__(self, "_name", name)
        object.__setattr__(self, "_why", why)

    def __repr__(self) -> str:
        return f"`{self._name}` {self._why}. This cell is not one of the recording's, or it was changed since."

    def __getattr__(self, attribute: str) -> NoReturn:
        if attribute.startswith("_"):  # how Python and IPython ask what an object can do
            raise AttributeError(attribute)
        _refuse(self)

    __hash__ = object.__hash__


def _refuse(self: NotHere, *args: Any, **how: Any) -> NoReturn:
    raise LabError(repr(self))


# Python looks these up on the class, past __getattr__.
for _name in (
    "call setattr delattr len bool iter next contains getitem setitem delitem enter exit aenter aexit aiter anext await "
    "eq ne lt le gt ge add radd sub rsub mul rmul truediv rtruediv or ror and rand int float index bytes fspath format"
).split():
    setattr(NotHere, f"__{_name}__", _refuse)


def begin(slug: str, whole: bool, live: bool) -> bool:
    """The chapter `slug` begins: on a link that cannot run the `whole` of it, replay from the next cell on.

    live: it can run some of it, so the recorded cells are run first, as far as that goes (labs.lessons.attempt).
    Returns False where a recording is needed and there is none.
    """
    global _current, _chapter
    end()
    _chapter = slug
    if whole:
        return True
    recording = store.read(store.data_dir() / slug)
    _current = _opened(slug, recording)
    if _current and not live:
        _current.no_network = NO_NETWORK
    elif _current:
        from labs.lessons.attempt import Attempt  # late: a recording alone needs no capture, no stream

        _current.attempt = Attempt(_current.shell, _current.files)
    return recording is not None


def _opened(slug, recording):
    """The Replay of a chapter, or None: no recording, or no notebook, whose cells there were to replay."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return Replay(shell, recording, Files(store.data_dir() / slug)) if recording and shell else None


def end() -> None:
    """Run all cells as they stand."""
    global _current
    if _current:
        _current.end()
        _current = None


def lack(program: str, how: str) -> NotHere:
    """Replay, from the next cell on, the recorded cells that need this program; returns what stands for it.

    how: how to get it, as a command.
    """
    global _current
    if _current is None and _chapter:
        _current = _opened(_chapter, store.read(store.data_dir() / _chapter))
    if _current:
        _current.lacking[program] = how
    return NotHere(program, _needs(program, how))


def _needs(program, how):
    return f"needs {program}, which is not installed here ({how})"


def play(source: str) -> None:
    """What a recorded cell is replaced by."""
    if _current is None:
        raise RuntimeError("no recording is open: run the notebook's set-up cell first")
    _current.play(source)


def rests() -> bool:
    """Whether the cell that runs now works with values of a recording."""
    return bool(_current and _current.running and _current.running.rests)


@dataclass
class Running:
    """The cell that runs now."""

    code: Code
    rests: bool = False  # it works with values of the recording
    had: dict[str, str | None] = field(default_factory=dict)  # name that it may change → what it held before
    leaves: set[str] = field(default_factory=set)  # names that hold recorded values when it has run


class Replay:
    """The recording of one chapter, in one kernel.

    no_network: "" while live cells are run here, else why they are not.
    """

    def __init__(self, shell: Any, recording: dict, files: Files):
        self.shell, self.files = shell, files
        self.cells = {cell["key"]: cell for cell in recording["cells"]}
        self.no_network = ""
        self.attempt: Any = None  # runs recorded cells, where the link can do some of it
        self.lacking: dict[str, str] = {}  # program → how to get it
        self.tracker = Tracker()  # its live names are those that hold recorded values
        self.running: Running | None = None
        shell.input_transformers_cleanup.insert(0, self.transform)  # first: it must see the cell as it was written
        shell.events.register("pre_run_cell", self.before)
        shell.events.register("post_run_cell", self.after)

    def end(self) -> None:
        self.shell.input_transformers_cleanup.remove(self.transform)
        self.shell.events.unregister("pre_run_cell", self.before)
        self.shell.events.unregister("post_run_cell", self.after)

    def why_not(self, cell: dict) -> str:
        """Why a recorded cell is not run here: "" if it is."""
        missing = [program for program in cell.get("programs", ()) if program in self.lacking]
        return _needs(missing[0], self.lacking[missing[0]]) if missing else self.no_network

    def played(self, source: str) -> dict | None:
        """The recorded cell that stands for this source; None: it runs as it stands."""
        cell = self.cells.get(store.cell_key(source))
        return cell if cell and (self.attempt or self.why_not(cell)) else None

    def transform(self, lines: list[str]) -> list[str]:
        """IPython may ask several times for one run of a cell, so this changes nothing."""
        source = "".join(lines)
        if not self.played(source):
            return lines
        return [f"__import__('labs.lessons.replay', fromlist=['play']).play({source!r})\n"]

    def before(self, info: Any) -> None:
        """Does the cell work with recorded values?  Then a strip stands over what it shows."""
        self.running = None
        try:
            code = read(store.as_python(info.raw_cell))
        except (SyntaxError, ValueError):
            return  # the cell will say so itself
        self.running = Running(code)
        reached = self.tracker.reaches(code)
        if reached & self.tracker.live and not self.played(info.raw_cell):
            self.running = Running(code, True, {name: fingerprint(self.shell.user_ns.get(name)) for name in reached}, code.stores)
            if _shows(info.raw_cell):
                _strip("rests")

    def after(self, _: Any) -> None:
        if self.running:
            names, had = self.shell.user_ns, self.running.had
            changed = {name for name in had if fingerprint(names.get(name)) != had[name]}
            self.tracker.after(self.running.code, live=self.running.leaves | changed)
            self.running = None

    def play(self, source: str) -> None:
        cell = self.cells[store.cell_key(source)]
        if not self.why_not(cell):
            try:
                self.attempt.run(source, cell)
                return
            except Exception as problem:  # whatever it was, the recording goes on from here
                self.no_network = (
                    f"belongs to the chapter's recording, which goes on from the cell `{cell['begins']}`: "
                    f"{str(problem).partition(':')[0]}. labs.network(…) makes a network of your own that runs here"
                )
                self.tracker.live |= self.attempt.end(self.no_network)
                self.attempt = None
        _strip("recorded")
        self.define(source, cell)
        self.restore(cell)
        for output in cell["outputs"]:
            _show(output)

    def define(self, source: str, cell: dict) -> None:
        """Imports, functions and classes of the cell run as they stand; they are the learner's own code."""
        code = store.as_python(source)
        tree = ast.parse(code)
        tree.body = [node for node in tree.body if isinstance(node, DEFINING) and getattr(node, "name", None) not in cell["live"]]
        if tree.body:
            file = self.shell.compile.cache(code)  # so that inspect and tracebacks find the source
            exec(self.shell.compile(tree, file, "exec"), self.shell.user_ns)

    def restore(self, cell: dict) -> None:
        """Give the names what the recorded cell left in them."""
        names = self.shell.user_ns
        for name, record in cell["restore"].items():
            value, old = decode(record, self.files), names.get(name)
            if name in cell["in_place"] and type(old) is type(value) and isinstance(value, (list, dict, set, bytearray)):
                old.clear()
                (old.extend if isinstance(value, (list, bytearray)) else old.update)(value)
            else:
                names[name] = value
        for name in cell["live"]:
            names[name] = NotHere(name, self.why_not(cell))
        if self.running:
            self.running.leaves = {*cell["restore"], *cell["live"]}


def _shows(source):
    """Whether a cell seems to show more than what marks itself: it prints, or ends with a value."""
    tree = ast.parse(store.as_python(source))
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    last = tree.body[-1] if tree.body else None
    tells = isinstance(last, ast.Expr) and isinstance(last.value, ast.Call) and getattr(last.value.func, "attr", "") in TELLS
    prints = any(isinstance(call, ast.Name) and call.id in ("print", "display") for call in calls)
    return prints or isinstance(last, ast.Expr) and not tells


def _strip(name):
    """A picture, and its words for those who hear the page: the tests compare texts, and those are the live run's."""
    from IPython.display import display

    picture = b64encode(Path(__file__).with_name(f"{name}.png").read_bytes()).decode()
    display({"image/png": picture}, metadata={"image/png": {**STRIP_SIZE, "alt": STRIPS[name]}}, raw=True)


def _show(output):
    """One output of a recorded cell, marked at its end, for a terminal shows no strip; below a table, not in its last row."""
    from IPython.display import display

    def marked(text):
        return as_recorded(text, below="\n" in text.strip())

    if output["output_type"] == "stream":
        stream = sys.stderr if output["name"] == "stderr" else sys.stdout
        stream.write(marked(output["text"]))
        stream.flush()
    else:
        display({kind: marked(text) for kind, text in output["data"].items()}, raw=True)
