"""Where recordings are, and the one file that describes a chapter's: cells.json.

    data/24-tcp-connection/cells.json       what each live cell printed and what it left in its names
    data/24-tcp-connection/cap.pcapng       the captures among those

cells.json: {"format": 1, "chapter": …, "link": "tap", "cells": [CELL, …]}, the live cells in the notebook's order:
    key        sha256 of the cell's source, blanks at line ends and blank lines round it left out
    begins     its first line, for people who read the file
    restore    {name: value}, as labs.lessons.record_values writes it
    in_place   names among them that the cell changed without binding them anew
    live       names that it bound to something that cannot be written down
    deleted    names that it unbound
    outputs    what it showed: streams and text displays, as the notebook format has them
"""

import hashlib
import json
import os
from pathlib import Path

__all__ = ["FORMAT", "cell_key", "data_dir", "notebooks_dir", "read", "write"]

FORMAT = 1
PACKAGE = Path(__file__).resolve().parent.parent


def data_dir():
    """The folder of the recordings: `data` beside `labs` in a checkout, `labs/data` where labs is installed."""
    if os.environ.get("LABS_DATA"):
        return Path(os.environ["LABS_DATA"])
    return PACKAGE.parent / "data" if (PACKAGE.parent / "notebooks").is_dir() else PACKAGE / "data"


def notebooks_dir():
    """The folder of the notebooks in a checkout."""
    return PACKAGE.parent / "notebooks"


def cell_key(source):
    """What tells a cell from an edited one: blanks at line ends and blank lines before and after do not count."""
    lines = [line.rstrip() for line in source.splitlines()]
    return hashlib.sha256("\n".join(lines).strip("\n").encode("utf-8", "surrogatepass")).hexdigest()


def read(folder):
    """The recording in `folder`, or None where there is none.  Raises ValueError for one of another format."""
    file = Path(folder) / "cells.json"
    if not file.is_file():
        return None
    recording = json.loads(file.read_text(encoding="utf-8"))
    if recording.get("format") != FORMAT:
        raise ValueError(f"{file}: expected format {FORMAT}, got {recording.get('format')!r}; record the chapter again")
    return recording


def write(folder, recording):
    """Write cells.json; one item a line, so that a change shows as a few lines."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    text = json.dumps({"format": FORMAT, **recording}, indent=1, ensure_ascii=False)
    (Path(folder) / "cells.json").write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
