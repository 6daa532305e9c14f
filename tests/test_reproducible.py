"""The same command gives the same bytes, other numbers of threads the same scores; and these are good."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jiwer
import pytest
import soundfile

from speechjem import classify, metrics
from speechjem.generation import text

SAMPLES = Path(__file__).parents[1] / "samples"


def speechjem(*words: object, threads: int = 1) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "speechjem", *map(str, words)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def denoised(tmp_path_factory) -> dict[str, Path]:
    """The sample, denoised by two processes with one thread and by one with two."""
    folder = tmp_path_factory.mktemp("denoised")
    outputs = {name: folder / f"{name}.wav" for name in ("first", "second", "two threads")}
    for name, path in outputs.items():
        speechjem("denoise", SAMPLES / "noisy.flac", "-o", path, threads=1 + (name == "two threads"))
    return outputs


def test_denoising_twice_gives_the_same_bytes(denoised):
    assert denoised["first"].read_bytes() == denoised["second"].read_bytes()


def test_generating_twice_gives_the_same_bytes(tmp_path):
    for name in ("a.wav", "b.wav"):
        speechjem("generate", "--phonemes", "s p iy ch", "--seed", 3, "-o", tmp_path / name)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_scores_do_not_depend_on_the_number_of_threads(denoised):
    one, two = (metrics.score_files(SAMPLES / "clean.flac", denoised[n]) for n in ("first", "two threads"))
    for name, score in one.items():
        assert two[name].value == pytest.approx(score.value, abs=0.01), name


# Scores of the shipped model on the shipped sample; the noisy input has 1.072, .830, .625 and 4.93 dB. The
# tolerances leave room for other processors and libraries, not for a worse model.
GOLDEN = {"pesq_wb": (1.859, 0.1), "stoi": (0.886, 0.01), "estoi": (0.763, 0.015), "si_sdr": (9.61, 0.5)}


def test_the_shipped_model_denoises_as_well_as_it_did(denoised):
    scores = metrics.score_files(SAMPLES / "clean.flac", denoised["first"])
    for name, (golden, tolerance) in GOLDEN.items():
        assert scores[name].value > golden - tolerance, name


WORDS = (
    "he was not an ill disposed young man unless to be rather cold hearted and rather selfish is to be "
    "ill disposed"
)


def test_the_shipped_model_hears_the_words_it_did():
    """Phone errors against the dictionary, which knows nothing of how the words were said."""
    clean, rate = soundfile.read(SAMPLES / "clean.flac", dtype="float32")
    heard = [segment.phone for segment in classify(clean, rate)]
    spoken = text.pronounce(WORDS)
    errors = jiwer.wer(*(" ".join(p for p in phones if p != "SIL") for phones in (spoken, heard)))
    assert errors < 0.33  # it was 0.276
