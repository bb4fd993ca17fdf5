"""The course's public address: one setting, stamped everywhere or nowhere."""

import json
import re
import shutil
import tomllib
from pathlib import Path

import pytest
from nbformat import read as read_notebook
from nbformat import validate

from labs.lessons import publish

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def course(tmp_path):
    """A copy of what carries the address, without one."""
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    for name in ("README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    for path, text in publish.stamped(tmp_path, "").items():
        path.write_text(text)
    return tmp_path


def texts(course):
    return {path.relative_to(course): path.read_text() for path in sorted(course.rglob("*")) if path.is_file()}


def run(course, *words):
    said = []
    return publish.main(list(words), course, said.append), said


def test_this_checkout_is_in_step():
    assert publish.main(["--check"]) == 0


def test_without_an_address_nothing_names_one(course):
    assert run(course, "--check") == (0, [])
    for path, text in texts(course).items():
        assert not re.search(r"github\.com/(?!\{)|mybinder\.org|colab\.research", text), path
    assert publish.address(course) == ""


def test_publishing(course):
    before = texts(course)
    status, said = run(course, "example-owner/example.repo")
    after = texts(course)
    assert status == 0 and said[-1].endswith(f"files changed: {len(before)}") and set(before) == set(after)
    for path in (path for path in after if path.suffix == ".ipynb"):
        notebook = read_notebook(course / path, 4)
        validate(notebook)
        title, setup = notebook.cells[0].source, next(cell.source for cell in notebook.cells if cell.cell_type == "code")
        assert title.startswith("# ") and title.count("\n\n[![Open in Colab](") == 1
        colab, binder = re.findall(r"\]\((https://[^)]*notebooks/[^)]*)\)", title)
        assert colab.endswith(f"/github/example-owner/example.repo/blob/main/notebooks/{path.name}")
        assert binder.endswith(f"/gh/example-owner/example.repo/main?urlpath=lab/tree/notebooks/{path.name}")
        assert '%pip install -q "git+https://github.com/example-owner/example.repo"' in setup
        changed = [a != b for a, b in zip(json.loads(before[path])["cells"], json.loads(after[path])["cells"])]
        assert sum(changed) == 2, "the title and the set-up cell, and nothing else"
    urls = tomllib.loads(after[Path("pyproject.toml")])["project"]["urls"]
    assert urls == {"Repository": "https://github.com/example-owner/example.repo"}
    assert "git clone https://github.com/example-owner/example.repo\ncd example.repo\n" in after[Path("README.md")]
    assert run(course, "--check") == (0, [])


def test_publishing_twice_changes_nothing(course):
    run(course, "example-owner/repo")
    once = texts(course)
    assert run(course, "example-owner/repo") == (0, ["the address is https://github.com/example-owner/repo; files changed: 0"])
    assert texts(course) == once


def test_another_address_replaces_the_first(course, tmp_path_factory):
    other = tmp_path_factory.mktemp("other") / "course"
    shutil.copytree(course, other)
    run(other, "second/place")
    run(course, "first/place")
    run(course, "second/place")
    assert texts(course) == texts(other)
    for path, text in publish.stamped(course, "").items():
        path.write_text(text)
    assert run(course, "--check") == (0, []) and "second/place" not in "".join(texts(course).values())


@pytest.mark.parametrize("file", ["README.md", "pyproject.toml", "notebooks/00-start-here.ipynb"])
def test_the_check_finds_what_is_out_of_step(course, file):
    run(course, "example-owner/repo")
    path = course / file
    path.write_text(path.read_text().replace("example-owner/repo", "example-owner/other", 1))
    status, said = run(course, "--check")
    assert status == 1 and "does not agree with pyproject.toml" in said[0] and said[-1].startswith("to mend it:")
    if file != "pyproject.toml":  # then it is that file alone; a changed setting is at odds with all the others
        assert said[0].startswith(file) and len(said) == 2


@pytest.mark.parametrize("words", [[], ["repo"], ["owner/re po"], ["https://github.com/owner/repo"], ["a/b", "c/d"], ["-x/y"]])
def test_what_is_no_address(course, words):
    before = texts(course)
    status, said = run(course, *words)
    assert status == 2 and said[0].startswith("expected OWNER/REPO") and texts(course) == before


def test_a_readme_without_its_place(course):
    (course / "README.md").write_text("# Nothing\n")
    before = texts(course)
    with pytest.raises(ValueError, match="expected <!-- address -->"):
        run(course, "example-owner/repo")
    assert texts(course) == before, "all or nothing"


def test_outside_a_checkout(tmp_path):
    status, said = run(tmp_path, "--check")
    assert status == 1 and "run this in a checkout" in said[0]
