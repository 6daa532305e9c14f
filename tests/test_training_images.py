"""Training on the digits of scikit-learn: it learns, samples, resumes, and loads again."""

from __future__ import annotations

import json
import subprocess
import sys
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from sklearn.svm import SVC
from support import differences, rows, state

from speechjem.data import images
from speechjem.data.images import ImageAugmentation
from speechjem.energy.langevin import LangevinConfig
from speechjem.energy.wide_resnet import WideResNetConfig
from speechjem.errors import DivergenceError, InputError, ModelError, UsageError
from speechjem.models import checkpoint
from speechjem.training import images as train_images
from speechjem.training import loop, settings
from speechjem.training.settings import ImageDataConfig, ImageTrainConfig, ObjectiveConfig

TINY = ImageTrainConfig(
    data=ImageDataConfig("digits", None, 200),
    network=WideResNetConfig(10, 1),
    generate=LangevinConfig(steps=40, step_size=8.0, noise=0.0035, bound=1.0),
    augment=ImageAugmentation(flip=False, crop=0, noise=0.03),
    energy=ObjectiveConfig(
        chains=8, slots=10, langevin=LangevinConfig(steps=5, step_size=8.0, noise=0.0035, bound=1.0)
    ),
    updates=300,
    batch=32,
    learning_rate=2e-3,
    warmup=20,
    ema=0.97,
    log_every=1,
    validate_every=300,
    save_every=1000,
    precision="float32",
)
QUICK = replace(
    TINY, updates=80, batch=8, energy=replace(TINY.energy, chains=4, langevin=LangevinConfig(steps=1))
)


@pytest.fixture(scope="module")
def digits() -> tuple[images.Images, images.Images]:
    return images.read("digits", None, "train"), images.read("digits", None, "test")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("digits")
    train_images.train(TINY, out, progress=False)
    return out


@pytest.mark.parametrize("workers", [0, 2])
def test_digits_are_learnt_on_every_device(digits, tmp_path, device, workers):
    config = replace(TINY, updates=60, validate_every=60)
    model = train_images.train(config, tmp_path, device=device.type, workers=workers, progress=False)
    assert train_images.accuracy(model, digits[1]) > 0.5
    (row,) = rows(tmp_path, "held_out_accuracy")
    assert row["held_out_accuracy"] > 0.5


def test_digits_never_seen_are_recognised(trained, digits):
    model = checkpoint.load_images(trained / "model")
    assert train_images.accuracy(model, digits[1]) > 0.85
    (row,) = rows(trained, "held_out_accuracy")
    assert row["held_out_accuracy"] > 0.85


def test_samples_are_digits_to_a_judge_that_has_never_seen_any(trained, digits):
    judge = SVC().fit(digits[0].pixels.reshape(-1, 64), digits[0].labels)
    assert judge.score(digits[1].pixels.reshape(-1, 64), digits[1].labels) > 0.95
    model, labels = checkpoint.load_images(trained / "model"), torch.arange(60) % 10
    made = model.generate(labels, torch.Generator().manual_seed(0))
    assert made.shape == (60, 1, 8, 8)
    assert made.abs().max() <= 1
    assert judge.score(images.to_bytes(made).reshape(-1, 64), labels.numpy()) > 0.5


def test_samples_repeat_with_their_seed(trained):
    model, labels = checkpoint.load_images(trained / "model"), torch.tensor([3, 8])
    first, second, other = (model.generate(labels, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_chains_start_between_minus_one_and_one(digits):
    chains = train_images.ImageTrainer(QUICK, digits[0]).buffer.chains
    assert chains.shape == (10, 10, 1, 8, 8)
    assert chains.abs().max() <= 1
    assert chains.std().item() == pytest.approx(3**-0.5, rel=0.05)  # of U(-1, 1)


def test_chains_get_longer_as_asked_for(digits, monkeypatch):
    steps = []

    def count(gradient, x, config, generator):
        steps.append(config.steps)
        return sample(gradient, x, config, generator)

    sample = loop.sample
    monkeypatch.setattr(loop, "sample", count)
    trainer = train_images.ImageTrainer(
        replace(QUICK, energy=replace(QUICK.energy, longer_every=2)), digits[0]
    )
    for _ in range(6):
        trainer.step()
    assert steps == [1, 1, 2, 2, 3, 3]


def test_without_the_energy_objective_it_is_a_plain_classifier(digits):
    config = replace(QUICK, classify=1.0, energy=replace(QUICK.energy, weight=0.0))
    trainer = train_images.ImageTrainer(config, digits[0])
    chains = trainer.buffer.chains.clone()
    metrics = trainer.step()
    assert torch.equal(trainer.buffer.chains, chains)
    assert metrics["loss"] == metrics["loss_classify"] > 0


def test_a_training_goes_on_bit_for_bit(tmp_path, device):
    # 80 updates: the adaptation of the sampler decides after 33 and 66, an epoch takes 154.
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    config = replace(QUICK, updates=160, validate_every=160)
    train_images.train(config, whole, device=device.type, progress=False)
    expected = state(whole)
    trainer = train_images.ImageTrainer(config, images.read("digits", None, "train")[:-200], device)
    metrics = [trainer.step() for _ in range(70)]
    parts.mkdir()
    torch.save(trainer.state_dict(), parts / "checkpoint.pt")
    (parts / "train.jsonl").write_text(
        "".join(json.dumps({"update": 1 + k, **row}) + "\n" for k, row in enumerate(metrics))
    )
    train_images.train(config, parts, device=device.type, progress=False)
    assert differences(expected, state(parts)) == []
    assert rows(parts) == rows(whole)


def test_going_on_with_other_settings_is_refused(digits, tmp_path):
    torch.save(train_images.ImageTrainer(QUICK, digits[0]).state_dict(), tmp_path / "checkpoint.pt")
    with pytest.raises(UsageError, match="another configuration"):
        train_images.train(replace(QUICK, seed=1), tmp_path, progress=False)


def test_an_absurd_learning_rate_stops_the_training(digits, tmp_path):
    with pytest.raises(DivergenceError, match="lower the learning rate"):
        train_images.train(replace(QUICK, learning_rate=1e5, warmup=0), tmp_path, progress=False)
    assert rows(tmp_path)[-1]["diverged"] is True


def test_models_of_speech_and_of_images_are_not_mistaken_for_each_other(trained):
    with pytest.raises(ModelError, match=r"does not describe a speechjem-model-1.*'speechjem train' wrote"):
        checkpoint.load(trained / "model")
    with pytest.raises(ModelError, match="'speechjem train-images' wrote"):
        checkpoint.load_images(checkpoint.shipped_folder())


def test_images_that_are_not_square_are_refused(digits):
    wide = replace(digits[0], pixels=np.zeros((len(digits[0]), 1, 8, 9), np.uint8))
    with pytest.raises(UsageError, match="8 x 9"):
        train_images.ImageTrainer(QUICK, wide)


def speechjem(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "speechjem", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_command_trains_and_says_where_the_model_is(tmp_path):
    content = json.loads(json.dumps(asdict(replace(QUICK, updates=3))))
    (tmp_path / "digits.yaml").write_text(yaml.safe_dump(content))
    out = tmp_path / "out"
    finished = speechjem("train-images", tmp_path / "digits.yaml", "-o", out, "--device", "cpu")
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.strip() == str(out / "model")
    assert checkpoint.load_images(out / "model").config.classes == images.DIGITS


def test_the_command_takes_the_folder_of_the_images(tmp_path):
    (tmp_path / "c.yaml").write_text("data: {name: mnist}\n")
    missing = speechjem("train-images", tmp_path / "c.yaml", "-o", tmp_path / "out", "--data", tmp_path)
    assert missing.returncode == 1
    assert "train-images-idx3-ubyte" in missing.stderr
    unsaid = speechjem("train-images", tmp_path / "c.yaml", "-o", tmp_path / "out")
    assert unsaid.returncode == 2
    assert "Give the folder" in unsaid.stderr


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("network: {depth: 11}", "'depth'"),
        ("network: {width: 0}", "'width'"),
        ("energy: {frames: 3}", "'frames'"),
        ("energy: {objective: magic}", "'magic'"),
        ("energy: {chains: 40, slots: 30}", "'chains'"),
        ("{batch: 4, energy: {chains: 5}}", "'chains'"),
        ("data: {held_out: -1}", "'held_out'"),
        ("seconds: 2.0", "'seconds'"),
    ],
)
def test_an_impossible_setting_is_named(tmp_path, text, named):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(InputError, match=named):
        settings.read_image_config(tmp_path / "c.yaml")


@pytest.mark.parametrize("unconditional", [0.0, 1.0])
def test_negatives_go_down_the_energy_of_their_class(digits, unconditional):
    """A step without noise is x + a/2 * d f(x)[y] / dx; for chains without a class, of logsumexp f(x)."""
    step = LangevinConfig(steps=1, step_size=0.1, noise=0.0, momentum=0.0, clamp=0.0)
    energy = replace(QUICK.energy, langevin=step, adapt=False, restart=0.0, unconditional=unconditional)
    trainer = train_images.ImageTrainer(replace(QUICK, energy=energy), digits[0])
    network = deepcopy(trainer.model.jem.network)
    before = trainer.buffer.chains.clone()
    trainer.step()
    moved = (trainer.buffer.chains != before).flatten(2).any(2).nonzero()
    assert len(moved) == energy.chains
    for label, slot in moved.tolist():
        x = before[label, slot][None].requires_grad_()
        logits = network(x).reshape(-1)
        wanted = torch.logsumexp(logits, 0) if unconditional else logits[label]
        (slope,) = torch.autograd.grad(wanted, x)
        torch.testing.assert_close(trainer.buffer.chains[label, slot], (x + 0.05 * slope)[0].detach())
