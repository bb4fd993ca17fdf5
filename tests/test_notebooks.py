"""Every chapter, on every link: it runs, shows what it saved, and leaves nothing running.

What this machine cannot run (a link that it lacks) is skipped with its reason, or fails where everything must run.  With
LABS_STACKS=1 (.ci/run) there is more: every chapter on veth, twice through the relay, as an ordinary user, twelve at once.
"""

import itertools
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from conftest import STACKS, not_run, where_there_is_time

from labs.lessons import store
from notebooks import (
    LINKS,
    NOTEBOOKS,
    ROOT,
    check_run,
    chosen,
    code_cells,
    each_notebook,
    live_link,
    load,
    nbval_each,
    need,
    programs_of,
    tell,
    turns,
)  # fmt: skip

TOGETHER = 4  # notebooks that one nbval runs: starting it takes half as long as running a chapter
GROUPS = [chosen()[start :: -(-len(chosen()) // TOGETHER)] for start in range(-(-len(chosen()) // TOGETHER))]
in_groups = pytest.mark.parametrize("paths", GROUPS, ids=["+".join(path.stem[:2] for path in group) for group in GROUPS])


@in_groups
def test_nbval(paths, tmp_path, combination):
    """As a reader does it by hand: pytest --nbval notebooks."""
    need("tap")
    check_nbval(paths, tmp_path)
    for path in paths:
        combination("nbval", "tap", path.stem)


def check_nbval(paths, tmp_path, data=None, before=()):
    found, out = nbval_each(paths, "tap", tmp_path, data, before)
    for path in paths:
        cells, wanted = found[path.stem], len(code_cells(load(path)))
        if len(cells) != wanted or any(cells.values()):
            pytest.fail(f"{path.stem}: {len(cells)} of {wanted} cells ran. {tell(cells, out)}", pytrace=False)


@each_notebook
def test_on_tap_twice_with_pictures(path, combination):
    """Twice through in one kernel.  In the recordings' own link, so that nothing of it is replayed."""
    need("tap")
    assert check_run(path, "tap", twice=True, pictures=True) >= 10
    combination("current stack", "tap", path.stem)


@pytest.mark.parametrize(
    "path, link",
    [pytest.param(path, link, id=f"{path.stem}-{link}") for link in ("veth", "relay") for path in turns(link, chosen())],
)
def test_on_other_links(path, link, combination):
    """On relay live and recorded cells take turns."""
    need(link)
    assert check_run(path, link, twice=STACKS and link == "relay") >= 10
    combination("current stack", link, path.stem)


@each_notebook
def test_from_its_recording(path, combination):
    assert check_run(path, "recording") >= 10
    combination("current stack", "recording", path.stem)


@pytest.mark.parametrize("path", [path for path in chosen() if programs_of(path)], ids=lambda path: path.stem)
def test_without_the_programs_that_it_runs(path):
    """The same outputs where a program is not installed, and those cells alone are replayed."""
    check_run(path, live_link(), without=",".join(programs_of(path)), twice=STACKS)


# ── where there is time ──────────────────────────────────────────────────────────────────────────────────────────────────


@where_there_is_time
@pytest.mark.skipif(os.getuid() != 0, reason="who runs this is an ordinary user: all the others show it")
@in_groups
def test_as_an_ordinary_user(paths, combination):
    """On tap, as somebody without any privilege: a uid of its own, no group, no capability, none to be gained."""
    need("tap")
    folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    tmp_path = Path(folder.name)  # pytest's own folders are closed to others, again whenever another pytest begins
    as_nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all",
                 "--no-new-privs", "env", f"HOME={tmp_path}")  # fmt: skip
    tmp_path.chmod(0o777)
    readable = subprocess.run([*as_nobody, sys.executable, "-c", f"import sys; sys.path[:0] = [{str(ROOT)!r}]; import labs"])
    if readable.returncode:
        not_run("chapters as an ordinary user", f"{sys.executable} or {ROOT.name} cannot be read by others")
    copies = [tmp_path / path.name for path in paths]
    for path, copied in zip(paths, copies):
        copied.write_bytes(path.read_bytes())
    check_nbval(copies, tmp_path, store.data_dir(), before=as_nobody)
    for path in paths:
        combination("current stack as an ordinary user", "tap", path.stem)


@where_there_is_time
@pytest.mark.alone
def test_twelve_at_once():
    """On tap: twelve kernels at the same time, as in a room of learners; the chapters in order, round and round."""
    need("tap")
    row, failed = list(itertools.islice(itertools.cycle(NOTEBOOKS), 12)), []

    def one(path):
        try:
            check_run(path, "tap")
        except BaseException as error:
            failed.append(f"{path.stem}: {type(error).__name__}: {error}")

    threads = [threading.Thread(target=one, args=(path,)) for path in row]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        pytest.fail("\n".join(failed), pytrace=False)


# ── whose turn it is ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_turns():
    """Up to a dozen chapters all run through the relay, of more a third; on veth, where there is time."""
    few, many = ([type(ROOT)(f"{number:02}-slug.ipynb") for number in range(count)] for count in (12, 25))
    for link in LINKS:
        assert turns(link, many, whole=True) == many
        assert turns(link, few, whole=False) == ([] if link == "veth" else few)
    assert turns("tap", many, whole=False) == turns("recording", many, whole=False) == many
    assert len(turns("relay", many, whole=False)) == 9
