"""A toy language of five phones, spoken by synthetic speakers, to train and measure with; a command line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import signal

from speechjem import cli, phones
from speechjem.data.dataset import Corpus, Recording
from speechjem.data.kaldi import Alignment

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


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> torch.device:
    """Each device that is here."""
    return torch.device(request.param)


@pytest.fixture(scope="session")
def toy_corpus() -> Corpus:
    """Six speakers, of which the last two are held out; some speech without labels, and two noises."""
    rng = np.random.default_rng(0)
    pitches = (100, 125, 160, 200, 140, 180)
    spoken = [utterance(f"{p}-{n}", 10 * p + n, p) for p in pitches for n in range(2)]
    hum = 0.2 * np.sign(np.sin(2 * np.pi * 100 * np.arange(2 * RATE) / RATE))
    wind = np.cumsum(rng.standard_normal(2 * RATE))
    noises = [recording("hum", hum, rng), recording("wind", 0.1 * signal.detrend(wind) / wind.std(), rng)]
    return Corpus(
        spoken[:8],
        [utterance("unlabelled", 1, 110, aligned=False)],
        noises,
        spoken[8:],
        [recording("hiss", 0.1 * rng.standard_normal(2 * RATE).clip(-3, 3), rng)],
        RATE,
    )


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run a command line in an empty folder; gives exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def command(*words):
        monkeypatch.setattr(sys, "argv", ["speechjem", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return stop.value.code or 0, captured.out, captured.err

    return command


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole run of the tiny recipe, as a user runs it."""
    folder = tmp_path_factory.mktemp("tiny")
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    words = [Path(__file__).parents[1] / "recipes" / "tiny" / "run.sh", "--dir", folder]
    finished = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=400)
    assert finished.returncode == 0, finished.stderr
    return folder


@pytest.fixture
def bound(tmp_path):
    """Run a command line in a process that permissions bind, also where the tests are run by root."""
    # Root without capabilities is the owner of its files, and no more.
    fetters = [] if os.getuid() else ["setpriv", "--inh-caps=-all", "--bounding-set=-all"]

    def command(*words, **options):
        command = [*fetters, sys.executable, "-m", "speechjem", *map(str, words)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, **options)

    return command
