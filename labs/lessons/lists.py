"""The two lists of chapters, in README.md and in chapter 00: what is here today is linked, the rest is planned.

The words of a line are written by hand, once for each of the 25 chapters.  The links, and under which heading README.md has the
line, follow from what is in notebooks/: `python -m labs new`, `record` and `publish` bring both lists up to date.
"""

import json
import re
from pathlib import Path

from labs.lessons import store
from labs.lessons.chapter import CHAPTERS

__all__ = ["stale", "titles", "update"]

MARKED = re.compile(r"(<!-- chapters -->\n).*?(<!-- /chapters -->\n)", re.S)
LINE = re.compile(r"^- \[?(\d\d) ([^\]:]+)(?:\]\([^)]*\))?: (.*)$", re.M)  # - [24 A TCP connection](notebooks/…): both kernels' …
ROW = re.compile(r"^\| \[?(\d\d)(?:\]\([^)]*\))? \| (?:\[([^\]]+)\]\([^)]*\)|([^|\[]+?)) \| (.*) \|$", re.M)
HERE = "Here today:"
PLANNED = "Planned, in the order of the course:"


def update(root: Path | None = None) -> list[Path]:
    """Write the lists anew; returns the files that changed."""
    changed = stale(root)
    for path, text in changed.items():
        path.write_text(text, encoding="utf-8")
    return list(changed)


def stale(root: Path | None = None) -> dict[Path, str]:
    """{file: its text as it should be}, of those whose list differs from what is in notebooks/; none outside a checkout."""
    root = Path(root or store.PACKAGE.parent)
    readme, tour = root / "README.md", root / "notebooks" / f"{CHAPTERS[0]}.ipynb"
    made = {readme: _readme, tour: _map}
    here = {path.stem[:2]: path.stem for path in (root / "notebooks").glob("[0-9]*.ipynb")}
    found = {path: (path.read_text(encoding="utf-8"), make) for path, make in made.items() if path.is_file()}
    return {path: new for path, (text, make) in found.items() if (new := make(text, here)) != text}


def titles(root: Path | None = None) -> dict[str, tuple[str, str]]:
    """{"24": (title, what it is about)}, as README.md has them."""
    text = (Path(root or store.PACKAGE.parent) / "README.md").read_text(encoding="utf-8")
    marked = MARKED.search(text)
    found = LINE.findall(marked[0]) if marked else []
    if [number for number, *_ in sorted(found)] != [slug[:2] for slug in CHAPTERS]:
        raise ValueError(
            "README.md: expected one line `- NN Title: what it is about` for each of the "
            f"{len(CHAPTERS)} chapters, between <!-- chapters --> and <!-- /chapters -->; got {len(found)}"
        )
    return {number: (title, about) for number, title, about in found}


def _readme(text, here):
    lines = sorted(LINE.findall(MARKED.search(text)[0])) if MARKED.search(text) else []
    today = [f"- [{number} {title}](notebooks/{here[number]}.ipynb): {about}" for number, title, about in lines if number in here]
    later = [f"- {number} {title}: {about}" for number, title, about in lines if number not in here]
    parts = [[head, "", *rows, ""] for head, rows in ((HERE, today), (PLANNED, later)) if rows]
    return MARKED.sub(lambda found: found[1] + "\n".join(sum(parts, [])) + found[2], text)


def _map(text, here):
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown" and (new := ROW.sub(lambda found: _row(found, here), source)) != source:
            cell["source"] = new.splitlines(keepends=True)
    return store.as_text(notebook)


def _row(found, here):
    number, linked, plain, about = found.groups()
    title = linked or plain
    if number not in here:
        return f"| {number} | {title} | {about} |"
    return f"| [{number}]({here[number]}.ipynb) | [{title}]({here[number]}.ipynb) | {about} |"
