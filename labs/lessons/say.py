"""How this room prints: short lines of plain text, the same in every run, that fold under their own first word."""

import textwrap

__all__ = ["WIDTH", "say"]

WIDTH = 100  # characters that fit a notebook's output at ordinary zoom, and GitHub's page, without a scroll bar


def say(mark, text):
    """Print `text` behind `mark`; lines that do not fit go on under the text, not under the mark."""
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
    print("\n".join(lines))
