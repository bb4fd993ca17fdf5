"""What a reader types: make, and pytest for one chapter."""

import json
import os
import re
import subprocess
import sys

import pytest
from conftest import find_chapter, spread

from notebooks import NOTEBOOKS, ROOT


def make(*words, **variables):
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "CHAPTER", "OPTIONS"))}
    return subprocess.run(["make", *words], cwd=ROOT, env=env | variables, capture_output=True, text=True)


def test_help_names_every_target_and_variable():
    text = (ROOT / "Makefile").read_text()
    targets = set(re.search(r"^\.PHONY: (.*)$", text, re.M)[1].split()) - {"help"}
    shown = make("help").stdout
    assert targets == set(re.findall(r"^make (\w+)", shown, re.M))
    assert {"OPTIONS=", "CHAPTER=", "PYTHON="} <= set(re.findall(r"[A-Z]+=", shown))
    assert make().stdout == shown, "make alone says what there is"


@pytest.mark.parametrize(
    "script, says",
    [
        ("exit 1", "Expected Python 3.11 or newer, found:"),
        # new enough, but asked for ensurepip it fails, as Debian's does without python3-venv
        ('case "$2" in *ensurepip*) exit 1;; *print*) echo 3.12;; esac', "sudo apt install python3.12-venv"),
    ],
)
def test_make_says_what_is_missing(tmp_path, script, says):
    python = tmp_path / "python3"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    done = make(f"VENV={tmp_path}/venv", f"PYTHON={python}", f"{tmp_path}/venv/pyvenv.cfg")
    assert done.returncode and says in done.stdout, done.stdout + done.stderr
    assert not (tmp_path / "venv").exists()


def in_pytest(*words):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--collect-only", *words]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "LABS_CHAPTER"))}
    env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # as make does
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)


def test_one_chapter():
    """With the words that `make test CHAPTER=24` gives to pytest."""
    told = make("--dry-run", "--always-make", "test", CHAPTER="24", OPTIONS="tests/test_exercises.py tests/test_notebooks.py")
    words = re.search(r" tests --numprocesses 6 --dist worksteal (.*)$", told.stdout, re.M)[1].split()
    shown = in_pytest(*words).stdout
    assert "test_exercises[24-tcp-connection]" in shown and "[24-tcp-connection-relay]" in shown and "test_nbval[24]" in shown
    assert not re.search(r"\[(?!24)", shown), shown


def test_a_chapter_that_is_not_here():
    done = in_pytest("--chapter", "99", "tests/test_exercises.py")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"no chapter 99 is here; there are {NOTEBOOKS[0].stem}, " in done.stderr
    for asked in ("24-tcp", "tcp-connection", "2", ""):
        with pytest.raises(pytest.UsageError, match=f"no chapter {asked} is here"):
            find_chapter(asked)


@pytest.mark.parametrize("workers", range(1, 9))
def test_no_test_is_lost_among_the_workers(request, workers):
    items = request.session.items
    assert sorted(spread(items, workers), key=id) == sorted(items, key=id)


def test_jupyter_settings_are_what_jupyter_reads():
    """Where they are copied to, sys.prefix: JupyterLab's overrides, and the configuration of IPython's kernels."""
    from IPython.core.application import ENV_CONFIG_DIRS
    from jupyterlab.commands import get_app_dir

    here = {path.relative_to(ROOT / "data" / "jupyter"): json.loads(path.read_text()) for path in (ROOT / "data" / "jupyter").rglob("*.json")}
    lab, kernel = sorted(here, key=str, reverse=True)
    assert os.path.join(sys.prefix, lab) == os.path.join(get_app_dir(), "settings", "overrides.json")
    assert os.path.dirname(os.path.join(sys.prefix, kernel)) in ENV_CONFIG_DIRS and kernel.stem == "ipython_kernel_config"
