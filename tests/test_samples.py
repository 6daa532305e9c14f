"""The shipped recordings are what samples/README.md says, and can be made again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

SAMPLES = Path(__file__).resolve().parents[1] / "samples"


def read(name: str) -> np.ndarray:
    return soundfile.read(SAMPLES / name)[0]


def snr_db(noisy: np.ndarray, clean: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(clean**2) / np.mean((noisy - clean) ** 2)))


def make_noisy(*args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SAMPLES / "make_noisy.py"), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize("name", ["clean.flac", "noisy.flac"])
def test_format(name: str) -> None:
    info = soundfile.info(SAMPLES / name)
    assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
    assert 6 <= info.duration <= 10


def test_pair_is_aligned_at_5_db_and_unclipped() -> None:
    clean, noisy = read("clean.flac"), read("noisy.flac")
    assert len(clean) == len(noisy)
    assert snr_db(noisy, clean) == pytest.approx(5.0, abs=0.2)
    assert np.abs(noisy).max() < 0.99
    # Aligned and at the same level: what is left after the clean speech is taken away does not resemble it.
    noise = noisy - clean
    assert abs(noise @ clean) / (np.linalg.norm(noise) * np.linalg.norm(clean)) < 0.05


def test_recordings_are_small() -> None:
    assert sum(f.stat().st_size for f in SAMPLES.glob("*.flac")) < 600_000


def test_script_makes_the_shipped_file_again(tmp_path: Path) -> None:
    out = tmp_path / "noisy.flac"
    done = make_noisy(SAMPLES / "clean.flac", out, "--snr", 5, "--seed", 0)
    assert done.returncode == 0, done.stderr
    again, shipped = soundfile.read(out)[0], read("noisy.flac")
    assert again.shape == shipped.shape
    assert np.abs(again - shipped).max() <= 2 / 32768


def test_script_obeys_snr_and_seed(tmp_path: Path) -> None:
    clean = read("clean.flac")
    noisy = []
    for seed in (1, 2):
        out = tmp_path / f"{seed}.wav"
        assert make_noisy(SAMPLES / "clean.flac", out, "--snr", 12, "--seed", seed).returncode == 0
        noisy.append(soundfile.read(out)[0])
        assert snr_db(noisy[-1], clean) == pytest.approx(12.0, abs=0.1)
    assert np.abs(noisy[0] - noisy[1]).max() > 0.01


def test_script_refuses_to_clip(tmp_path: Path) -> None:
    out = tmp_path / "loud.wav"
    done = make_noisy(SAMPLES / "clean.flac", out, "--snr", -10)
    assert done.returncode == 2 and "clip" in done.stderr and not out.exists()
