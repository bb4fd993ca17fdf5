"""Tasks graded on evidence: a capture, a running server, a function that is tried; never an answer that was typed.

Graders live in `labs.lessons.graders.chapter_NN`, one small class a task:

    class Reset(Exercise):
        id = "24-reset"
        title = "Make the server reset the connection"
        expects = Capture                       # a type, several, or `callable`
        hints = ("SO_LINGER has two fields.", "l_linger = 0 with l_onoff = 1.")

        def grade(self, capture):
            resets = capture.where(lambda frame: frame.rst)
            if not len(resets):
                return close("the connection ends, but with FIN: nobody reset it")
            return done("the server sent RST")
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from labs.lessons.say import say

__all__ = ["Exercise", "Feedback", "Verdict", "close", "done", "exercise", "is_empty", "missing", "registered", "with_article"]

MARKS = {"missing": "○", "close": "◐", "done": "✓"}
_REGISTERED: dict[str, type] = {}  # id → Exercise class; filled as the graders' modules are imported
_INSTANCES: dict[str, Any] = {}  # id → its one object, which remembers how many hints were given


@dataclass(frozen=True)
class Feedback:
    """What a grader found: `status` is "missing", "close" or "done"; `text` says why, and what to look at."""

    status: str
    text: str

    def __post_init__(self):
        if self.status not in MARKS:
            raise ValueError(f"status: expected one of {', '.join(MARKS)}; got {self.status!r}")

    def _ipython_display_(self):
        """Nothing: `check` has printed it, and a cell that ends with `check` must not show it twice."""


class Verdict(Exception):
    """Feedback, raised where a grader cannot go on."""

    def __init__(self, feedback: Feedback):
        super().__init__(feedback.text)
        self.feedback = feedback


def missing(text: str) -> Feedback:
    """The evidence is not there, or is of another kind."""
    return Feedback("missing", text)


def close(text: str) -> Feedback:
    """The evidence is there and one thing in it is not right: `text` says which."""
    return Feedback("close", text)


def done(text: str) -> Feedback:
    """The evidence shows what was asked."""
    return Feedback("done", text)


class Exercise:
    """One task.  A subclass sets the attributes and writes `grade`; being defined registers it."""

    id = ""  # "24-reset": the chapter's number, then a word or two
    title = ""  # what to do, as a command
    expects: Any = None  # the type of the evidence, several types, `callable`, or None: anything
    empty = ""  # what to say of a function of which only the stub is written
    hints: tuple[str, ...] = ()  # from a nudge to nearly the solution

    def __init_subclass__(cls, **kw):
        super().__init_subclass__(**kw)
        if not cls.id:
            return  # a common base of several tasks
        known = _REGISTERED.get(cls.id)
        if known and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueError(f"two exercises are called {cls.id!r}: {known.__qualname__} and {cls.__qualname__}")
        _REGISTERED[cls.id] = cls
        _INSTANCES.pop(cls.id, None)

    def __init__(self):
        self._given = 0

    def grade(self, evidence: Any) -> Feedback:
        """Feedback on evidence of the right kind.  May raise; `check` turns that into feedback."""
        raise NotImplementedError(f"{type(self).__name__} has no grade()")

    def feedback(self, evidence: Any) -> Feedback:
        """Feedback on evidence of any kind; never raises."""
        if evidence is None or evidence is ...:
            return missing(f"nothing handed in yet. {self.title}.")
        if not _is(evidence, self.expects):
            return missing(f"expected {_kinds(self.expects)}, got {_kind(evidence)}")
        if self.empty and is_empty(evidence):
            return missing(self.empty)
        try:
            found = self.grade(evidence)
        except Verdict as verdict:
            found = verdict.feedback
        except Exception as error:  # evidence of the right type, yet not what the grader can read
            reason = " ".join(str(error).split())
            return missing(f"this evidence cannot be graded: {type(error).__name__}{': ' + reason if reason else ''}")
        if not isinstance(found, Feedback):
            raise TypeError(f"{type(self).__name__}.grade: expected Feedback, got {_kind(found)}")
        return found

    def check(self, evidence: Any = None) -> Feedback:
        """Print the feedback and return it (quietly, so that it may end a cell)."""
        found = self.feedback(evidence)
        say(MARKS[found.status], f"{self.id} · {found.status}: {found.text}")
        return found

    def hint(self) -> None:
        """Print the next hint; after the last one, say so and begin again."""
        if not self.hints:
            say("·", f"{self.id} has no hints.")
            return
        number = self._given % len(self.hints)
        self._given += 1
        last = "" if number + 1 < len(self.hints) else " This is the last hint; the worked solution is folded below."
        say("·", f"hint {number + 1} of {len(self.hints)}: {self.hints[number]}{last}")

    def __repr__(self):
        return f"{self.id} · {self.title}"


def exercise(id: str) -> Exercise:
    """The exercise called `id`, as the notebook names it: "24-reset"."""
    number = str(id).partition("-")[0]
    if number.isdigit():
        module = f"labs.lessons.graders.chapter_{number}"
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module:  # the grader is there, and something that it needs is not
                raise
    if id not in _REGISTERED:
        known = [name for name in registered() if name.startswith(f"{number}-")]
        raise ValueError(f"no exercise is called {id!r}; chapter {number} has {', '.join(known) or 'none'}")
    if id not in _INSTANCES:
        _INSTANCES[id] = _REGISTERED[id]()
    return _INSTANCES[id]


def is_empty(function: Callable) -> bool:
    """True for a function of which only the stub is written, `...`: seen without running it, so without a network."""
    return getattr(getattr(function, "__code__", None), "co_code", b"") == (lambda: None).__code__.co_code


def registered() -> list[str]:
    """The ids of the exercises whose graders are loaded, in order."""
    return sorted(_REGISTERED)


def _is(evidence, expects):
    if expects is None:
        return True
    kinds = expects if isinstance(expects, tuple) else (expects,)
    return any(callable(evidence) if kind is callable else isinstance(evidence, kind) for kind in kinds)


def _kinds(expects):
    kinds = expects if isinstance(expects, tuple) else (expects,)
    names = ["a function" if kind is callable else with_article(kind.__name__) for kind in kinds]
    return " or ".join(names)


def _kind(value):
    """What a value is, as the learner knows it: a class that was handed in uncalled is named, not called "type"."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return getattr(type(value), "shown_as", type(value).__name__)  # labs.lessons.replay.NotHere has a name for people


def with_article(name: str) -> str:
    """ "a dict", "an int"."""
    return f"an {name}" if name[0] in "aeiouAEIOU" else f"a {name}"
