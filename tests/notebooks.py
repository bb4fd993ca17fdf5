"""Running chapters, and comparing what they show with what they saved: what test_notebooks, test_exercises and others stand on.

A kernel is dear: a second to start, and a chapter's length to run.  So a chapter runs once on a link, and whatever is to be found
out is found out from the outputs of that run, as data, by the rules that nbval uses.  nbval itself runs each chapter once.
"""

import copy
import functools
import os
import re
import signal
import subprocess
import sys
import time
import uuid
import warnings
import xml.etree.ElementTree as xml
from pathlib import Path

import nbformat
import pytest
from conftest import STACKS, not_run

from labs.lessons import record, store
from labs.lessons.publish import setup  # noqa: F401  for others
from labs.lessons.record import TEXT, tidy  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent
SANITIZE = ROOT / "tests" / "sanitize.cfg"
WRONG_ANSWERS = ROOT / "tests" / "wrong_answers"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
LINKS = ("tap", "veth", "relay", "recording")
CELL_TIMEOUT = 30  # seconds; a chapter keeps a cell under 4, a loaded machine may need more
NOTEBOOK_TIMEOUT = 300
GONE_WITHIN = 2.0  # seconds after the kernel's end, in which the lab process and all it started are gone
FEW = 12  # chapters; while there are no more, each runs through the relay
NOT_COMPARED = ("image/png", "image/jpeg", "application/vnd.jupyter.widget-view+json")  # nbval leaves them out
CHECK = re.compile(r"""labs\.exercise\(["']([\w-]+)["']\)\.check\(""")
FOLDED = re.compile(r"<details>\s*<summary>([^<]*)</summary>(.*?)</details>", re.S)
CODE = re.compile(r"```python\n(.*?)```", re.S)
HEADING = re.compile(r"(#+) (.*)")
# No capabilities and no user namespaces, as in a hardened container.
RESTRICT = (
    "echo 0 > /proc/sys/user/max_user_namespaces && "
    'exec setpriv --bounding-set=-all --inh-caps=-all --ambient-caps=-all --no-new-privs "$@"'
)


# ── which ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def chosen():
    """The notebooks to test: all, or the one that `pytest --chapter` names (conftest.py puts it into LABS_CHAPTER)."""
    slug = os.environ.get("LABS_CHAPTER")
    return [path for path in NOTEBOOKS if path.stem == slug] if slug else NOTEBOOKS


def each_notebook(test):
    return pytest.mark.parametrize("path", chosen(), ids=[path.stem for path in chosen()])(test)


def turns(link, notebooks=NOTEBOOKS, whole=STACKS or "LABS_CHAPTER" in os.environ):
    """The notebooks whose turn it is on `link`: all where there is time for the whole, or one is asked for.

    Else tap and recording have all, relay a third, by the chapter's number, when there are many; and on veth there are the
    exercises (home_of_exercises), which run the chapter between them.
    """
    if whole or link in ("tap", "recording"):
        return notebooks
    if link == "veth":
        return []
    return [path for path in notebooks if len(notebooks) <= FEW or int(path.stem[:2]) % 3 == 0]


def home_of_exercises():
    """veth, so that a chapter is seen there, too; where each runs there anyway, the link that learners have."""
    from labs.network.links import why_not

    return live_link() if STACKS or why_not("veth") else "veth"


def need(link):
    from labs.network.links import why_not

    if reason := why_not(link):
        not_run(f"link {link}", reason)


def live_link():
    """The best link on which the whole of a chapter is live, or a skip."""
    from labs.network.links import why_not

    reasons = {link: why_not(link) for link in ("tap", "veth")}
    if all(reasons.values()):
        not_run("a link that is live", "; ".join(f"{link}: {why}" for link, why in reasons.items()))
    return next(link for link, why in reasons.items() if not why)


def programs_of(path):
    """The programs that a chapter asks for (labs.program)."""
    recording = store.read(store.data_dir() / path.stem) or {"cells": []}
    return sorted({program for entry in recording["cells"] for program in entry.get("programs", ())})


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def load(path):
    return nbformat.read(path, as_version=4)


# ── running ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def environment(link, data=None, without="", pictures=False):
    """The variables of a kernel.  Drawing is two fifths of a chapter's time, so pictures are drawn where a test looks at them."""
    ours = ("LABS_LINK", "LABS_RECORD", "LABS_WITHOUT", "LABS_PICTURES")
    env = {name: value for name, value in os.environ.items() if name not in ours}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), env.get("PYTHONPATH")]))
    env |= {} if pictures else {"LABS_PICTURES": "0"}
    given = {"LABS_LINK": link, "LABS_DATA": data, "LABS_WITHOUT": without}
    return env | {name: str(value) for name, value in given.items() if value}


@functools.cache
def restricted():
    """The command that runs another one without privileges, or () where this machine cannot make such a place."""
    command = ("unshare", "-Ur", "sh", "-c", RESTRICT, "sh")
    try:
        works = subprocess.run([*command, "true"], capture_output=True, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        works = False
    if not works:
        warnings.warn("NOT RUN: link relay in a restricted process (unshare or setpriv fail here); forced instead", stacklevel=2)
    return command if works else ()


def run(notebook, folder, link, data=None, allow_errors=False, without="", pictures=False):
    """Execute in a fresh kernel, and see that it leaves no process behind; the outputs go into `notebook`.

    On "relay" the kernel is a restricted process that must come to this link by itself, where that can be had.
    """
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"run-{number}"  # the same cell may be there twice
    mark, seen, before = uuid.uuid4().hex, set(), ()
    env = environment(link, data, without, pictures) | {"LABS_TEST_MARK": mark}
    if link == "relay" and restricted():
        del env["LABS_LINK"]
        before = restricted()
    look = lambda **_: seen or seen.update(marked(mark))
    try:
        record.run(notebook, folder, env, before, CELL_TIMEOUT, allow_errors=allow_errors, on_cell_executed=look)
    finally:
        patience = time.monotonic() + GONE_WITHIN
        while (left := marked(mark)) and time.monotonic() < patience:
            time.sleep(0.02)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
    assert seen, "the search for processes does not find what runs"
    assert not left, f"processes are left: {left}"
    return notebook


def marked(mark):
    """Process ids of what was started with `mark` in its environment, lab processes and their programs included."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes():
                found.add(int(folder.name))
        except OSError:
            pass
    return found


def nbval_each(paths, link, tmp_path, data=None, before=()):
    """nbval, strict, in one process.  Returns ({notebook: {cell number: "" or the failure}}, all that it printed).

    before: the command that runs it, setpriv say.
    """
    report = tmp_path / "nbval.xml"
    command = [*before, sys.executable, "-m", "pytest", "-p", "nbval.plugin", "-p", "no:cacheprovider"]
    command += ["-q", "--color=no", "--nbval"]
    command += ["--nbval-current-env", "--nbval-sanitize-with", str(SANITIZE), "--nbval-cell-timeout", str(CELL_TIMEOUT)]
    command += ["-o", "junit_family=xunit1", "--junitxml", str(report), "--rootdir", str(paths[0].parent), "-c", os.devnull]
    env = environment(link, data) | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    if link == "relay" and restricted():
        del env["LABS_LINK"]
        command[:0] = restricted()
    command += map(str, paths)
    limit = NOTEBOOK_TIMEOUT * len(paths)
    done = subprocess.run(command, env=env, cwd=paths[0].parent, capture_output=True, text=True, timeout=limit)
    cells = {path.stem: {} for path in paths}
    for case in xml.parse(report).iter("testcase") if report.exists() else ():
        bad = [part.text or part.get("message") or "failed" for part in case if part.tag in ("failure", "error")]
        cells[Path(case.get("file")).stem][int(case.get("name").split()[-1])] = "\n".join(bad)
    return cells, done.stdout + done.stderr


def nbval(path, link, tmp_path, data=None, before=()):
    """nbval on one notebook: ({cell number: "" or the failure}, all that it printed)."""
    cells, out = nbval_each([path], link, tmp_path, data, before)
    return cells[path.stem], out


def tell(cells, out):
    bad = {number: text for number, text in cells.items() if text}
    return "\n".join(f"cell {number}: {text}" for number, text in bad.items()) or out[-3000:]


# ── comparing ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@functools.cache
def rules():
    return [(re.compile(a), b) for a, b in re.findall(r"^regex: (.*)$\n^replace: (.*)$", SANITIZE.read_text(), re.M)]


def texts(cell):
    """What nbval compares of a cell: {kind: [text, …]}, sanitized."""
    found = {}
    for output in cell.outputs:
        if output.output_type == "stream":
            found[output.name] = [found.get(output.name, [""])[0] + output.text]
        elif output.output_type == "error":
            found.setdefault("error", []).append(f"{output.ename}: {output.evalue}")
        else:
            for kind, text in output.data.items():
                if kind not in NOT_COMPARED:
                    found.setdefault(kind, []).append(text)
    for kind, parts in found.items():
        for expression, replacement in rules():
            parts = [expression.sub(replacement, part) for part in parts]
        found[kind] = parts
    return found


def ignored(cell):
    return bool({"nbval-ignore-output", "nbval-skip"} & set(cell.metadata.get("tags", ()))) or "# NBVAL_" in cell.source


def differing(ran, saved):
    """The indices of the cells that do not show what they saved."""
    pairs = enumerate(zip(ran, saved, strict=True))
    return [index for index, (one, other) in pairs if not ignored(other) and texts(one) != texts(other)]


def difference(ran, saved, turn=""):
    """The first three cells that differ, from where they differ: "" when none does."""
    said = []
    for index in differing(ran, saved)[:3]:
        one, other = (repr(sorted(texts(cell).items())) for cell in (ran[index], saved[index]))
        at = max(0, next((at for at, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other))) - 60)
        said.append(f"{turn}cell {index}:\n{saved[index].source}\nsaved: …{other[at : at + 400]}\n  now: …{one[at : at + 400]}\n")
    return "\n".join(said)


def alter(text):
    """The text with its first letter or digit changed to its neighbour; what stands behind "link:" is not compared."""
    for index, sign in enumerate(text):
        if sign.isascii() and sign.isalnum():
            return text[:index] + chr(ord(sign) ^ 1) + text[index + 1 :]
    return text + "x"


def altered(notebook):
    """A copy in which one text of every cell is altered, and the indices of those cells.  Which text: the first of the first
    cell, the second of the second, and so on, round and round, so that every kind of output has its turn."""
    notebook, changed = copy.deepcopy(notebook), []
    for index, cell in enumerate(code_cells(notebook)):
        places = [(output, "text") for output in cell.outputs if output.output_type == "stream"]
        places += [(output.data, kind) for output in cell.outputs if "data" in output for kind in output.data if kind in TEXT]
        if places and not ignored(cell):
            holder, key = places[index % len(places)]
            holder[key] = alter(holder[key])
            changed.append(index)
    return notebook, changed


STOP_DRAWING = "import os; os.environ['LABS_PICTURES'] = '0'"


def check_run(path, link, data=None, without="", twice=False, pictures=False):
    """Run All, once or twice in one kernel: every output is the saved one; and had another been saved, it would be seen.

    pictures: draw them, the first time through, and see that each is there.  Returns how many saved texts were altered.
    """
    saved = code_cells(load(path))
    notebook = load(path)
    first, between = code_cells(notebook), [nbformat.v4.new_code_cell(STOP_DRAWING)] if pictures else []
    second = copy.deepcopy(first) if twice else []
    notebook.cells = [*first, *(between if twice else ()), *second]
    run(notebook, path.parent, link, data, allow_errors=True, without=without, pictures=pictures)
    __tracebackhide__ = True  # what differs says all
    if said := difference(first, saved) or (twice and difference(second, saved, "the second time, ")):
        pytest.fail(said)
    if pictures:
        assert [drawn(cell) for cell in first] == [drawn(cell) for cell in saved]
    other, changed = altered(load(path))
    assert differing(first, code_cells(other)) == changed
    return len(changed)


def drawn(cell):
    """How many pictures a cell shows."""
    return sum("image/png" in output.get("data", ()) for output in cell.outputs)


def check_recording(path, folder):
    recording = store.read(folder)
    assert recording, f"no recording of {path.stem}; make it with: python -m labs record {path.stem}"
    stale = f"the recording is older than the notebook; make it anew with: python -m labs record {path.stem}"
    cells = iter(code_cells(load(path)))
    files = set()
    for entry in recording["cells"]:
        cell = next((cell for cell in cells if store.cell_key(cell.source) == entry["key"]), None)
        assert cell is not None, stale
        assert not drawn(cell), cell.source
        assert texts(cell) == texts(nbformat.from_dict({"outputs": entry["outputs"]})), stale
        files |= set(re.findall(r"'([\w-]+\.pcapng)'", repr(entry["restore"])))
    assert files == {file.name for file in folder.glob("*.pcapng")}


# ── exercises, and parts that can be left out ────────────────────────────────────────────────────────────────────────────


def deeper(notebook):
    """The parts called Deeper: [cells, …], each from its heading to the next one of its rank or above."""
    parts, rank = [], 0
    for cell in notebook.cells:
        heading = HEADING.match(cell.source) if cell.cell_type == "markdown" else None
        if rank and heading and len(heading[1]) <= rank:
            rank = 0
        if not rank and heading and "Deeper: " in heading[2]:
            rank = len(heading[1])
            parts.append([])
        if rank:
            parts[-1].append(cell)
            assert cell.cell_type == "code" or not re.search(r"\n#+ ", cell.source), "a heading has a cell of its own"
    return parts


def without_deeper(notebook):
    left_out = {cell.id for part in deeper(notebook) for cell in part}
    notebook.cells = [cell for cell in notebook.cells if cell.id not in left_out]
    return notebook


def answers(path):
    """{id: {"solution": [code, …], "wrong": [code, …]}}: each code ends with the check, which names the exercise.

    Solutions are ```python blocks folded in <details> with "solution" in the summary.  Wrong answers are folded so, with
    "wrong" in the summary, or stand in tests/wrong_answers/SLUG.py, each behind a line that begins with "# %%".
    """
    found = {}
    for cell in load(path).cells:
        for summary, body in FOLDED.findall(cell.source) if cell.cell_type == "markdown" else ():
            kind = next((kind for kind in ("wrong", "solution") if kind in summary.lower()), None)
            for code in CODE.findall(body) if kind else ():
                file_answer(found, kind, code)
    extra = WRONG_ANSWERS / f"{path.stem}.py"
    if extra.exists():
        for code in re.split(r"^# %%.*\n", extra.read_text(encoding="utf-8"), flags=re.M)[1:]:
            file_answer(found, "wrong", code)
    return found


def file_answer(found, kind, code):
    ids = set(CHECK.findall(code))
    assert len(ids) == 1, f"an answer must end with the check of its exercise, and of no other:\n{code}"
    found.setdefault(ids.pop(), {}).setdefault(kind, []).append(code)


def check_exercises(path, link, data=None):
    """Right behind each stub: its solutions, then its wrong answers.  Returns how many exercises there are.

    The parts called Deeper are left out: what else there is, exercises included, shows the same without them.
    """
    notebook, known = without_deeper(load(path)), answers(path)
    chapter = code_cells(notebook)
    saved = copy.deepcopy(chapter)
    cells, wanted = [], []  # wanted: (id, kind, cell)
    for cell in chapter:
        cells.append(cell)
        for id in dict.fromkeys(CHECK.findall(cell.source)):
            wanted.append((id, "stub", cell))
            for kind in ("solution", "wrong"):  # a solution first: it has only what the chapter has
                assert known.get(id, {}).get(kind), f"{id} has no {kind} answer; see answers() in tests/notebooks.py"
                for code in known[id][kind]:
                    cells.append(nbformat.v4.new_code_cell(code))
                    wanted.append((id, kind, cells[-1]))
    assert set(known) <= {id for id, *_ in wanted}, "there is an answer to an exercise that no cell checks"
    notebook.cells = cells
    run(notebook, path.parent, link, data, allow_errors=True)  # cells of the chapter may meet what a solution left behind
    for cell, ran in zip(saved, chapter):  # up to the first exercise: what solutions leave behind may show further down
        if CHECK.search(cell.source):
            break
        assert ignored(cell) or texts(ran) == texts(cell), f"without the parts called Deeper:\n{cell.source}"
    stubs = {}
    for id, kind, cell in wanted:
        assert not (raised := texts(cell).get("error")), f"{kind} of {id}: {raised}\n{cell.source}"
        feedback = re.findall(rf"^. {re.escape(id)} · (\w+): (.*)", texts(cell).get("stdout", [""])[0], re.M)
        assert feedback, f"{kind} of {id} printed no feedback:\n{cell.source}"
        status, text = feedback[-1]
        expected = {"stub": ("missing",), "solution": ("done",), "wrong": ("close", "missing")}[kind]
        assert status in expected, f"{kind} of {id}: expected {' or '.join(expected)}, got {status}: {text}\n{cell.source}"
        if kind == "stub":
            stubs[id] = text
        assert kind != "wrong" or text != stubs[id], f"{kind} of {id} gets the stub's feedback: {text}"
    return len(stubs)
