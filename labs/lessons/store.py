"""Where recordings are, and the one file that describes a chapter's: cells.json.

    data/24-tcp-connection/cells.json       what each live cell printed and what it left in its names
    data/24-tcp-connection/cap.pcapng       the captures among those

cells.json: {"format": 2, "chapter": …, "link": "tap", "cells": [CELL, …]}, the live cells in the notebook's order:
    key        tells the cell from all others: see cell_key
    begins     its first line, for people who read the file
    outputs    what it showed: streams and text displays, as the notebook format has them
    restore    {name: value}, what it bound or changed, as labs.lessons.record_values writes it
    in_place   names among them that the cell changed without binding them anew
    live       names that it bound to something that cannot be written down
    programs   only where there are some: the programs without which the cell cannot run (labs.lessons.installed)
"""

import ast
import functools
import hashlib
import json
import os
from pathlib import Path

__all__ = ["FORMAT", "as_python", "as_text", "cell_key", "data_dir", "notebooks_dir", "read", "write"]

FORMAT = 2
PACKAGE = Path(__file__).resolve().parent.parent
WITHOUT_MEANING = ("ctx", "kind", "type_comment")  # of a syntax tree's fields: who made them, not what they say


def data_dir() -> Path:
    """The folder of the recordings: `data` beside `labs` in a checkout, `labs/data` where labs is installed."""
    if os.environ.get("LABS_DATA"):
        return Path(os.environ["LABS_DATA"])
    return PACKAGE.parent / "data" if (PACKAGE.parent / "notebooks").is_dir() else PACKAGE / "data"


def notebooks_dir() -> Path:
    """The folder of the notebooks in a checkout."""
    return PACKAGE.parent / "notebooks"


def as_text(notebook: dict) -> str:
    """A notebook as its file holds it."""
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def as_python(source: str) -> str:
    """A cell as Python: what IPython has of its own (%magic, !command) is translated."""
    from IPython.core.inputtransformer2 import TransformerManager  # late: a lesson without recordings needs no IPython

    return TransformerManager().transform_cell(source)


@functools.lru_cache(1024)
def cell_key(source: str) -> str:
    """What tells a cell from an edited one: the sha256 of its syntax tree, so comments and spaces do not count.

    Where the cell is no Python, of its text.
    """
    try:
        meaning = _shape(ast.parse(as_python(source)))
    except (SyntaxError, ValueError, RecursionError):
        meaning = source.strip()
    return hashlib.sha256(meaning.encode("utf-8", "surrogatepass")).hexdigest()


def _shape(node):
    """A syntax tree as text, the same in every version of Python: newer ones add fields, which are empty in older code."""
    if isinstance(node, list):
        return f"[{', '.join(map(_shape, node))}]"
    if not isinstance(node, ast.AST):
        return ascii(node)
    if isinstance(node, ast.JoinedStr):  # Python 3.12 has the text between two braces in pieces, 3.11 and 3.13 have it whole
        return "f" + "".join(ascii(v.value)[1:-1] if isinstance(v, ast.Constant) else _shape(v) for v in node.values)
    said = [(name, value) for name, value in ast.iter_fields(node) if name not in WITHOUT_MEANING and value not in (None, [])]
    return f"{type(node).__name__}({', '.join(f'{name}={_shape(value)}' for name, value in said)})"


def read(folder: str | Path) -> dict | None:
    """The recording in `folder`, or None where there is none of this format: then `python -m labs record` makes one."""
    file = Path(folder) / "cells.json"
    recording = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return recording if recording.get("format") == FORMAT else None


def write(folder: str | Path, recording: dict) -> None:
    """Write cells.json; one item a line, so that a change shows as a few lines."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    text = json.dumps({**recording, "format": FORMAT}, indent=1, ensure_ascii=False)
    (Path(folder) / "cells.json").write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
