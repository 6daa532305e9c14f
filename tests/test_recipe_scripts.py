"""The scripts of the recipes: each can be read, and those that are cheap print their tables."""

from __future__ import annotations

import ast
import importlib.util
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
from support import ENVIRONMENT, RECIPES, run

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted(path.relative_to(RECIPES) for path in RECIPES.rglob("*.py"))
BASE = ROOT / "models" / "base"


@pytest.fixture
def script(monkeypatch, capsys):
    """Run a script of the recipes in this process; gives what it prints."""

    def run(name: str, *words: object) -> str:
        monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
        monkeypatch.setattr(sys, "path", [str((RECIPES / name).parent), *sys.path])
        runpy.run_path(str(RECIPES / name), run_name="__main__")
        return capsys.readouterr().out

    return run


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    """Folders `noisy` and `clean` of two seconds of the shipped sample."""
    folder = tmp_path_factory.mktemp("pairs")
    for name in ("noisy", "clean"):
        (folder / name).mkdir()
        samples, rate = soundfile.read(ROOT / "samples" / f"{name}.flac", frames=2 * 16000)
        soundfile.write(folder / name / "austen.wav", samples, rate)
    return folder


def rows(table: str) -> dict[str, list[str]]:
    """Cells of a Markdown table by the first one."""
    lines = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("|")]
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in lines}


@pytest.mark.parametrize("path", SCRIPTS, ids=str)
def test_what_a_script_takes_from_the_package_and_from_the_steps_is_there(path):
    """Also in scripts that need packages which only they need."""
    tree = ast.parse((RECIPES / path).read_text())
    common = runpy.run_path(str(RECIPES / "steps" / "common.py"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "speechjem":
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                assert hasattr(module, alias.name) or importlib.util.find_spec(inside), inside
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "common":
            assert node.attr in common


@pytest.mark.parametrize(
    "folder", sorted(path.parent for path in RECIPES.glob("*/README.md")), ids=lambda folder: folder.name
)
def test_a_recipe_says_what_its_stages_are_and_has_their_scripts(folder):
    shown = run(folder / "run.sh", "--help").stdout
    assert f"Usage: recipes/{folder.name}/run.sh" in shown
    assert "Stages: " in shown
    places = {"$here": folder, "$local": folder / "local", "$steps": RECIPES / "steps", "$recipes": RECIPES}
    for name in re.findall(r'python "?([$\w./]+\.py)\b', (folder / "run.sh").read_text()):
        for variable, place in places.items():
            name = name.replace(variable, str(place))
        assert (folder / name).is_file(), name


def test_speakers_held_out_are_those_given_or_those_of_the_corpus(tmp_path):
    held_out = runpy.run_path(str(RECIPES / "steps" / "common.py"))["held_out"]
    assert held_out(tmp_path, ["amy"]) == {"amy"}
    with pytest.raises(SystemExit, match="--speakers"):
        held_out(tmp_path, None)
    (tmp_path / "dev_speakers").write_text("dot\nhal\n")
    assert held_out(tmp_path, None) == {"dot", "hal"}


def test_the_ceiling_is_above_the_model_and_the_model_above_the_input(script, pairs):
    table = rows(script("denoise/local/ceiling.py", BASE, pairs / "noisy", pairs / "clean"))
    esto = {name: float(cells[1]) for name, cells in table.items() if name not in ("gain", "---")}
    assert esto["noisy input"] < esto["model"] < esto["oracle, STFT bins"]


def test_the_stream_is_beside_the_whole_recording(script, pairs):
    model = ROOT / "models" / "stream"
    table = rows(script("denoise/local/stream.py", model, pairs / "noisy", pairs / "clean", "--only"))
    assert table["stream"][0] == "40"
    assert table["stream"][2:] == table["the same, whole files"][2:]
    assert 1 < float(table["noisy"][2]) < float(table["stream"][2]) < 4.6


def test_the_denoising_recipe_writes_the_tables_of_its_stages(pairs, tmp_path):
    command = [RECIPES / "denoise" / "run.sh", "--stage", 2, "--stop-stage", 2]
    words = [*command, BASE, pairs / "noisy", pairs / "clean", tmp_path]
    subprocess.run(list(map(str, words)), check=True, env=ENVIRONMENT, capture_output=True)
    assert "oracle" in (tmp_path / "ceiling.md").read_text()


def test_stages_have_shares_of_the_whole(script):
    table = rows(script("bench/stages.py", ROOT / "samples" / "noisy.flac", "--repeat", 1))
    shares = [int(cells[1].rstrip("%")) for cells in table.values() if cells[1].endswith("%")]
    assert sum(shares) == pytest.approx(100, abs=len(shares))


def test_gaps_are_filled_better_than_with_silence(script, pairs):
    out = script("generate/local/gaps.py", BASE, pairs / "clean", "--count", 1, "--gaps", 0.04)
    lines = [line.split("|")[1:-1] for line in out.splitlines() if line.startswith("| 40 ms")]
    stoi = {filled.strip(): float(value) for _, filled, _, value, _ in lines}
    assert stoi["silence"] < stoi["and steps along E(x)"]
