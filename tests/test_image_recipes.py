"""The recipes of images on a few made-up images, and their measures against what is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
import yaml
from PIL import Image
from support import RECIPES, cifar_rows, run, write_cifar10, write_mnist

from speechjem.training import settings

SMALL = {
    "network": {"depth": 10, "width": 1},
    "energy": {"chains": 2, "slots": 2, "langevin": {"steps": 1}},
    "generate": {"steps": 1},
    "updates": 2,
    "batch": 4,
    "precision": "float32",
}
RNG = np.random.default_rng(0)


def write_cifar100(folder: Path) -> None:
    (folder / "fine_label_names.txt").write_text("\n".join(f"class_{number}" for number in range(100)))
    for part in ("train", "test"):
        content, _ = cifar_rows([[0, label] for label in RNG.integers(100, size=40)])
        (folder / f"{part}.bin").write_bytes(content)


def write_fashion(folder: Path) -> None:
    for part in ("train", "t10k"):
        write_mnist(folder, part, 60)


def write_cifar(folder: Path) -> None:
    write_cifar10(folder, 20)


@pytest.mark.parametrize(("recipe", "write"), [("cifar10", write_cifar), ("fashion_mnist", write_fashion)])
def test_a_recipe_runs_from_its_images_to_its_scores(tmp_path, recipe, write):
    data, svhn = tmp_path / "data", tmp_path / "svhn"
    data.mkdir()
    svhn.mkdir()
    write(data)
    pixels = RNG.integers(256, size=(32, 32, 3, 8), dtype=np.uint8)
    scipy.io.savemat(svhn / "test_32x32.mat", {"X": pixels, "y": np.arange(1, 9)[:, None]})
    conf = tmp_path / "small.yaml"
    conf.write_text(yaml.safe_dump(SMALL | {"data": {"name": recipe, "held_out": 10}}))
    words = ["--data", data, "--conf", conf, "--dir", tmp_path, "--device", "cpu", "--each", 2]
    finished = run(RECIPES / recipe / "run.sh", *words, *(["--svhn", svhn] if "cifar" in recipe else []))
    assert finished.returncode == 0, finished.stderr
    out = tmp_path / "exp" / "small"
    scores = json.loads((out / "scores.json").read_text())
    assert json.loads(finished.stdout.split("scores\n", 1)[1]) == scores
    assert set(scores["auroc"]) == {"noise", "digits" if recipe == "fashion_mnist" else "svhn"}
    assert scores["generated"]["samples"] == 20
    size, channels = (28, 1) if recipe == "fashion_mnist" else (32, 3)
    with np.load(out / "samples.npz") as samples:
        assert samples["pixels"].shape == (20, channels, size, size)
        assert sorted(samples["labels"]) == sorted([*range(10)] * 2)
        first = samples["pixels"][0]
    with Image.open(out / "grid.png") as picture:
        assert picture.size == (2 * 2 * size, 20 * size)
        corner = np.atleast_3d(np.asarray(picture)[: 2 * size : 2, : 2 * size : 2])
    np.testing.assert_array_equal(corner.transpose(2, 0, 1), first)


CONFIGURATIONS = [
    conf for name in ("cifar10", "cifar100", "fashion_mnist") for conf in (RECIPES / name).rglob("*.yaml")
]


@pytest.mark.parametrize("conf", CONFIGURATIONS, ids=lambda conf: f"{conf.parts[-3]}-{conf.stem}")
def test_every_configuration_can_be_read(conf):
    config = settings.read_image_config(conf)
    assert config.data.name == conf.parts[-3]
    assert config.energy.objective == "st-jem"


def test_the_papers_network_is_the_published_one():
    for recipe in ("cifar10", "cifar100"):
        config = settings.read_image_config(RECIPES / recipe / "conf" / "paper.yaml")
        assert (config.network.depth, config.network.width) == (28, 10)


@pytest.mark.parametrize("recipe", ["cifar10", "cifar100", "fashion_mnist"])
def test_a_wrong_option_shows_the_usage(recipe):
    finished = run(RECIPES / recipe / "run.sh", "--stagge", 1)
    assert finished.returncode == 2
    assert "Usage:" in finished.stderr


def test_the_frechet_distance_of_gaussians_is_the_analytic_one(monkeypatch):
    monkeypatch.syspath_prepend(RECIPES / "steps")
    import image_judge

    # Diagonal covariances: sum (m - n)^2 + (s - t)^2 over the dimensions.
    a = RNG.standard_normal((200_000, 3)) * [1, 2, 0.5] + [0, 1, 0]
    b = RNG.standard_normal((200_000, 3)) * [2, 2, 1.5] + [3, 1, 0]
    assert image_judge.frechet_distance(a, b) == pytest.approx(9 + 1 + 1, rel=0.02)
    assert image_judge.frechet_distance(a, a) == pytest.approx(0, abs=1e-6)


def test_a_set_of_equal_images_has_no_diversity(monkeypatch):
    monkeypatch.syspath_prepend(RECIPES / "steps")
    import image_judge

    labels = np.array([0, 0, 0, 1, 1, 2])
    assert image_judge.diversity(np.eye(3)[labels], labels) == 0
    assert image_judge.diversity(np.arange(6.0)[:, None], labels) == pytest.approx((4 / 3 + 1) / 2)


def test_the_judge_recognises_digits_it_has_not_seen(monkeypatch):
    monkeypatch.syspath_prepend(RECIPES / "steps")
    import image_judge

    from speechjem.data import images

    judge = image_judge.train(images.read("digits", None, "train"), 8, torch.device("cpu"))
    test = images.read("digits", None, "test")
    classes, features = judge.judge(test.pixels)
    assert (classes == test.labels).mean() > 0.9
    assert features.shape == (len(test), image_judge.FEATURES)


def test_the_score_of_another_set_is_the_share_of_pairs_in_order(monkeypatch):
    monkeypatch.syspath_prepend(RECIPES / "steps")
    import image_scores

    inside, outside = torch.tensor([[3.0, 0.0], [1.0, 0.0]]), torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    assert image_scores.auroc(inside, outside) == {"energy": 0.75, "largest p(y|x)": 0.75}
    # The same posteriors, but other energies.
    scores = image_scores.auroc(inside, inside - 10)
    assert scores == {"energy": 1.0, "largest p(y|x)": 0.5}
