"""Fixtures that several test modules share: devices, corpora, a run of the tiny recipe, command lines."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from scipy import signal
from support import DEVICES, RATE, RECIPES, recording, utterance
from support import run as run_process

from speechjem import cli
from speechjem.data.dataset import Corpus

# How long an example takes, and how long it takes to draw one, says how busy the machine is.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


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
    finished = run_process(RECIPES / "tiny" / "run.sh", "--dir", folder)
    assert finished.returncode == 0, finished.stderr
    return folder


@pytest.fixture
def bound(tmp_path):
    """Run a command line in a process that permissions bind, also where the tests are run by root."""
    # Root without capabilities is the owner of its files, and no more.
    fetters = [] if os.getuid() else ["setpriv", "--inh-caps=-all", "--bounding-set=-all"]

    def command(*words, **options):
        command = [*fetters, sys.executable, "-m", "speechjem", *map(str, words)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, **options)

    return command
