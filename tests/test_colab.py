"""A notebook opened alone, as on Colab: an empty folder, a hosted Python that is not upgraded, labs fetched by the set-up cell.

Run where LABS_STACKS=1 says that there is time for it (.ci/run does).  The public address is an example here, and git is told to
look for it on this machine (url.*.insteadOf, git-config(1)), so all is as on Colab but the network in between.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
import warnings
from pathlib import Path

import nbformat
import pytest

import notebooks as harness
from labs.lessons import publish

ROOT = Path(__file__).resolve().parent.parent
REPOSITORY = "example-owner/example-repo"
HOSTED = [  # as found on Colab in August 2026; psutil is what its ipykernel uses
    "ipython==7.34.0", "ipykernel==6.17.1", "matplotlib==3.10.*", "httpx==0.28.*", "aiohttp==3.14.*", "h2>=4", "cryptography>=42",
    "psutil==5.9.*", "setuptools",
]  # fmt: skip
PATIENCE = 600  # seconds

pytestmark = pytest.mark.skipif(
    os.environ.get("LABS_STACKS") != "1", reason="NOT RUN HERE  Colab's versions: LABS_STACKS=1 asks for it"
)


def call(*command, **how):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=PATIENCE, **how)
    assert done.returncode == 0, f"{command}: {done.stdout[-1000:]}{done.stderr[-2000:]}"
    return done.stdout


def interpreter():
    """Python 3.13, which Colab has, or the next best of this machine."""
    of_pyenv = [path / "bin" / "python3" for path in sorted(Path.home().glob(".pyenv/versions/3.1[23].*"), reverse=True)]
    for python in ("python3.13", *of_pyenv, "python3.12"):
        try:
            if subprocess.run([python, "-c", "import ensurepip, venv"], capture_output=True).returncode == 0:
                return python
        except OSError:
            pass
    warnings.warn(f"NOT RUN HERE  Colab's Python 3.13: not on this machine; {sys.version.split()[0]} instead", stacklevel=1)
    return sys.executable


def versions(python):
    return dict(line.split("==") for line in call(python, "-m", "pip", "list", "--format=freeze").split())


@pytest.fixture(scope="module")
def hosted(tmp_path_factory):
    """(python of an environment with Colab's versions, the environment variables in which git finds the course, its folder)."""
    folder = tmp_path_factory.mktemp("colab")
    call(interpreter(), "-m", "venv", folder / "venv")
    python = folder / "venv" / "bin" / "python"
    call(python, "-m", "pip", "install", "--quiet", *HOSTED)
    course = folder / "course"
    call("git", "clone", "--quiet", "--no-hardlinks", ROOT, course)
    for name in call("git", "ls-files", "--others", "--modified", "--exclude-standard", cwd=ROOT).split("\n"):
        if name and (ROOT / name).is_file():  # what is not committed yet is tested, too
            (course / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, course / name)
    assert publish.main([REPOSITORY], course, say=lambda _: None) == 0
    call("git", "add", "--all", cwd=course)
    who = ("-c", "user.name=test", "-c", "user.email=test@example.invalid")
    call("git", *who, "commit", "--quiet", "--message", "published", cwd=course)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("LABS_", "PYTHONPATH"))}
    env |= {
        "GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_0": f"url.{course.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": f"https://github.com/{REPOSITORY}", "GIT_CONFIG_KEY_1": "safe.directory", "GIT_CONFIG_VALUE_1": "*",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    return python, env, course


def execute(python, env, notebook, folder):
    """Run all cells in a kernel of that Python; the outputs go into `notebook`.  Returns the seconds that each cell took."""
    from jupyter_client.manager import KernelManager
    from nbclient import NotebookClient

    manager = KernelManager()
    manager.kernel_spec.argv[:] = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    manager.transport, manager.connection_file = "ipc", f"{tempfile.gettempdir()}/{uuid.uuid4().hex}.json"
    client = NotebookClient(
        notebook, km=manager, timeout=120, resources={"metadata": {"path": str(folder)}}, coalesce_streams=True
    )
    took = []
    client.on_cell_execute = lambda **_: took.append(-time.monotonic())
    client.on_cell_executed = lambda **_: took.append(took.pop() + time.monotonic())
    try:
        client.execute(env=env, stderr=subprocess.DEVNULL)
    finally:
        manager.shutdown_kernel(now=True)  # it is ours, so nbclient leaves it running
    return took


def test_the_set_up_cell_fetches_labs_and_upgrades_nothing(hosted, tmp_path):
    python, env, course = hosted
    before = versions(python)
    notebook = nbformat.read(course / "notebooks" / "00-start-here.ipynb", as_version=4)
    seconds = execute(python, env, notebook, tmp_path)[0]
    after = versions(python)
    assert {name: after[name] for name in before} == before, "the install changed what was there"
    assert "backend-labs" in after and "scapy" in after
    shown = harness.texts(harness.code_cells(notebook)[0])["stdout"][0]
    assert "00-start-here · link:" in shown and seconds < 30, f"{seconds:.0f} s: {shown}"
    print(f"\n  the set-up cell took {seconds:.0f} s and added {', '.join(sorted(set(after) - set(before)))}")


@harness.each_notebook
def test_every_output_is_the_saved_one(hosted, path, tmp_path, combination):
    python, env, course = hosted
    if "backend-labs" not in versions(python):
        call(python, "-m", "pip", "install", "--quiet", f"git+https://github.com/{REPOSITORY}", env=env)
    notebook = nbformat.read(course / "notebooks" / path.name, as_version=4)
    execute(python, env | {"LABS_LINK": "relay"}, notebook, tmp_path)
    ran, saved = harness.code_cells(notebook), harness.code_cells(harness.load(path))
    assert not (said := harness.difference(ran, saved)), said
    assert not list(tmp_path.iterdir()), "a chapter leaves nothing in the learner's folder"
    combination("Colab's stack", "relay", path.stem)
