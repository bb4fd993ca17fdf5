"""Types: what labs says of its functions agrees with what they do, as far as mypy sees; and which public ones say nothing yet."""

import ast
import subprocess
import sys

import pytest

from notebooks import ROOT

LABS = ROOT / "labs"
ROOMS = (".", *sorted(path.name for path in LABS.iterdir() if (path / "__init__.py").exists()))
COMPLETE = (".", "decode", "lessons", "serve", "views")


def test_mypy():
    """The rules are in pyproject.toml."""
    done = subprocess.run([sys.executable, "-m", "mypy"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def untyped(path):
    """["labs/network/wire.py:71 Wire.cut", …]: public functions, and methods of public classes, that lack a type."""
    found = []

    def look(body, prefix):
        for node in body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                look(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.startswith("_"):
                given = node.args
                named = [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
                named = named[1:] if prefix and named and named[0].arg in ("self", "cls") else named
                if node.returns is None or any(arg.annotation is None for arg in named):
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno} {prefix}{node.name}")

    look(ast.parse(path.read_text(encoding="utf-8")).body, "")
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_public_functions_have_types(room):
    paths = sorted(LABS.glob("*.py")) if room == "." else sorted((LABS / room).rglob("*.py"))
    missing = [where for path in paths for where in untyped(path)]
    if room in COMPLETE:
        assert not missing, "\n".join(missing)
    elif missing:
        pytest.skip(f"{len(missing)} public functions of labs/{room} have no types yet: {', '.join(missing[:3])}, …")
    else:
        pytest.fail(f"labs/{room} has all its types: put {room!r} into COMPLETE, so that it stays so")


def test_the_search_finds_what_lacks_a_type(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    path = tmp_path / "module.py"
    path.write_text(
        "def all(a: int, *, b: str = '') -> None: ...\ndef result(a: int): ...\ndef one(a, b: int) -> int: ...\n"
        "def _own(a): ...\nclass Shown:\n    def method(self, *rest) -> None: ...\n"
        "    @property\n    def typed(self) -> int: ...\n"
        "    def __eq__(self, other): ...\nclass _Hidden:\n    def method(self): ...\n"
    )
    assert untyped(path) == ["module.py:2 result", "module.py:3 one", "module.py:6 Shown.method"]
