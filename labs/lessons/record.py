"""`python -m labs record`: run notebooks clean on the tap link, save them, and save the recording of their live cells.

Nothing is saved unless all of it is good: a notebook that raises, draws in a live cell, or leaves a capture that cannot be
read back is refused, with the cell and what to do, and the files stay as they were.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from labs.lessons import store
from labs.lessons.chapter import CHAPTERS

__all__ = ["Refused", "main", "record", "record_one", "run", "tidy"]

TEXT = {"text/plain", "text/markdown"}  # what a replay can show again
WIDGET = "application/vnd.jupyter.widget"  # begins the kinds of output that live with their kernel; a saved page cannot show them
CELL_TIMEOUT = 60  # seconds; chapters keep a cell under 4, a busy machine may need more
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
KEPT_METADATA = ("tags", "jupyter", "slideshow", "editable", "deletable")


class Refused(Exception):
    """The notebook cannot be recorded as it is; the message says which cell, why, and what to do."""


def main(arguments: list[str]) -> int:
    """The command: slugs, or none for every notebook.  Returns the exit status."""
    unknown = [slug for slug in arguments if slug not in CHAPTERS]
    if unknown:
        print(f"no chapter is called {', '.join(unknown)}; chapters are {', '.join(CHAPTERS)}")
        return 2
    return 0 if record(arguments) else 1


def record(
    slugs: Iterable[str] = (), notebooks: Path | None = None, data: Path | None = None, say: Callable[[str], None] = print
) -> bool:
    """Record the chapters named, or all that have a notebook; `say` gets one line for each.  True when all went well."""
    notebooks = Path(notebooks or store.notebooks_dir())
    paths = [notebooks / f"{slug}.ipynb" for slug in slugs] or sorted(notebooks.glob("[0-9]*.ipynb"))
    if not paths:
        say(f"no notebooks in {notebooks.name}/: run this in a checkout of the course")
        return False
    good = True
    for path in paths:
        try:
            say(f"{path.stem}: {record_one(path, data)}")
        except Refused as refusal:
            good = False
            say(f"{path.stem}: not recorded, nothing was changed. {refusal}")
    return good


def record_one(path: str | Path, data: str | Path | None = None) -> str:
    """Run one notebook and save it with its recording.  Returns what was recorded, as text; raises Refused."""
    try:
        import nbformat
    except ModuleNotFoundError:
        raise Refused("Recording needs nbclient and nbformat: pip install nbclient") from None
    path, data = Path(path), Path(data or store.data_dir())
    if not path.is_file():
        raise Refused(f"there is no {path.name}")
    data.mkdir(parents=True, exist_ok=True)
    notebook = nbformat.read(path, as_version=4)
    # On the same file system as `data`, so that the new recording takes the old one's place by a rename.
    with tempfile.TemporaryDirectory(dir=data, prefix=".recording-") as scratch:
        _run(notebook, path.parent, scratch)
        tidy(notebook, path.stem)
        recording = store.read(Path(scratch) / path.stem)
        if recording is None:
            raise Refused(f'the set-up cell did not begin the chapter: expected labs.chapter("{path.stem}")')
        cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        _complete(recording, cells)
        store.write(Path(scratch) / path.stem, recording)
        _replace(Path(scratch) / path.stem, data / path.stem)
        _write(path, nbformat.writes(notebook))
    captures = len(list((data / path.stem).glob("*.pcapng")))
    return f"{len(cells)} code cells, {len(recording['cells'])} of them live, {captures} captures"


def run(
    notebook: Any, folder: str | Path, environment: Mapping[str, str], before: Sequence[str] = (), timeout: float = CELL_TIMEOUT,
    **how: Any,
) -> None:  # fmt: skip
    """Execute every cell in a fresh kernel of this interpreter, which has this `labs`; the notebook object takes the outputs.

    environment: the kernel's; before: the command that is to start it, setpriv say; timeout: seconds for a cell; how: more for
    nbclient's NotebookClient (allow_errors=True, say).  Raises as nbclient does; DeadKernelError has the kernel's last words.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import DeadKernelError

    python_path = os.pathsep.join([str(store.PACKAGE.parent), *filter(None, [environment.get("PYTHONPATH")])])
    how = {"kernel_name": "python3", "record_timing": False, "coalesce_streams": True, "timeout": timeout, **how}
    client = NotebookClient(notebook, resources={"metadata": {"path": str(folder)}}, **how)
    manager: Any = client.create_kernel_manager()
    manager.kernel_spec.argv[:] = [*before, sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    with tempfile.TemporaryDirectory() as place, tempfile.TemporaryFile("w+", errors="replace") as errors:
        # By sockets of this folder: a TCP port would be chosen and let go, and somebody else may be faster.
        manager.transport, manager.connection_file = "ipc", f"{place}/kernel.json"
        try:
            client.execute(env={**environment, "PYTHONPATH": python_path}, stderr=errors)
        except RuntimeError as error:  # it died, in a cell or before the first one
            errors.seek(0)
            raise DeadKernelError(f"{error} The kernel's last words: {errors.read()[-500:].strip()}") from None


def _run(notebook, folder, scratch):
    """Execute every cell on tap, with the recorder in the kernel."""
    from nbclient.exceptions import CellControlSignal, DeadKernelError

    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            if not cell.source.strip():
                raise Refused("A code cell is empty: remove it.")
    try:
        run(notebook, folder, {**os.environ, "LABS_LINK": "tap", "LABS_RECORD": str(scratch)})
    except (CellControlSignal, DeadKernelError, TimeoutError) as error:
        raise Refused(_where(notebook, error)) from None


def _where(notebook, error):
    """Which cell stopped the run, and with what."""
    ran = [cell for cell in notebook.cells if cell.cell_type == "code" and (cell.outputs or cell.execution_count)]
    if ran and isinstance(error, TimeoutError):
        return f"{_name(ran[-1])} took longer than {CELL_TIMEOUT} s"
    for cell in ran:
        for output in cell.outputs:
            if output.output_type == "error":
                return f"{_name(cell)} raised {output.ename}: {output.evalue}"
    last = f"{_name(ran[-1])} was the last to run" if ran else "no cell ran"
    return f"{last}; then: {type(error).__name__}: {' '.join(str(error).split())}"


def _name(cell):
    first = next((line for line in cell.source.splitlines() if line.strip()), "")
    return f"cell [{cell.execution_count}] {first.strip()[:60]!r}"


def _complete(recording, cells):
    """Put what the live cells showed into the recording; raises Refused for what a recording cannot hold."""
    if problems := recording.pop("problems"):
        raise Refused("; ".join(problems))
    keys = [store.cell_key(cell.source) for cell in cells]
    live = {entry["key"]: entry for entry in recording["cells"]}
    if not live.keys() <= set(keys):
        raise Refused("the kernel and the notebook disagree about which cells ran; record again")
    for cell, key in zip(cells, keys):
        if any(output.output_type == "error" for output in cell.outputs):
            raise Refused(f"{_name(cell)} saved a traceback: catch the error and print what matters of it")
        if key not in live:
            continue
        if keys.count(key) > 1:
            raise Refused(f"{_name(cell)} is live and stands in the notebook twice: make the sources differ")
        why = ", ".join(live[key].pop("why"))
        for output in cell.outputs:
            if extra := set(output.get("data", ())) - TEXT:
                what = "an image" if any(kind.startswith("image/") for kind in extra) else ", ".join(sorted(extra))
                raise Refused(f"{_name(cell)} is live (because of {why}) and shows {what}: split the cell, draw in the next one")
            kept = dict(output) if output.output_type == "stream" else {"output_type": "display_data", "data": dict(output.data)}
            live[key]["outputs"].append(kept)


def tidy(notebook: Any, slug: str) -> None:
    """Take out of a notebook whatever differs between two runs of the same cells, and what only a running kernel can show."""
    notebook.metadata = type(notebook.metadata)(METADATA)
    ids = [cell.get("id") for cell in notebook.cells]
    stable = notebook.nbformat_minor >= 5 and all(ids) and len(set(ids)) == len(ids)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells, 1):
        if not stable:
            cell["id"] = f"{slug[:2]}-{number:03}"
        for key in list(cell.metadata):
            if key not in KEPT_METADATA:
                del cell.metadata[key]
        for output in cell.get("outputs", ()):
            for kind in [kind for kind in output.get("data", ()) if kind.startswith(WIDGET)]:
                del output.data[kind]
        if "outputs" in cell:
            cell.outputs = [output for output in cell.outputs if output.get("data", True)]


def _replace(new, old):
    """`new` takes the place of the folder `old`; there is never half of either.  The old one goes with the scratch folder."""
    aside = new.with_name("before")
    if old.exists():
        os.rename(old, aside)
    try:
        os.rename(new, old)
    except OSError:
        if aside.exists():
            os.rename(aside, old)
        raise


def _write(path, text):
    scratch = path.with_name(f".{path.name}.new")
    scratch.write_text(text.rstrip("\n") + "\n", encoding="utf-8")
    os.replace(scratch, path)
