"""The notebooks in JupyterLab in a real browser: Run All, interrupt, restart.  What a learner's hands do, and what the eyes get.

Run where LABS_STACKS=1 says that there is time for it (.ci/run does); needs Debian's chromium and the extra "browser", which is
playwright.  A failure leaves a picture of the page in build/.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import leaks
import nbformat
import pytest

import notebooks as harness

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "build"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
PATIENCE = 120  # seconds
BUSY = "[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].some(e => e.textContent.includes('*'))"
COUNTS = "[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(e => e.textContent)"
TROUBLE = (
    ".jp-Dialog, .Toastify__toast, "
    "[data-mime-type='application/vnd.jupyter.error'], [data-mime-type='application/vnd.jupyter.stderr']"
)
IMAGES = "[...document.querySelectorAll('.jp-OutputArea img')].map(e => e.naturalWidth * e.clientWidth)"
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},  # every cell is in the page, seen or not
}

pytestmark = pytest.mark.skipif(
    os.environ.get("LABS_STACKS") != "1", reason="NOT RUN HERE  a real browser: LABS_STACKS=1 asks for it"
)


def needed():
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        return None, "playwright is not installed: pip install -e '.[browser]'"
    return (sync_playwright, "") if CHROMIUM else (None, "there is no chromium: apt install chromium")


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory):
    """(address with token, folder of the notebooks): JupyterLab on a copy, so that what the browser saves is thrown away."""
    folder = tmp_path_factory.mktemp("jupyter")
    shutil.copytree(ROOT / "notebooks", folder / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    for name, wanted in SETTINGS.items():
        file = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(wanted))
    env = harness.environment(None, pictures=True) | {
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"), "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
    }  # fmt: skip
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", "--port=0", "--allow-root"]
    with open(folder / "log", "w") as log:
        server = subprocess.Popen([*command, f"--ServerApp.root_dir={folder}"], env=env, stdout=log, stderr=log)
    try:
        patience = time.monotonic() + PATIENCE
        while not (found := list((folder / "runtime").glob("jpserver-*.json"))):
            assert server.poll() is None and time.monotonic() < patience, (folder / "log").read_text()[-2000:]
            time.sleep(0.05)
        told = json.loads(found[0].read_text())
        yield told, folder / "notebooks"
    finally:
        server.terminate()
        server.wait(20)
    assert "plain text" not in (folder / "log").read_text(), "the kernel's warning: data/jupyter was not copied into the environment"


@pytest.fixture(scope="module")
def browser():
    start, why_not = needed()
    if why_not:
        (pytest.fail if os.environ.get("LABS_REQUIRE_ORACLES") == "1" else pytest.skip)(
            f"NOT RUN HERE  a real browser: {why_not}"
        )
    with start() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def opened(jupyter, browser, request):
    """opened("24-tcp-connection.ipynb") → the page, ready; its kernel ends with the test."""
    told, folder = jupyter
    page = browser.new_page(viewport={"width": 1100, "height": 1400})
    page.set_default_timeout(PATIENCE * 1000)

    def go(name):
        page.goto(f"{told['url']}doc/tree/notebooks/{name}?token={told['token']}")
        page.wait_for_selector(".jp-CodeCell")
        page.wait_for_selector(".jp-StatusBar-TextItem:has-text('| Idle')")
        return page

    yield go
    if getattr(request.node, "failed", True):
        PICTURES.mkdir(exist_ok=True)
        path = PICTURES / (re.sub(r"\W+", "-", request.node.name) + ".png")
        page.screenshot(path=path)
        print(f"\n  the page is in {path.relative_to(ROOT)}")
    page.evaluate(
        "([base, token]) => fetch(base + 'api/sessions?token=' + token).then(r => r.json()).then(all => Promise.all("
        "all.map(one => fetch(base + 'api/sessions/' + one.id + '?token=' + token, {method: 'DELETE'}))))",
        [told["url"], told["token"]],
    )
    page.close()


def menu(page, name, entry):
    page.get_by_role("menuitem", name=name, exact=True).first.click()
    page.locator(".lm-Menu-itemLabel", has_text=entry).first.click()


def counts(page):
    return [int(number) for number in re.findall(r"\[(\d+)\]", " ".join(page.evaluate(COUNTS)))]


def finish(page, cells):
    """Wait until every cell has run once, in order, and nothing has complained."""
    page.wait_for_function(f"({COUNTS}).some(e => e.includes('[1]')) && !({BUSY})")
    assert not trouble(page)
    assert counts(page) == list(range(1, cells + 1))


def trouble(page):
    """What dialogs say, and all that cells say in which something failed."""
    return page.evaluate(f"[...document.querySelectorAll({TROUBLE!r})].map(e => (e.closest('.jp-OutputArea') || e).innerText)")


def megabytes(pid):
    """The most memory that a process and all its descendants have had, each at its own peak: no less than their peak together."""
    status = Path(f"/proc/{pid}/status").read_text()
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    return (int(peak[1]) / 1024 if peak else 0) + sum(map(megabytes, leaks.children(pid)))


@harness.each_notebook
def test_run_all(opened, jupyter, path, request, combination):
    """Every cell runs, nothing complains, every picture is there; and JupyterLab with it fits into Binder's 2 GB many times."""
    page, saved = opened(path.name), harness.load(path)
    menu(page, "Run", "Run All Cells")
    finish(page, len(harness.code_cells(saved)))
    wanted = sum("image/png" in output.get("data", ()) for cell in harness.code_cells(saved) for output in cell.outputs)
    page.wait_for_function(f"({IMAGES}).length >= {wanted} && ({IMAGES}).every(size => size > 0)")
    assert len(page.evaluate(IMAGES)) == wanted
    peak = megabytes(jupyter[0]["pid"])
    print(f"\n  {path.stem}: JupyterLab and its kernel took {peak:.0f} MB at most")
    assert 100 < peak < 700
    request.node.failed = False
    combination("JupyterLab", "tap", path.stem)


def test_restart_and_run_all(opened, request):
    page, cells = opened("00-start-here.ipynb"), len(harness.code_cells(harness.load(ROOT / "notebooks/00-start-here.ipynb")))
    menu(page, "Run", "Run All Cells")
    finish(page, cells)
    menu(page, "Kernel", "Restart Kernel and Run All Cells")
    page.locator(".jp-Dialog button", has_text="Restart").click()
    page.wait_for_function(BUSY)
    finish(page, cells)
    request.node.failed = False


INTERRUPTED = (
    "import labs\nturn, net = 0, labs.network('client', 'server')\nlistener = net['server'].listen(80)",
    "turn += 1\nif turn == 1:\n    listener.accept()  # nobody comes\n"
    "print('turn', turn, net['client'].connect('server', 80).getpeername()[1])",
)


def test_interrupt_and_run_again(opened, jupyter, request):
    """A cell that waits for nobody is interrupted; run again, it works, on the same network."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in INTERRUPTED])
    harness.tidy(notebook, "00")
    nbformat.write(notebook, jupyter[1] / "interrupted.ipynb")
    page = opened("interrupted.ipynb")
    menu(page, "Run", "Run All Cells")
    page.wait_for_function(f"({COUNTS}).some(e => e.includes('[1]')) && ({BUSY})")
    menu(page, "Kernel", "Interrupt Kernel")
    page.wait_for_function(f"!({BUSY})")
    assert "KeyboardInterrupt" in trouble(page)[0]
    page.locator(".jp-CodeCell").last.click()
    menu(page, "Run", "Run Selected Cell")
    page.wait_for_function("[...document.querySelectorAll('.jp-OutputArea pre')].some(e => e.textContent.includes('turn 2 80'))")
    assert not trouble(page)
    request.node.failed = False
