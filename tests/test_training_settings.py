"""Configurations of a training: what is read, at which place, and which sentence refuses the rest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support import RECIPES, TINY

from speechjem.energy.langevin import LangevinConfig
from speechjem.energy.tdnn import NetworkConfig
from speechjem.errors import InputError
from speechjem.training import settings
from speechjem.training.settings import DataConfig, EnergyConfig, TrainConfig


def read(tmp_path: Path, text: str) -> TrainConfig:
    (tmp_path / "train.yaml").write_text(text)
    return settings.read_config(tmp_path / "train.yaml")


def test_an_empty_configuration_has_the_defaults(tmp_path):
    assert read(tmp_path, "") == TrainConfig()


def test_settings_are_read_at_every_depth(tmp_path):
    config = read(
        tmp_path,
        "updates: 7\nclip: 2\ndata: {labelled: here, held_out_speakers: ['19', anna]}\n"
        "energy: {objective: joint, langevin: {steps: 3, noise: 0.5}}\n"
        "model: {network: {dilations: [1, 3]}}\n",
    )
    assert (config.updates, config.clip) == (7, 2.0)
    assert config.data == DataConfig(labelled="here", held_out_speakers=("19", "anna"))
    assert config.energy == EnergyConfig(objective="joint", langevin=LangevinConfig(steps=3, noise=0.5))
    assert config.model.network == NetworkConfig(dilations=(1, 3))


@pytest.mark.parametrize(
    ("text", "value"), [("1e-3", 0.001), ("2.5E-4", 0.00025), ("1.e+1", 10.0), ("3", 3.0), ("0.5", 0.5)]
)
def test_numbers_are_read_in_every_notation(tmp_path, text, value):
    assert read(tmp_path, f"learning_rate: {text}").learning_rate == value


def test_names_of_digits_and_an_e_stay_names_in_quotes(tmp_path):
    assert read(tmp_path, "data: {held_out_speakers: ['1e3']}").data.held_out_speakers == ("1e3",)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("surprise: 1", "'surprise'"),
        ("energy: {surprise: 1}", "'surprise'"),
        ("energy: {langevin: {surprise: 1}}", "'surprise'"),
        ("energy: {objective: magic}", "'magic'"),
        ("updates: many", "'updates'"),
        ("updates: 1.5", "'updates'"),
        ("seed: true", "'seed'"),
        ("data: {labelled: 5}", "'labelled'"),
        ("data: {held_out_speakers: anna}", "'held_out_speakers'"),
        ("data: {held_out_speakers: [19]}", "'held_out_speakers'"),
        ("energy: st-jem", "'energy'"),
        ("updates: 0", "'updates'"),
        ("batch: -1", "'batch'"),
        ("learning_rate: .nan", "'learning_rate'"),
        ("seconds: .inf", "'seconds'"),
        ("log_every: 0", "'log_every'"),
        ("save_every: 0", "'save_every'"),
        ("energy: {chunks: 0}", "'chunks'"),
        ("energy: {frames: 8, stride: 9}", "'stride'"),
        ("energy: {chains: 9, slots: 8}", "'chains'"),
        ("energy: {chunks: 4, sequences: 5}", "'sequences'"),
        ("mask_bins: -1", "'mask_bins'"),
        ("seconds: 0.1", "0.1 s"),
        ("model: {network: {classes: 3}}", "classes"),
        ("- updates", "mapping"),
        ("updates", "mapping"),
        ("updates: [", "yaml"),
    ],
)
def test_an_impossible_configuration_is_refused_by_name(tmp_path, text, named):
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "train.yaml"))
    assert named in message
    assert "\n" not in message


def test_a_configuration_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "train.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not a training configuration"):
        settings.read_config(tmp_path / "train.yaml")


def test_a_missing_configuration_is_refused(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        settings.read_config(tmp_path / "train.yaml")


@pytest.mark.parametrize("path", sorted(RECIPES.rglob("*.yaml")), ids=lambda path: path.stem)
def test_the_configurations_of_the_recipes_can_be_read(path):
    of_images = path.parents[1].name in ("cifar10", "cifar100", "fashion_mnist") or path.stem == "images"
    read = settings.read_image_config if of_images else settings.read_config
    assert read(path).updates > 0


def test_paths_of_the_data_can_be_replaced_one_by_one():
    config = replace(TINY, data=DataConfig("a", "b", "c", ("anna",)))
    changed = settings.with_data(config, labelled="x", unlabelled=None, noise="y")
    assert changed == replace(TINY, data=DataConfig("x", "b", "y", ("anna",)))
