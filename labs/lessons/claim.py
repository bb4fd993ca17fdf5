"""Statements that an experiment settles.

A claim is prose that can fail: it stands in a notebook as a sentence, and the cell stops where the evidence does not hold it.
Claims carry no numbers that another run would not repeat; they state an order, a count, or a ratio beyond a margin.
Where the evidence is a recording's, the sentence ends "· recorded".
"""

from typing import Any

from labs.lessons.say import say
from labs.lessons.steady import disturbed

__all__ = ["VERDICTS", "ClaimFailed", "claim", "heard"]

VERDICTS = ("confirmed", "refined", "refuted")
AGAIN = "after a change or a busy moment: Run ▸ Run All Above Selected Cell, then this cell again"


class ClaimFailed(AssertionError):
    """The evidence does not hold a claim; the message is the claim itself."""

    def _render_traceback_(self):
        """In a notebook, one line: the learner's code is right, what failed is the statement above it."""
        return [f"{type(self).__name__}: {self}"]


def claim(statement: str, holds: Any, see: str = "", saw: Any = "") -> None:
    """Print the statement with ✓ when `holds`, else print it with ✗ and raise ClaimFailed.

    `holds` is the evidence: a bool, or what counts as one.  `see` names the standard that settles it ("RFC 9293 §3.5").
    `saw`, if given, is shown only when the claim fails: the value that came instead.
    """
    true = _truth(holds, "claim")
    say("✓" if true else "✗", statement + _reference(see), rests=True)
    if not true:
        _fail(statement, saw)


def heard(statement: str, verdict: str, because: str, holds: Any, see: str = "", saw: Any = "") -> None:
    """A statement that many repeat, and what this experiment makes of it.

    `verdict` is "confirmed", "refined" or "refuted"; `because` is the sentence that says why; `holds` is the evidence for
    that verdict (not for the statement), and is treated as in `claim`.
    """
    if verdict not in VERDICTS:
        raise ValueError(f"verdict: expected one of {', '.join(VERDICTS)}; got {verdict!r}")
    if _truth(holds, "heard"):
        say("✓", f"heard: “{statement}”\n{verdict}: {because}{_reference(see)}", rests=True)
        return
    say("✗", f"heard: “{statement}”\nnot {verdict} here: the evidence does not show that {because}{_reference(see)}", rests=True)
    _fail(f"“{statement}” is not {verdict} by this evidence", saw)


def _truth(holds, name):
    """The evidence as a bool.  A function, None or ... is truthy or falsy by accident: a forgotten call or a gap."""
    if holds is None or holds is ... or callable(holds):
        kind = "nothing" if holds is None or holds is ... else f"{type(holds).__name__}, which was not called"
        raise TypeError(f"labs.{name}: expected evidence, a true or false value; got {kind}. Pass the result of a comparison.")
    return bool(holds)


def _reference(see):
    return f"  [{see}]" if see else ""


def _fail(statement, saw):
    if saw != "":
        say(" ", f"saw: {saw}")
    if busy := disturbed():
        say(" ", f"{busy}. Run this section again when the machine has less to do.")
    say(" ", AGAIN)
    raise ClaimFailed(statement)
