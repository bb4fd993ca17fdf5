"""The rooms of labs: imports go one way, without a circle, and no function has the name of a room."""

import ast
import importlib
import types
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import labs
import labs.network.links
import labs.serve.load
from labs.rooms import ABOVE, above

FOLDER = Path(labs.__file__).parent
MAY_USE = {
    "": {"network", "serve"},  # labs/__init__.py takes the rooms that are called by their names; the root's own modules take none
    "decode": set(),
    "captures": {"decode"},
    "network": {"decode", "captures"},
    "serve": {"decode", "captures", "network"},
    "views": {"decode", "captures"},
    "lessons": {"decode", "captures", "network", "serve", "views"},
}
MODULES = {".".join(("labs", *path.relative_to(FOLDER).with_suffix("").parts)): path for path in FOLDER.rglob("*.py")}
MODULES = {name.removesuffix(".__init__"): path for name, path in MODULES.items()}


def imports(name, late=True):
    """The modules of labs that one of them imports, inside its functions too (late)."""
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    package = name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if not late and getattr(node, "col_offset", 0):
            continue
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*base, *([node.module] if node.module else [])])
            found = [f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base for alias in node.names]
        else:
            continue
        yield from (one for one in found if one.split(".")[0] == "labs" and one != name)


def room(module):
    first = module.split(".")[1] if "." in module else ""
    return first if (FOLDER / first).is_dir() else ""


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_go_one_way(name):
    for used in imports(name):
        if room(used) != room(name) and room(used) and name != "labs.__main__":  # __main__ is the shell's way into any room
            assert room(used) in MAY_USE[room(name)], f"{name} uses {used}, which is above it"


def test_no_circle():
    graph = {name: set(imports(name, late=False)) for name in MODULES if not MODULES[name].name == "__init__.py"}
    TopologicalSorter(graph).prepare()  # CycleError


def test_a_room_is_a_room():
    for path in FOLDER.glob("*/__init__.py"):
        if path.parent.name in MAY_USE:
            room = importlib.import_module(f"labs.{path.parent.name}")
            assert isinstance(room, types.ModuleType) and getattr(labs, path.parent.name) is room
    assert labs.network.links.LINKS and callable(labs.serve.load.load)
    assert callable(labs.network) and callable(labs.serve)


def test_names_are_there():
    """Each room gives what it says, and says what is wrong when it does not."""
    for place in (labs, *(importlib.import_module(f"labs.{name}") for name in MAY_USE if name)):
        for name in place.__all__:
            assert getattr(place, name) is not None and name in dir(place)
        with pytest.raises(AttributeError, match="netwrok"):
            _ = place.netwrok
    for name in ABOVE:
        assert callable(above(name))
