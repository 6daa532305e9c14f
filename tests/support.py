"""What several test modules use: a toy language, tiny trainings and models, images, recipes as processes."""

from __future__ import annotations

import gzip
import json
import os
import re
import shlex
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file
from scipy import signal

from speechjem import phones
from speechjem.data.dataset import Recording
from speechjem.data.kaldi import Alignment
from speechjem.energy.descent import DescentConfig
from speechjem.energy.langevin import LangevinConfig
from speechjem.energy.tdnn import NetworkConfig
from speechjem.errors import ModelError
from speechjem.models import checkpoint
from speechjem.models.speech import ModelConfig, SpeechModel
from speechjem.training.settings import EnergyConfig, TrainConfig

# A toy language

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
RATE = 16000
VOWELS = {"AA": (700, 1200), "IY": (300, 2300), "UW": (320, 800)}  # formants in Hz
FRICATIVES = {"S": (4500, 7500), "SH": (1800, 4000)}  # band edges in Hz


def vowel(pitch: float, formants: tuple[int, int], count: int) -> np.ndarray:
    harmonics = np.arange(pitch, 5000, pitch)
    gains = sum(1 / (1 + ((harmonics - formant) / 90) ** 2) for formant in formants)
    time = np.arange(count) / RATE
    return 0.2 * gains @ np.sin(2 * np.pi * harmonics[:, None] * time)


def fricative(rng: np.random.Generator, band: tuple[int, int], count: int) -> np.ndarray:
    sos = signal.butter(4, band, "bandpass", fs=RATE, output="sos")
    return 0.15 * signal.sosfilt(sos, rng.standard_normal(count))


def utterance(name: str, seed: int, pitch: float, aligned: bool = True) -> Recording:
    """Eighteen phones of 0.1 to 0.2 s, with a little breath and a pause at either end."""
    rng = np.random.default_rng(seed)
    pieces, spoken = [np.zeros(RATE // 10)], []
    for label in rng.choice([*VOWELS, *FRICATIVES, "SIL"], 18):
        count = int(RATE * rng.uniform(0.1, 0.2))
        start = sum(map(len, pieces)) / RATE
        spoken.append((start, start + count / RATE, phones.PHONES.index(label)))
        if label in VOWELS:
            pieces.append(vowel(pitch, VOWELS[label], count))
        elif label in FRICATIVES:
            pieces.append(fricative(rng, FRICATIVES[label], count))
        else:
            pieces.append(np.zeros(count))
    samples = np.concatenate([*pieces, np.zeros(RATE // 10)])
    return recording(
        name, samples, rng, Alignment(*map(np.array, zip(*spoken, strict=True))) if aligned else None
    )


def recording(
    name: str, samples: np.ndarray, rng: np.random.Generator, alignment: Alignment | None = None
) -> Recording:
    samples = samples + 0.001 * rng.standard_normal(len(samples))
    quantised = np.round(samples.clip(-1, 1) * 32767).astype(np.int16)
    return Recording(name, quantised, float(np.sqrt(np.mean(samples**2))), alignment)


def write_corpus(folder: Path, corpus) -> Path:
    """A data directory with the labelled and the held-out speech of a corpus."""
    scp, speakers, ctm = [], [], []
    for recording in [*corpus.labelled, *corpus.held_out]:
        name = recording.name
        soundfile.write(folder / f"{name}.wav", recording.samples, 16000)
        scp.append(f"{name} {name}.wav\n")
        speakers.append(f"{name} {name.split('-')[0]}\n")
        a = recording.alignment
        for start, end, label in zip(a.starts, a.ends, a.labels, strict=True):
            ctm.append(f"{name} 1 {start:.9f} {end - start:.9f} {phones.PHONES[label]}\n")
    for name, lines in (("wav.scp", scp), ("utt2spk", speakers), ("ali.ctm", ctm)):
        (folder / name).write_text("".join(lines))
    return folder


# Trainings

TINY = TrainConfig(
    model=ModelConfig(
        network=NetworkConfig(channels=16, hidden=16, dilations=(1, 2)), descent=DescentConfig(steps=2)
    ),
    energy=EnergyConfig(frames=16, chunks=4, chains=3, slots=4, langevin=LangevinConfig(steps=3)),
    updates=100,
    batch=4,
    seconds=0.4,
    learning_rate=5e-3,
    warmup=5,
    ema=0.9,
    log_every=1,
    validate_every=1000,
    save_every=1000,
    precision="float32",
)
TINY_FILE = {
    "model": {"network": {"channels": 16, "hidden": 16, "dilations": [1, 2]}},
    "data": {"window": {"shards": 1, "updates": 2}},
    "energy": {"frames": 16, "chunks": 4, "chains": 3, "slots": 4, "langevin": {"steps": 1}},
    "updates": 4,
    "batch": 2,
    "seconds": 0.5,
    "log_every": 1,
}


def rows(out: Path, with_key: str = "update") -> list[dict[str, Any]]:
    """The rows of train.jsonl that have a key, without the one value that depends on the clock."""
    found = [json.loads(line) for line in (out / "train.jsonl").read_text().splitlines()]
    kept = [row for row in found if with_key in row]
    return [{name: v for name, v in row.items() if name != "updates_per_second"} for row in kept]


def state(out: Path) -> dict[str, Any]:
    return torch.load(out / "checkpoint.pt", weights_only=True)


def differences(a: Any, b: Any, path: str = "state") -> list[str]:
    """Where two nested states differ, bit for bit."""
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return [place for key in a for place in differences(a[key], b[key], f"{path}.{key}")]
    if isinstance(a, list | tuple) and isinstance(b, list | tuple) and len(a) == len(b):
        pairs = enumerate(zip(a, b, strict=True))
        return [place for i, (x, y) in pairs for place in differences(x, y, f"{path}.{i}")]
    same = torch.equal(a, b) if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor) else a == b
    return [] if same else [path]


# Models

MODEL = ModelConfig(
    network=NetworkConfig(channels=16, hidden=16, dilations=(1, 2)),
    descent=DescentConfig(steps=2),
    denoise_mode="prior",
    generate=LangevinConfig(steps=3, decay=0.9),
)


def make_model(seed: int = 0) -> SpeechModel:
    """A model in which no tensor has its value of initialisation."""
    generator = torch.Generator().manual_seed(seed)
    model = SpeechModel(MODEL)
    for tensor in model.state_dict().values():
        tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
    return model


def refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        checkpoint.load(folder)
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message
    return message


def change_config(folder: Path, *keys: str, value: object) -> None:
    path = folder / "config.json"
    content = inner = json.loads(path.read_text())
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(json.dumps(content))


def changed_weights(folder: Path, change) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


# Images

PIXELS = np.random.default_rng(0)


def idx(values: np.ndarray) -> bytes:
    return bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def write_mnist(folder: Path, part: str, count: int, packed: bool = False) -> tuple[np.ndarray, np.ndarray]:
    pixels = PIXELS.integers(256, size=(count, 28, 28), dtype=np.uint8)
    labels = PIXELS.integers(10, size=count, dtype=np.uint8)
    for name, values in ((f"{part}-images-idx3-ubyte", pixels), (f"{part}-labels-idx1-ubyte", labels)):
        content = idx(values)
        path = folder / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(content) if packed else content)
    return pixels, labels


def cifar_rows(labels: list[list[int]]) -> tuple[bytes, np.ndarray]:
    """A file of CIFAR's binary version, and its pixels as (count, height, width, colour)."""
    pixels = PIXELS.integers(256, size=(len(labels), 32, 32, 3), dtype=np.uint8)
    content = b""
    for label, image in zip(labels, pixels, strict=True):
        content += bytes(label) + b"".join(image[..., colour].tobytes() for colour in range(3))
    return content, pixels


def write_cifar10(folder: Path, each: int = 2) -> dict[str, tuple[list[int], np.ndarray]]:
    """All files of the binary version, in its folder; labels and pixels of both parts."""
    inner = folder / "cifar-10-batches-bin"
    inner.mkdir(parents=True)
    (inner / "batches.meta.txt").write_text(
        "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n"
    )
    parts: dict[str, tuple[list[int], list[np.ndarray]]] = {"train": ([], []), "test": ([], [])}
    for name in (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"):
        labels = PIXELS.integers(10, size=each).tolist()
        content, pixels = cifar_rows([[label] for label in labels])
        (inner / f"{name}.bin").write_bytes(content)
        part = parts["test" if name.startswith("test") else "train"]
        part[0].extend(labels)
        part[1].append(pixels)
    return {name: (labels, np.concatenate(pixels)) for name, (labels, pixels) in parts.items()}


# Recipes

RECIPES = Path(__file__).parents[1] / "recipes"
# Commands of the environment that the tests run in.
ENVIRONMENT = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, env=ENVIRONMENT)


# Documentation

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PLAIN = re.compile(r"speechjem [^|<>$&;]*")


def blocks(page: Path, language: str) -> list[str]:
    """The fenced code of a page in a language."""
    return [code for found, code in BLOCK.findall(page.read_text()) if found == language]


def steps(page: Path) -> Iterator[str]:
    """The commands of a page: each of ours that needs no shell by itself, all others together."""
    for plain, lines in groupby("".join(blocks(page, "bash")).splitlines(), key=PLAIN.fullmatch):
        group = list(lines)
        yield from group if plain else ["\n".join(group)]


def follow(page: Path, command: Callable[..., tuple[int, str, str]], folder: Path) -> None:
    """Run the commands of a page in a folder; `command` is the fixture `run`."""
    for name in ("samples", "recipes", "models"):
        (folder / name).symlink_to(RECIPES.parent / name)
    for step in steps(page):
        if PLAIN.fullmatch(step):  # in this process, which has torch already
            code, _, err = command(*shlex.split(step, comments=True)[1:])
            assert code == 0, f"{step}: {err}"
            continue
        done = run("bash", "-euo", "pipefail", "-c", step)
        assert done.returncode == 0, step + done.stdout + done.stderr
        assert "Traceback" not in done.stderr
