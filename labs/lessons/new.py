"""`python -m labs new 12-websockets`: the places of a chapter, as stubs that run.

    notebooks/12-websockets.ipynb          the set-up cell, one section, one exercise with its solution
    labs/lessons/graders/chapter_12.py     what grades that exercise
    tests/wrong_answers/12-websockets.py   what must be told that it is wrong

`python -m labs record 12-websockets` then makes the fourth, data/12-websockets/.  The lists of chapters are brought up to date.
"""

from pathlib import Path

from labs.lessons import lists, publish, store
from labs.lessons.chapter import known
from labs.lessons.record import METADATA

__all__ = ["new"]

TITLE = """# {number} · {title}

{about}

*About 2 minutes. Afterwards you can:*

- *…*"""
SECTION = """## 1. What crosses the wire?

Say what to look for, before the cell that shows it."""
HOSTS = 'net = labs.network("client", "server")\nclient, server = net\nlistener = server.listen(80)'
GUESS = "my_guess = None  # how many SYNs?"
CAPTURE = "with net.capture() as cap:\n    sock = client.connect(server, 80)"
LADDER = "cap.ladder()"
CLAIM = """syns = [frame for frame in cap if frame.syn and not frame.is_ack]
labs.predict("How many SYNs ask for a connection?", my_guess, len(syns))
labs.claim("one SYN asks for a connection", len(syns) == 1, see="RFC 9293 §3.5")"""
TASK = "## Earn it\n\n**1. First.** Hand in a capture in which a connection is asked for."
STUB = 'my_first = None  # your capture\nlabs.exercise("{number}-first").check(my_first)'
SOLVED = """mine = labs.network("client", "server")
door = mine["server"].listen(80)
with mine.capture() as my_first:
    end = mine["client"].connect(mine["server"], 80)
labs.exercise("{number}-first").check(my_first)"""
SOLUTION = "<details><summary>One solution</summary>\n\n```python\n" + SOLVED + "\n```\n\n</details>"
GRADER = '''"""The exercises of chapter {slug}."""

from labs.captures.capture import Capture
from labs.lessons.exercise import Exercise, close, done


class First(Exercise):
    id = "{number}-first"
    title = "Hand in a capture in which a connection is asked for"
    expects = Capture
    hints = ("A SYN asks for a connection.", "connect() sends one.", 'mine["client"].connect(mine["server"], 80)')

    def grade(self, capture):
        syns = [frame for frame in capture if frame.syn and not frame.is_ack]
        if not syns:
            return close(f"no SYN is among the {{len(capture)}} frames of this capture: nobody asked for a connection")
        return done(f"{{syns[0].sender}} sent a SYN")
'''
WRONG = '''"""Plausible wrong answers to the exercises of chapter {number}; each must get feedback of its own."""

# %% {number}-first: connected before the capture began
mine = labs.network("client", "server")
door = mine["server"].listen(80)
end = mine["client"].connect(mine["server"], 80)
with mine.capture() as my_first:
    end.sendall(b"too late")
labs.exercise("{number}-first").check(my_first)
'''


def new(slug: str, root: Path | None = None) -> list[Path]:
    """Write the stubs of a chapter that the syllabus has; returns what was written, the changed lists included.

    ValueError for a name that is no chapter's, FileExistsError where one of its places is taken: then nothing is written.
    """
    known(slug)
    root = Path(root or store.PACKAGE.parent)
    number = slug[:2]
    title, about = lists.titles(root)[number]
    words = {"slug": slug, "number": number, "title": title, "about": about[:1].upper() + about[1:]}
    files = {
        root / "notebooks" / f"{slug}.ipynb": _notebook(slug, words, publish.address(root)),
        root / "labs" / "lessons" / "graders" / f"chapter_{number}.py": GRADER.format(**words),
        root / "tests" / "wrong_answers" / f"{slug}.py": WRONG.format(**words),
    }
    if taken := [str(path.relative_to(root)) for path in files if path.exists()]:
        raise FileExistsError(f"{', '.join(taken)} is there already; nothing was written")
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    return [*files, *lists.update(root)]


def _notebook(slug, words, address):
    code = {"cell_type": "code", "execution_count": None, "outputs": []}
    setup, text = publish.setup(slug, address), {"cell_type": "markdown"}
    parts = [
        (text, TITLE.format(**words)), (code, setup), (text, SECTION), (code, HOSTS), (code, GUESS), (code, CAPTURE),
        (code, LADDER), (code, CLAIM), (text, TASK), (code, STUB), (text, SOLUTION),
    ]  # fmt: skip
    cells = [
        {**kind, "id": f"{words['number']}-{position:03}", "metadata": {},
         "source": source.replace("{number}", words["number"]).splitlines(keepends=True)}
        for position, (kind, source) in enumerate(parts, 1)
    ]  # fmt: skip
    return store.as_text({"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5})
