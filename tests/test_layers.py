"""The house is built from the ground up: a module imports only from floors below its own."""

import ast
import re
from pathlib import Path

import speechjem

ROOT = Path(speechjem.__file__).parent
FLOORS = [
    {"errors"},
    {
        "phones",
        "device",
        "blocks",
        "files",
        "hub",
        "limits",
        "rumble",
        "phase",
        "distributed",
        "cluster",
        "progress",
    },
    {"audio", "fbank", "networks", "wide_resnet", "langevin", "jem", "bands", "starts", "text"},
    {"descent", "losses", "inversion", "metrics", "data.images", "data.mixing", "pipes"},
    {"speaking"},
    {"model", "image_model", "data.degrade", "observation"},
    {"checkpoint", "voice"},
    {"data.kaldi", "denoising", "classification", "export"},
    {"catalogue", "transform", "plot", "data.recording", "data.split", "data.textgrid", "data.validation"},
    {"data.shards", "data.ctm"},
    {"data.dataset", "data.ahead", "data.lhotse"},
    {"evaluate", "generation", "settings", "training_log", "streaming", "editing", "demo.views"},
    {"training", "live", "speaking_losses", "demo.runs"},
    {"train", "train_images", "demo.page"},
    {"demo.server"},
    {"cli.app", "cli.tables"},
    {"cli.options", "cli.outputs", "cli.batch"},
    {
        "cli.denoising",
        "cli.generation",
        "cli.editing",
        "cli.listening",
        "cli.page",
        "cli.training",
        "cli.data",
        "cli.models",
    },
    {"__main__"},
]
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}


def modules() -> dict[str, Path]:
    paths = [p for p in ROOT.rglob("*.py") if p.name != "__init__.py"]
    return {".".join(p.relative_to(ROOT).with_suffix("").parts): p for p in paths}


def imports(name: str, path: Path) -> set[str]:
    """Modules of this package that a module imports, at its top or inside its functions."""
    package = name.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level > 0:
            base = package[: len(package) - node.level + 1]
            target = [*base, *(node.module.split(".") if node.module else [])]
            names = [".".join([*target, alias.name]) for alias in node.names]
            found |= {n if n in FLOOR else ".".join(target) for n in names}
    return found & set(FLOOR)


def test_every_module_has_a_floor():
    assert set(modules()) == set(FLOOR)


def test_imports_of_the_package_are_relative():
    """Others are not seen below."""
    absolute = re.compile(r"^\s*(from|import) speechjem\b", re.MULTILINE)
    assert not [name for name, path in modules().items() if absolute.search(path.read_text())]


def test_imports_go_downwards():
    upward = [
        f"{name} imports {other}"
        for name, path in modules().items()
        for other in imports(name, path)
        if FLOOR[other] >= FLOOR[name]
    ]
    assert not upward
