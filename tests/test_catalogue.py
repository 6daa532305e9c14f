"""The catalogue of models: which are found, what is told of one, and what is not sound."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from speechjem import catalogue, cli
from speechjem.energy.descent import DescentConfig
from speechjem.energy.tdnn import NetworkConfig
from speechjem.energy.wide_resnet import WideResNetConfig
from speechjem.errors import ModelError
from speechjem.models import checkpoint
from speechjem.models.images import ImageModel, ImageModelConfig
from speechjem.models.speech import ModelConfig, SpeechModel

CONFIG = ModelConfig(
    network=NetworkConfig(channels=8, hidden=8, dilations=(1, 2)), descent=DescentConfig(steps=1)
)


@pytest.fixture
def folder(tmp_path):
    checkpoint.save(SpeechModel(CONFIG), tmp_path / "exp" / "model")
    return tmp_path / "exp" / "model"


@pytest.fixture
def run(monkeypatch, capsys):
    """Run `speechjem models`; gives exit code, stdout and stderr."""

    def command(*words):
        monkeypatch.setattr(sys, "argv", ["speechjem", "models", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return stop.value.code or 0, captured.out, captured.err

    return command


def test_facts_about_a_folder_are_true(folder):
    facts = catalogue.describe(folder)
    assert facts["parameters"] == sum(p.numel() for p in SpeechModel(CONFIG).parameters())
    assert facts["bytes"] == os.path.getsize(folder / "model.safetensors")
    assert facts["context_seconds"] == pytest.approx(4 * 0.01)  # 1 + 1 + 2 frames
    assert facts["network"]["channels"] == 8
    assert (facts["licence"], facts["card"]) == (None, None)
    sums = subprocess.run(
        ["sha256sum", folder / "model.safetensors"], capture_output=True, text=True, check=True
    )
    assert facts["sha256"] == sums.stdout.split()[0]


@pytest.mark.parametrize(
    ("text", "licence", "card"),
    [
        ("# Name\n\nA model\nof mine.\n\nMore.", None, "A model of mine."),
        ("---\nlicense: mit\ntags: [a]\n---\n\n# Name\n\n![x](x.png)\n\nMine.\n", "mit", "Mine."),
        ("---\n- a list\n---\nMine.", None, "Mine."),
        ("", None, None),
    ],
)
def test_a_card_gives_licence_and_first_paragraph(tmp_path, text, licence, card):
    (tmp_path / "README.md").write_text(text)
    assert catalogue.read_card(tmp_path) == (licence, card)


def test_models_of_images_are_known_too(tmp_path, run):
    model = ImageModel(ImageModelConfig(("cat", "dog"), network=WideResNetConfig(10, 1)))
    checkpoint.save(model, tmp_path / "pets")
    rows = [json.loads(line) for line in run("list", tmp_path, "--json")[1].splitlines()]
    (row,) = (row for row in rows if row["folder"] == str(tmp_path / "pets"))
    count = sum(p.numel() for p in model.parameters())
    assert (row["classes"], row["parameters"]) == (2, count)
    facts = json.loads(run("info", tmp_path / "pets", "--json")[1])
    assert (facts["names"], facts["size"], facts["network"]["depth"]) == (["cat", "dog"], 32, 10)
    assert "four images" in run("verify", tmp_path / "pets")[1]
    weights = load_file(tmp_path / "pets/model.safetensors")
    weights["jem.network.output.weight"].fill_(3e38)  # finite, unlike what comes out
    save_file(weights, tmp_path / "pets/model.safetensors")
    (tmp_path / "pets/config.json").write_text(
        json.dumps(json.loads((tmp_path / "pets/config.json").read_text()) | {"sha256": None})
    )
    code, _, err = run("verify", tmp_path / "pets")
    assert (code, "not give finite numbers" in err) == (1, True)


def test_the_shipped_model_is_licensed_and_sound(run):
    facts = json.loads(run("info", "base", "--json")[1])
    assert facts["licence"] == "cc-by-4.0"
    code, out, _ = run("verify", "--json")
    assert code == 0
    assert json.loads(out)["sha256"] == f"{facts['sha256']}, as config.json states"


def test_list_finds_models_and_passes_over_other_folders(run, folder, tmp_path, monkeypatch):
    (tmp_path / "exp" / "config.json").write_text('{"updates": 1}')
    code, out, _ = run("list", tmp_path, "--json")
    rows = {row["name"]: row for row in map(json.loads, out.splitlines())}
    assert code == 0
    assert {"base", str(folder)} <= set(rows)
    assert str(tmp_path / "exp") not in rows
    assert rows[str(folder)]["parameters"] == sum(p.numel() for p in SpeechModel(CONFIG).parameters())
    monkeypatch.chdir(tmp_path)  # a short name, which no line of the table breaks
    assert str(folder.relative_to(tmp_path)) in run("list", ".")[1]


def test_a_damaged_model_is_named_and_the_others_are_listed(run, folder, tmp_path):
    checkpoint.save(SpeechModel(CONFIG), tmp_path / "good")
    (folder / "model.safetensors").write_bytes(b"")
    code, out, err = run("list", tmp_path, "--json")
    assert code == 1
    assert str(folder) in err
    assert str(tmp_path / "good") in out


def test_a_sound_model_is_verified(run, folder):
    code, out, err = run("verify", folder)
    assert (code, err) == (0, "")
    assert "as config.json states" in out


def spoil(folder: Path, **changes: torch.Tensor) -> None:
    """Other weights, and a configuration that does not say so."""
    weights = load_file(folder / "model.safetensors")
    save_file(weights | changes, folder / "model.safetensors")


def test_changed_weights_are_not_sound(run, folder):
    spoil(folder, **{"jem.network.output.bias": torch.ones(40)})
    code, _, err = run("verify", folder)
    assert code == 1
    assert "config.json states" in err


def test_weights_that_overflow_are_not_sound(folder):
    """All finite, and yet nothing finite comes out."""
    checkpoint.save(checkpoint.load(folder), folder)
    spoil(folder, **{"jem.network.output.weight": torch.full((40, 8), 3e38)})
    config = json.loads((folder / "config.json").read_text())
    del config["sha256"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="finite numbers"):
        catalogue.verify(folder)


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (("verify", "nowhere"), 1, "nowhere"),
        (("info", "no/such/folder"), 1, "no/such/folder"),
        (("list", "nowhere"), 1, "nowhere"),
        (("verify", "--magic"), 2, "--magic"),
    ],
)
def test_wrong_names_and_usage(run, words, code, part):
    assert run(*words)[0] == code
    assert part in run(*words)[2]
