"""A room of the package imports only from the rooms below it, and within a room there is no circle."""

import ast
import graphlib
import re
from pathlib import Path

import pytest

import speechjem

ROOT = Path(speechjem.__file__).parent
GROUND = {"errors"}
SOUND = GROUND | {"phones", "runtime", "audio"}
MODEL = SOUND | {"features", "energy", "models"}
USES = MODEL | {"classification", "denoising"}
# What the modules of a room, or a module that has no room, may import besides each other.
ROOMS = {
    "errors": set(),
    "phones": GROUND,
    "runtime": GROUND,
    "audio": GROUND | {"runtime"},
    "light": GROUND | {"audio"},
    "features": GROUND,
    "energy": GROUND | {"runtime"},
    "metrics": GROUND | {"audio"},
    "data": SOUND,
    "models": GROUND | {"phones", "runtime", "features", "energy"},
    "classification": MODEL,
    "denoising": MODEL | {"light"},
    "ladspa": MODEL | {"denoising"},
    "generation": USES,
    "catalogue": USES,
    "plot": USES,
    "training": USES | {"metrics", "data"},
    "demo": USES | {"metrics", "generation", "plot"},
    "web": USES,
    "cli": USES
    | {"__init__", "metrics", "data", "ladspa", "generation", "catalogue", "plot", "training", "demo", "web"},
    "__init__": USES | {"metrics", "generation"},
    "__main__": {"cli"},
}


def modules() -> dict[str, Path]:
    paths = ROOT.rglob("*.py")
    return {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in paths}


def imports(name: str, path: Path) -> set[str]:
    """Modules of this package that a module imports, at its top or inside its functions."""
    known = modules()
    package = name.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level > 0:
            base = package[: len(package) - node.level + 1]
            target = [*base, *(node.module.split(".") if node.module else [])]
            for alias in node.names:
                places = [
                    [*target, alias.name],
                    [*target, alias.name, "__init__"],
                    target,
                    [*target, "__init__"],
                ]
                found |= {next(place for place in map(".".join, places) if place in known)}
    return found


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    return {name: imports(name, path) for name, path in modules().items()}


def room(name: str) -> str:
    return name.partition(".")[0]


def test_every_module_has_a_room(graph):
    assert {room(name) for name in graph} == set(ROOMS)


def test_rooms_import_only_from_below(graph):
    upward = [
        f"{name} imports {other}"
        for name, others in graph.items()
        for other in others
        if room(other) not in ROOMS[room(name)] | {room(name)}
    ]
    assert not upward


def test_rooms_have_an_order(graph):
    """The rules themselves have no circle, and neither have the modules of a room."""
    list(graphlib.TopologicalSorter(ROOMS).static_order())
    list(graphlib.TopologicalSorter(graph).static_order())


def test_imports_of_the_package_are_relative(graph):
    """Others are not seen by the rules."""
    absolute = re.compile(r"^\s*(from|import) speechjem\b", re.MULTILINE)
    assert not [name for name, path in modules().items() if absolute.search(path.read_text())]


def test_every_room_says_what_it_is_for():
    for path in ROOT.glob("*/__init__.py"):
        assert ast.get_docstring(ast.parse(path.read_text())), path


def test_the_map_has_every_module():
    """The picture in CONTRIBUTING.md names in the line of each room all of its modules, and no others."""
    text = Path(__file__).parents[1].joinpath("CONTRIBUTING.md").read_text()
    picture = text.split("## The map of the house")[1].split("\n## ")[0]
    shown: dict[str, set[str]] = {}
    for line in picture.splitlines():
        if found := re.match(r"    (\w+)/ +(.*?)(  |$)", line):
            shown[found[1]] = set(re.findall(r"\w+", found[2]))
    actual: dict[str, set[str]] = {}
    for name in modules():
        if "." in name and not name.endswith("__init__"):
            actual.setdefault(room(name), set()).add(name.split(".")[1])
    assert shown == actual
