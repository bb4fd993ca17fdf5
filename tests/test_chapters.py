"""How a chapter is saved: its set-up cell, its length, the time it says, the parts called Deeper, its recording, its links."""

import ast
import copy
import re
import statistics

from labs.lessons import store
from labs.lessons.publish import address, setup
from labs.lessons.record import tidy
from notebooks import (
    CODE,
    FOLDED,
    check_recording,
    code_cells,
    deeper,
    each_notebook,
    ignored,
    load,
    texts,
    without_deeper,
)  # fmt: skip

IGNORED = re.compile(r"^# output not compared: \S.*$", re.M)  # the reason, where a cell's output is ignored
STATED = re.compile(r"About (\d+) minutes(?:, and (\d+) more for the parts? called Deeper, which nothing else needs)?\.")
PART = re.compile(r"#+ .*Deeper: .*\n\n\*(?:About (\d+) minutes|A minute); nothing outside this part needs it\.\*\n\n")


@each_notebook
def test_setup_cell(path):
    assert code_cells(load(path))[0].source == setup(path.stem, address())


@each_notebook
def test_cell_lengths(path):
    notebook = load(path)
    lengths = [len(cell.source.splitlines()) for cell in code_cells(notebook)]
    assert statistics.median(lengths) <= 5
    assert sum(length <= 12 for length in lengths) >= 0.9 * len(lengths), sorted(lengths)
    assert max(lengths) <= 25
    # what JupyterLab shows of a line in a window of 1100 pixels, of a cell and of a fence in a text
    assert max(len(line) for cell in code_cells(notebook) for line in cell.source.splitlines()) <= 118
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert max(len(line) for code in CODE.findall(prose) for line in code.splitlines()) <= 98


def minutes(cells):
    """What chapter 00 says: 200 words of prose a minute, 15 lines of code, 8 seconds for each cell that runs."""
    took = 0
    for cell in cells:
        if cell.cell_type == "code":
            took += sum(bool(line.strip()) for line in cell.source.splitlines()) / 15 + 8 / 60
        else:
            shown = re.sub(r"https?://\S+", "", FOLDED.sub("", cell.source))
            took += len(re.findall(r"\w[\w’'.-]*", shown)) / 200
    return took


@each_notebook
def test_the_time_it_says_is_what_it_takes(path):
    """To the nearest five minutes; what is not called Deeper takes 45 at most."""
    notebook = load(path)
    parts = deeper(notebook)
    here, there = minutes(without_deeper(notebook).cells), sum(map(minutes, parts))
    stated, more = (int(number or 0) for number in STATED.search(notebook.cells[0].source).groups())
    assert stated <= 45 and abs(stated - here) <= 2.5 and abs(more - there) <= 2.5 and bool(more) == bool(parts), (here, there)
    for part in parts:
        said = PART.match(part[0].source)
        assert said and abs(int(said[1] or 1) - minutes(part)) < 1, f"{part[0].source}: {minutes(part)} minutes"


def names(cells):
    """(names that these cells use, names that they give), as far as a reader of the source can tell."""
    used, given = set(), set()
    for cell in cells:
        for node in ast.walk(ast.parse(cell.source if cell.cell_type == "code" else "")):
            if isinstance(node, ast.Name):
                (used if isinstance(node.ctx, ast.Load) else given).add(node.id)
            elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                given.add(node.name)
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                given |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
            elif isinstance(node, ast.arg):
                given.add(node.arg)
    return used, given


@each_notebook
def test_no_part_called_deeper_needs_another(path):
    """That nothing else needs them shows in test_exercises, which leaves them all out."""
    notebook = load(path)
    parts = [names(part) for part in deeper(notebook)]
    _, main = names(without_deeper(notebook).cells)
    for used, given in parts:
        assert not (used - given - main) & set().union(*(others for _, others in parts)), used - given - main


@each_notebook
def test_saved_clean(path):
    notebook = load(path)
    assert [cell.execution_count for cell in code_cells(notebook)] == list(range(1, len(code_cells(notebook)) + 1))
    before = copy.deepcopy(notebook)
    tidy(notebook, path.stem)
    assert notebook == before, f"not saved by `python -m labs record {path.stem}`"
    for cell in code_cells(notebook):
        assert not cell.source.rstrip().endswith(";"), f"nbval shows what a `;` hides:\n{cell.source}"
        shown = "\n".join(text for parts in texts(cell).values() for text in parts if isinstance(text, str))
        assert " at 0x" not in shown, f"an address, which differs in every run:\n{cell.source}"
        assert not any(output.output_type == "error" for output in cell.outputs), cell.source


@each_notebook
def test_few_outputs_are_ignored(path):
    cells = code_cells(load(path))
    skipped = [cell for cell in cells if ignored(cell)]
    assert len(skipped) <= 0.03 * len(cells)
    for cell in skipped:
        assert IGNORED.search(cell.source), f"expected a line `# output not compared: REASON` in:\n{cell.source}"
    for cell in cells:
        assert "raises-exception" not in cell.metadata.get("tags", ()), "nbval passes such a cell even when it raises nothing"


@each_notebook
def test_recording_is_current(path):
    check_recording(path, store.data_dir() / path.stem)
