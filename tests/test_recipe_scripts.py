"""The scripts of the recipes: each can be read, and those that are cheap print their tables."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from support import ENVIRONMENT, RECIPES, TINY_FILE, differences, run, write_corpus

from speechjem.data.kaldi import read_directory
from speechjem.models import checkpoint

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


@pytest.fixture(scope="module")
def data(toy_corpus, tmp_path_factory) -> Path:
    """A data directory of the toy language, of which two speakers are held out."""
    folder = write_corpus(tmp_path_factory.mktemp("data"), toy_corpus)
    (folder / "dev_speakers").write_text("140\n180\n")
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


def clips(folder: Path, name: str, count: int) -> Path:
    """Half seconds of a shipped sample."""
    folder.mkdir()
    for number in range(count):
        samples, rate = soundfile.read(
            ROOT / "samples" / f"{name}.flac", start=8000 * (1 + number), frames=8000
        )
        soundfile.write(folder / f"{name} {number}.wav", samples, rate)
    return folder


def test_a_model_is_adapted_without_text_and_measured_on_what_was_held_back(tmp_path):
    voices, noise = clips(tmp_path / "voices", "clean", 6), clips(tmp_path / "noise", "noisy", 5)
    settings = yaml.safe_load((RECIPES / "adapt" / "conf" / "adapt.yaml").read_text())
    (tmp_path / "quick.yaml").write_text(
        yaml.safe_dump(settings | {"updates": 1, "batch": 2, "seconds": 0.4})
    )
    words = [
        "--voices",
        voices,
        "--noise",
        noise,
        "--conf",
        tmp_path / "quick.yaml",
        "--dir",
        tmp_path / "mine",
    ]
    done = run(RECIPES / "adapt" / "run.sh", *words)
    assert done.returncode == 0, done.stderr
    data, model = tmp_path / "mine" / "data", tmp_path / "mine" / "exp" / "adapt" / "model"
    assert [u.name for u in read_directory(data / "voices" / "held_back")] == ["clean-4"]
    assert all(u.alignment for u in read_directory(data / "voices" / "train"))
    assert [path.name for path in (data / "noise" / "held_back").iterdir()] == ["noisy-4.wav"]
    table = rows(done.stdout)
    assert set(table) == {"system", "---", "noisy", "base", str(model)}
    # Where generation starts is not trained, and stays.
    before, after = (checkpoint.load(name) for name in ("base", model))
    assert differences(before.starts.state_dict(), after.starts.state_dict()) == []
    assert differences(before.jem.state_dict(), after.jem.state_dict())


def test_words_that_a_recogniser_gets_wrong_are_counted_beside_the_untouched_input(capsys):
    recogniser = runpy.run_path(str(RECIPES / "denoise" / "local" / "recogniser.py"))
    spoken = ["ONE TWO THREE FOUR", "FIVE SIX SEVEN EIGHT"]
    heard = [
        {"clean": "One, two, three; 4.", "clean, denoised 1": "one two three"},
        {"clean": "five six seven", "clean, denoised 1": "five nine seven eight eight"},
    ]
    recogniser["print_errors"](spoken, heard)
    table = rows(capsys.readouterr().out)
    assert table["clean"][0] == "12.5%"  # one of eight
    assert table["clean, denoised 1"][:2] == ["37.5%", "+25.0"]
    assert table["clean, denoised 1"][2] == "+25.0 to +25.0"  # one more in each


def test_what_a_recogniser_has_heard_is_not_asked_again(tmp_path):
    done = runpy.run_path(str(RECIPES / "denoise" / "local" / "recogniser.py"))["done"]
    kept = tmp_path / "heard.jsonl"
    assert done(None) == done(kept) == {}
    kept.write_text('["a", {"clean": "one"}]\n["b", {"clean": "tw')  # a process that was killed
    assert done(kept) == {"a": {"clean": "one"}}
    assert kept.read_text() == '["a", {"clean": "one"}]\n'


def test_pairs_are_those_of_the_speakers_held_out(script, data, tmp_path):
    script("steps/make_pairs.py", data, tmp_path, "--count", 4, "--snr", 10)
    names = sorted(path.name for path in (tmp_path / "clean").iterdir())
    assert {name.split("-")[0] for name in names} == {"140", "180"}
    for name in names:
        clean, noisy = (soundfile.read(tmp_path / kind / name)[0] for kind in ("clean", "noisy"))
        assert 10 * np.log10(np.sum(clean**2) / np.sum((noisy - clean) ** 2)) == pytest.approx(10, abs=3)


def test_calibration_is_a_table_and_a_picture(script, data, tmp_path):
    picture = tmp_path / "reliability.png"
    table = rows(script("energy/local/calibration.py", data, BASE, "--picture", picture))
    accuracy = float(table["base"][0])
    assert 0 < accuracy < 1
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_updates_a_second_are_counted(script, data, tmp_path):
    conf = tmp_path / "conf.yaml"
    conf.write_text(json.dumps(TINY_FILE | {"updates": 20}))
    said = script("bench/updates.py", conf, data, "--device", "cpu", "--updates", 2)
    assert float(said.split(" updates/s")[0].split()[-1]) > 0
