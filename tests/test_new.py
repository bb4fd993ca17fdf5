"""A new chapter: four places, which the structural tests see; and the lists of chapters follow."""

import os
import shutil
import subprocess
import sys

import pytest

from labs.__main__ import main
from labs.lessons import lists
from notebooks import ROOT, check_recording, load, need

SLUG = "12-websockets"


@pytest.fixture
def course(tmp_path):
    """A copy of the course with one chapter, as it is before another is begun."""
    for name in ("labs", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name)  # with what is compiled
    for name in ("README.md", "pyproject.toml", "notebooks/00-start-here.ipynb", "data/00-start-here"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, tmp_path / name)
    for path in lists.update(tmp_path):
        assert path.name in ("README.md", "00-start-here.ipynb")
    return tmp_path


def files(course):
    return {
        path.relative_to(course): path.read_bytes() for path in course.rglob("*") if path.is_file() and ".pyc" not in path.name
    }


def in_course(course, *command):
    env = {name: value for name, value in os.environ.items() if not name.startswith(("LABS_", "PYTEST"))}
    env |= {"PYTHONPATH": str(course), "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run([sys.executable, "-m", *command], cwd=course, env=env, capture_output=True, text=True, timeout=120)


def test_a_chapter_has_four_places(course, capsys):
    """As it is written it runs; once it is recorded, the structural tests ask for no more than the exercises that it lacks."""
    need("tap")
    before = files(course)
    assert main(["new", SLUG], course) == 0
    assert f"python -m labs record {SLUG}" in capsys.readouterr().out
    places = {f"notebooks/{SLUG}.ipynb", "labs/lessons/graders/chapter_12.py", f"tests/wrong_answers/{SLUG}.py"}
    after = files(course)
    assert {str(path) for path in after if path not in before} == places
    assert {str(path) for path in before if before[path] != after[path]} == {"README.md", "notebooks/00-start-here.ipynb"}
    assert f"- [12 WebSockets](notebooks/{SLUG}.ipynb): the upgrade" in (course / "README.md").read_text()
    assert (
        f"| [12]({SLUG}.ipynb) | [WebSockets]({SLUG}.ipynb) |"
        in load(course / "notebooks" / "00-start-here.ipynb").cells[-2].source
    )

    with pytest.raises(AssertionError, match=f"no recording of {SLUG}; make it with: python -m labs record {SLUG}"):
        check_recording(course / "notebooks" / f"{SLUG}.ipynb", course / "data" / SLUG)
    done = in_course(course, "labs", "record", SLUG)
    assert done.returncode == 0 and f"{SLUG}: 7 code cells, 2 of them live" in done.stdout, done.stdout + done.stderr
    assert {str(path.parent) for path in files(course) if path not in after} == {f"data/{SLUG}"}
    test = ("pytest", "tests/test_chapters.py", "tests/test_exercises.py", "--chapter", "12", "-q", "-p", "no:cacheprovider")
    done = in_course(course, *test)
    assert "1 failed, 7 passed" in done.stdout and "a chapter has at least three exercises" in done.stdout, (
        done.stdout + done.stderr
    )


@pytest.mark.parametrize(
    "slug, says",
    [
        ("12-websocket", "no chapter is called '12-websocket'; did you mean '12-websockets'?"),
        (
            "00-start-here",
            "notebooks/00-start-here.ipynb, labs/lessons/graders/chapter_00.py, tests/wrong_answers/00-start-here.py is there",
        ),
    ],
)
def test_what_cannot_be_begun(course, slug, says, capsys):
    before = files(course)
    assert main(["new", slug], course) == 2
    assert says in capsys.readouterr().out and files(course) == before


def test_the_lists_of_this_checkout_are_current():
    assert not [path.name for path in lists.stale()], "to mend it: python -m labs lists"


def test_the_lists_follow_what_is_here(course):
    assert (
        "notebooks/24" not in (course / "README.md").read_text()
        and "- 24 A TCP connection: both" in (course / "README.md").read_text()
    )
    assert "](24-tcp" not in load(course / "notebooks" / "00-start-here.ipynb").cells[-2].source
    for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"):
        shutil.copy(path, course / "notebooks")
    assert [path.name for path in lists.stale(course)] == ["README.md"], "a copied chapter 00 has its map"
    lists.update(course)
    for name in ("README.md", "notebooks/00-start-here.ipynb"):
        assert (course / name).read_bytes() == (ROOT / name).read_bytes()


def test_a_chapter_without_a_line_is_told(course):
    text = (course / "README.md").read_text()
    (course / "README.md").write_text(text.replace("- 12 WebSockets: ", "- WebSockets: "))
    with pytest.raises(ValueError, match="expected one line `- NN Title: what it is about` for each of the 25 chapters.*got 24"):
        lists.titles(course)
