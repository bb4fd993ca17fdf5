"""Every notebook, on every link: runs, shows what it saved, catches a change, reads as a chapter should.

What this machine cannot run (a link that it lacks) is skipped with its reason, and said again in the warnings.
"""

import ast
import copy
import functools
import itertools
import os
import re
import statistics
import subprocess
import sys
import threading
import time
import uuid
import warnings
import xml.etree.ElementTree as xml
from pathlib import Path

import nbformat
import pytest

from labs.lessons import store
from labs.lessons.publish import address, setup
from labs.lessons.record import TEXT, tidy

ROOT = Path(__file__).resolve().parent.parent
SANITIZE = ROOT / "tests" / "sanitize.cfg"
WRONG_ANSWERS = ROOT / "tests" / "wrong_answers"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
LINKS = ("tap", "veth", "relay", "recording")
CELL_TIMEOUT = 30  # seconds; a chapter keeps a cell under 4, a loaded machine may need more
NOTEBOOK_TIMEOUT = 300
IGNORED = re.compile(r"^# output not compared: \S.*$", re.M)  # the reason, where a cell's output is ignored
CHECK = re.compile(r"""labs\.exercise\(["']([\w-]+)["']\)\.check\(""")
FOLDED = re.compile(r"<details>\s*<summary>([^<]*)</summary>(.*?)</details>", re.S)
CODE = re.compile(r"```python\n(.*?)```", re.S)
HEADING = re.compile(r"(#+) (.*)")
STATED = re.compile(r"About (\d+) minutes(?:, and (\d+) more for the parts? called Deeper, which nothing else needs)?\.")
PART = re.compile(r"#+ .*Deeper: .*\n\n\*(?:About (\d+) minutes|A minute); nothing outside this part needs it\.\*\n\n")
# No capabilities and no user namespaces, as in a hardened container.
RESTRICT = (
    "echo 0 > /proc/sys/user/max_user_namespaces && "
    'exec setpriv --bounding-set=-all --inh-caps=-all --ambient-caps=-all --no-new-privs "$@"'
)

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])


# ── machinery ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def not_run(reason):
    """Skip, loudly: a skip is one letter in a quiet run, a warning is a line."""
    warnings.warn(f"NOT RUN: {reason}", stacklevel=2)
    pytest.skip(reason)


def need(link):
    from labs.network.links import why_not

    if reason := why_not(link):
        not_run(f"link {link}: {reason}")


def environment(link, data=None, without=""):
    env = {name: value for name, value in os.environ.items() if name not in ("LABS_LINK", "LABS_RECORD", "LABS_WITHOUT")}
    if without:
        env["LABS_WITHOUT"] = without
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), env.get("PYTHONPATH")]))
    if link:
        env["LABS_LINK"] = link
    if data:
        env["LABS_DATA"] = str(data)
    return env


@functools.cache
def restricted():
    """The command that runs another one without privileges, or () where this machine cannot make such a place."""
    command = ("unshare", "-Ur", "sh", "-c", RESTRICT, "sh")
    try:
        works = subprocess.run([*command, "true"], capture_output=True, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        works = False
    return command if works else ()


def nbval(path, link, tmp_path, data=None, without="", mark=None, before=()):
    """Run nbval, strict.  Returns ({cell number: "" or the failure}, all that it printed).

    mark: "NAME=value" for the environment of its processes; before: the command that runs it, setpriv say.
    """
    report = tmp_path / f"{path.stem}-{link}.xml"
    command = [sys.executable, str(ROOT / "tests" / "nbval_run.py"), "-p", "no:cacheprovider", "-q", "--color=no", "--nbval"]
    command += ["--nbval-current-env", "--nbval-sanitize-with", str(SANITIZE), "--nbval-cell-timeout", str(CELL_TIMEOUT)]
    command += ["--junitxml", str(report), "--rootdir", str(path.parent), "-c", os.devnull, str(path)]
    env = environment(link, data, without) | dict([mark.split("=")] if mark else ())
    if link == "relay" and restricted():
        del env["LABS_LINK"]  # it must come to "relay" by itself
        command = [*restricted(), *command]
    elif link == "relay":
        warnings.warn("NOT RUN: link relay in a restricted process (unshare or setpriv fail here); forced instead", stacklevel=2)
    command = [*before, *command]
    done = subprocess.run(command, env=env, cwd=path.parent, capture_output=True, text=True, timeout=NOTEBOOK_TIMEOUT)
    cells = {}
    if report.exists():
        for case in xml.parse(report).iter("testcase"):
            bad = [part.text or part.get("message") or "failed" for part in case if part.tag in ("failure", "error")]
            cells[int(case.get("name").split()[-1])] = "\n".join(bad)
    return cells, done.stdout + done.stderr


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def load(path):
    return nbformat.read(path, as_version=4)


def run(notebook, folder, link, data=None, allow_errors=False, without=""):
    """Execute in a fresh kernel; the outputs go into `notebook`."""
    from nbclient import NotebookClient

    for last in (False, True):
        client = NotebookClient(
            notebook,
            timeout=CELL_TIMEOUT,
            kernel_name="python3",
            resources={"metadata": {"path": str(folder)}},
            coalesce_streams=True,
            allow_errors=allow_errors,
        )
        try:
            client.execute(env=environment(link, data, without), stderr=subprocess.DEVNULL)
            return notebook
        except RuntimeError as error:
            if last or not never_came_up(str(error)):
                raise


def never_came_up(text):
    """Whether a kernel did not even start: jupyter_client chooses its ports and lets them go, and somebody may be faster."""
    return "Kernel didn't respond in" in text or "Kernel died before replying to kernel_info" in text


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
                if kind not in ("image/png", "image/jpeg"):
                    found.setdefault(kind, []).append(text)
    for kind, parts in found.items():
        for expression, replacement in rules():
            parts = [expression.sub(replacement, part) for part in parts]
        found[kind] = parts
    return found


def ignored(cell):
    return bool({"nbval-ignore-output", "nbval-skip"} & set(cell.metadata.get("tags", ()))) or "# NBVAL_" in cell.source


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


def tell(cells, out):
    bad = {number: text for number, text in cells.items() if text}
    return "\n".join(f"cell {number}: {text}" for number, text in bad.items()) or out[-3000:]


# ── it runs, and shows what it saved ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("link", LINKS[1:])  # tap: test_twelve_at_once_and_nothing_is_left
@each_notebook
def test_every_output_is_the_saved_one(path, link, tmp_path, combination):
    need(link)
    cells, out = nbval(path, link, tmp_path)
    assert len(cells) == len(code_cells(load(path))) and not any(cells.values()), tell(cells, out)
    combination("current stack", link, path.stem)


@pytest.mark.skipif(os.getuid() != 0, reason="who runs this is an ordinary user: all the others show it")
@each_notebook
def test_as_an_ordinary_user(path, tmp_path, combination):
    """On tap, as somebody without any privilege: a uid of its own, no group, no capability, none to be gained."""
    need("tap")
    as_nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all",
                 "--no-new-privs", "env", f"HOME={tmp_path}")  # fmt: skip
    tmp_path.chmod(0o777)
    for folder in (tmp_path, *tmp_path.parents[:-2]):  # pytest's own folders are closed to others
        folder.chmod(folder.stat().st_mode | 0o755)
    readable = subprocess.run([*as_nobody, sys.executable, "-c", f"import sys; sys.path[:0] = [{str(ROOT)!r}]; import labs"])
    if readable.returncode:
        not_run(f"{path.stem} as an ordinary user: {sys.executable} or {ROOT.name} cannot be read by others")
    copied = tmp_path / path.name
    copied.write_bytes(path.read_bytes())
    cells, out = nbval(copied, "tap", tmp_path, store.data_dir(), before=as_nobody)
    assert len(cells) == len(code_cells(load(path))) and not any(cells.values()), tell(cells, out)
    combination("current stack as an ordinary user", "tap", path.stem)


@pytest.mark.parametrize("link", ("tap", "relay"))  # relay: live and recorded cells in turns
@each_notebook
def test_run_all_twice_in_one_kernel(path, link):
    need(link)
    check_run_twice(path, link)


def programs_of(path):
    """The programs that a chapter asks for (labs.program)."""
    recording = store.read(store.data_dir() / path.stem) or {"cells": []}
    return sorted({program for entry in recording["cells"] for program in entry.get("programs", ())})


@pytest.mark.parametrize("path", [path for path in NOTEBOOKS if programs_of(path)], ids=lambda path: path.stem)
def test_without_the_programs_that_it_runs(path, tmp_path):
    """The same outputs where a program is not installed, and those cells alone are replayed; twice in one kernel."""
    from labs.network.links import why_not

    live = [link for link in ("tap", "veth") if not why_not(link)]
    programs = programs_of(path)
    if not live:
        not_run(f"{path.stem} without {', '.join(programs)}: no live link")
    cells, out = nbval(path, live[0], tmp_path, without=",".join(programs))
    assert len(cells) == len(code_cells(load(path))) and not any(cells.values()), tell(cells, out)
    check_run_twice(path, live[0], without=",".join(programs))


def check_run_twice(path, link, data=None, without=""):
    notebook = load(path)
    saved = code_cells(load(path))
    notebook.cells = code_cells(notebook) + copy.deepcopy(code_cells(notebook))
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"run-{number}"
    run(notebook, path.parent, link, data, without=without)
    first, second = notebook.cells[: len(saved)], notebook.cells[len(saved) :]
    for cell, one, two in zip(saved, first, second):
        if not ignored(cell):
            assert texts(one) == texts(cell), f"first run of:\n{cell.source}"
            assert texts(two) == texts(cell), f"second run of:\n{cell.source}"


@each_notebook
def test_a_changed_output_is_caught(path, tmp_path):
    assert check_alterations(path, "recording", tmp_path) >= 10


def check_alterations(path, link, tmp_path, data=None):
    """Alter a saved text of every cell that has one: nbval must fail those cells, and no others.  Returns how many there were."""
    notebook, changed = altered(load(path))
    copied = tmp_path / path.name
    nbformat.write(notebook, copied)
    cells, out = nbval(copied, link, tmp_path, data or store.data_dir())
    assert [index for index, bad in cells.items() if bad] == changed, tell(cells, out)
    return len(changed)


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


@pytest.mark.alone
def test_twelve_at_once_and_nothing_is_left(tmp_path, combination):
    """On tap: twelve kernels at the same time, as in a room of learners, until every notebook has run; within two seconds no
    process of theirs is left."""
    need("tap")
    mark, results = f"LABS_TEST_MARK={uuid.uuid4()}", {}

    def one(turn, path):
        folder = tmp_path / f"{turn}"
        folder.mkdir()
        results[turn] = path, *nbval(path, "tap", folder, mark=mark)

    row = list(enumerate(itertools.islice(itertools.cycle(NOTEBOOKS), -(-len(NOTEBOOKS) // 12) * 12)))
    for first in range(0, len(row), 12):
        threads = [threading.Thread(target=one, args=each) for each in row[first : first + 12]]
        for thread in threads:
            thread.start()
        patience = time.monotonic() + NOTEBOOK_TIMEOUT
        while not marked(mark) and time.monotonic() < patience:  # else it would prove nothing that none is found in the end
            time.sleep(0.02)
        assert marked(mark), "the search does not find what runs"
        for thread in threads:
            thread.join()
    assert len(results) == len(row)
    for path, cells, out in results.values():
        assert len(cells) == len(code_cells(load(path))) and not any(cells.values()), f"{path.stem}: {tell(cells, out)}"
    patience = time.monotonic() + 2
    while (left := marked(mark)) and time.monotonic() < patience:
        time.sleep(0.02)
    assert not left, f"processes are left: {left}"
    for path in NOTEBOOKS:
        combination("current stack", "tap", path.stem)


# ── it is saved as a chapter should be ───────────────────────────────────────────────────────────────────────────────────


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


def test_map_and_readme_link_what_is_here():
    """Chapter 00's map and the README have a link to every chapter that exists, and to no other."""
    here = {path.name for path in NOTEBOOKS}
    chapters = "\n".join(cell.source for cell in load(NOTEBOOKS[0]).cells if cell.cell_type == "markdown")
    assert set(re.findall(r"\((\d\d-[\w-]+\.ipynb)\)", chapters)) == here - {NOTEBOOKS[0].name}
    assert set(re.findall(r"\(notebooks/(\d\d-[\w-]+\.ipynb)\)", (ROOT / "README.md").read_text())) == here


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


def check_recording(path, folder):
    recording = store.read(folder)
    assert recording, f"no recording of {path.stem}; make it with: python -m labs record {path.stem}"
    stale = f"the recording is older than the notebook; make it anew with: python -m labs record {path.stem}"
    cells = iter(code_cells(load(path)))
    files = set()
    for entry in recording["cells"]:
        cell = next((cell for cell in cells if store.cell_key(cell.source) == entry["key"]), None)
        assert cell is not None, stale
        assert not any(kind.startswith("image/") for output in cell.outputs for kind in output.get("data", ())), cell.source
        assert texts(cell) == texts(nbformat.from_dict({"outputs": entry["outputs"]})), stale
        files |= set(re.findall(r"'([\w-]+\.pcapng)'", repr(entry["restore"])))
    assert files == {file.name for file in folder.glob("*.pcapng")}


# ── its exercises ────────────────────────────────────────────────────────────────────────────────────────────────────────


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


@each_notebook
def test_exercises(path):
    from labs.lessons.installed import find
    from labs.network.links import why_not

    live = [link for link in ("tap", "veth") if not why_not(link)]
    if missing := [name for name in programs_of(path) if not find(name)[0]]:
        not_run(f"exercises of {path.stem}: {', '.join(missing)} is not installed")
    if not live:
        not_run(f"exercises of {path.stem}: tap: {why_not('tap')}; veth: {why_not('veth')}")
    assert check_exercises(path, live[0]) >= 3, "a chapter has at least three exercises"


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
                assert known.get(id, {}).get(kind), f"{id} has no {kind} answer; see answers() in tests/test_notebooks.py"
                for code in known[id][kind]:
                    cells.append(nbformat.v4.new_code_cell(code))
                    wanted.append((id, kind, cells[-1]))
    assert set(known) <= {id for id, *_ in wanted}, "there is an answer to an exercise that no cell checks"
    notebook.cells = cells
    for number, cell in enumerate(cells):
        cell["id"] = f"run-{number}"
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
