"""How this room prints: short lines of plain text, the same in every run, that fold under their own first word."""

import sys
import textwrap

__all__ = ["RECORDED", "WIDTH", "as_recorded", "say"]

WIDTH = 100  # characters that fit a notebook's output at ordinary zoom, and GitHub's page, without a scroll bar
RECORDED = "· recorded"  # ends what rests on a recording; the tests take it out before they compare (tests/sanitize.cfg)


def say(mark: str, text: str, rests: bool = False) -> None:
    """Print `text` behind `mark`; lines that do not fit go on under the text, not under the mark.

    rests: it says what the running cell found, and so says too where that came from a recording.
    """
    lines = []
    for number, paragraph in enumerate(str(text).splitlines() or [""]):
        lines += textwrap.wrap(
            paragraph,
            WIDTH,
            initial_indent=f"{mark} " if number == 0 else " " * (len(mark) + 1),
            subsequent_indent=" " * (len(mark) + 1),
            break_long_words=False,  # an address or a name is never cut
            break_on_hyphens=False,
        ) or [mark]
    said = "\n".join(lines)
    replay = sys.modules.get("labs.lessons.replay")  # where nothing is replayed, it is not even loaded
    print(as_recorded(said) if rests and replay and replay.rests() else said)


def as_recorded(text: str, below: bool = False) -> str:
    """A text with the mark behind its last line; on a line of its own if that is to be `below`, or there is no room."""
    words = text.rstrip()
    room = not below and len(words.rpartition("\n")[2]) + len(RECORDED) < WIDTH
    gap = " " if room else "\n  "
    return f"{words}{gap}{RECORDED}{text[len(words) :]}" if words else text
