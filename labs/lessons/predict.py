"""Guess first, look second.  A guess that was written down is what makes the answer stick; leaving it out blocks nothing."""

from typing import Any

from labs.lessons.say import say

__all__ = ["predict"]


def predict(question: str, guess: Any, answer: Any, why: str = "", within: float = 0) -> None:
    """Print the question, the guess and the answer.

    `guess` is None (or "" or ...) when the learner made none.  `within` is the share of the answer by which a number may
    miss it and still count: 0.1 is ten per cent.  Texts match whatever their case and spacing; "yes" and "no" match True
    and False.  A guess never raises, whatever it is.
    """
    say("?", question)
    shown = _shown(answer)
    if guess is None or guess is ... or (isinstance(guess, str) and not guess.strip()):
        verdict = f"no guess yet · answer: {shown}"
    elif _matches(guess, answer, within):
        verdict = f"your guess: {_shown(guess)} ✓" + ("" if _shown(guess) == shown else f" · answer: {shown}")
    else:
        verdict = f"your guess: {_shown(guess)} ✗ · answer: {shown}"
    say(" ", verdict, rests=True)
    if why:
        say(" ", why)


def _matches(guess, answer, within):
    try:
        if isinstance(answer, (int, float)) and not isinstance(answer, bool) and isinstance(guess, (int, float)):
            return abs(guess - answer) <= within * abs(answer)
        return bool(guess == answer) or _plain(guess) == _plain(answer)
    except Exception:  # a guess of any kind: what cannot be compared does not match
        return False


def _plain(value):
    if isinstance(value, bool):
        value = "yes" if value else "no"
    text = " ".join(str(value).split()).casefold()
    return {"true": "yes", "false": "no"}.get(text, text)


def _shown(value):
    """A value as it is read in a sentence: no quotes round a text, yes and no for a bool."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_shown, value)) or "nothing"
    if isinstance(value, (str, int, float)):
        return str(value).strip()
    text = repr(value)
    return text if " at 0x" not in text else f"<{type(value).__name__}>"  # an object's address differs in every run
