"""The VoiceBank-DEMAND recipe on a corpus of a few seconds in its layout, at 48 kHz."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from support import RECIPES, TINY_FILE, run

SPEAKERS = {"testset": ["dot"], "trainset_28spk": ["amy", "bob"]}
NAMES = {"dot": "p232", "amy": "p226", "bob": "p227"}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sentences of each speaker, alone and in white noise; what the tiny recipe's voices say."""
    folder = tmp_path_factory.mktemp("corpus")
    spoken = run(sys.executable, RECIPES / "tiny" / "local" / "prepare.py", folder / "spoken")
    assert spoken.returncode == 0, spoken.stderr
    said = dict(line.split(" ", 1) for line in (folder / "spoken/text").read_text().splitlines())
    rng = np.random.default_rng(0)
    for part, speakers in SPEAKERS.items():
        for kind in ("clean", "noisy"):
            (folder / f"{kind}_{part}_wav").mkdir()
        for speaker in speakers:
            for number in range(2):
                source = f"{speaker}-{number:02d}"
                samples, rate = soundfile.read(folder / f"spoken/audio/{source}.wav")
                clean = 0.5 * soxr.resample(samples, rate, 48000)
                noisy = clean + 0.02 * rng.standard_normal(len(clean))
                name = f"{NAMES[speaker]}_{number:03d}"
                soundfile.write(folder / f"clean_{part}_wav/{name}.wav", clean, 48000)
                soundfile.write(folder / f"noisy_{part}_wav/{name}.wav", noisy, 48000)
                text = folder / f"{part}_txt/{name}.txt"
                text.parent.mkdir(exist_ok=True)
                text.write_text(said[source].capitalize() + ".\n")
    return folder


def recipe(*words: object):
    return run(RECIPES / "voicebank_demand" / "run.sh", *words)


def test_the_shipped_model_on_the_test_set(corpus, tmp_path):
    finished = recipe("--corpus", corpus, "--dir", tmp_path, "--stop-stage", 4)
    assert finished.returncode == 0, finished.stderr
    assert "test_noisy: 2 utterances, 1 speakers" in finished.stdout
    assert "2 pairs, one thread" in finished.stdout
    rows = [line.split("|") for line in finished.stdout.splitlines() if line.startswith("| ")]
    pesq = {cells[1].strip(): float(cells[2]) for cells in rows[1:]}
    assert pesq["descent, 3 steps"] > pesq["noisy input"] + 0.3
    for kind in ("clean", "noisy"):
        given = soundfile.read(corpus / f"{kind}_testset_wav/p232_000.wav")[0]
        at_16_khz, rate = soundfile.read(tmp_path / f"data/test_16k/{kind}/p232_000.flac")
        assert rate == 16000
        np.testing.assert_allclose(at_16_khz, soxr.resample(given, 48000, 16000), atol=2 / 32768)
    assert not (tmp_path / "data/noise").exists()


def test_a_training_on_clean_speech_and_what_noisy_has_beside_it(corpus, tmp_path):
    conf = tmp_path / "small.yaml"
    conf.write_text(json.dumps(TINY_FILE | {"data": {"held_out_speakers": ["p227"]}}))
    options = ("--dir", tmp_path, "--train", "true", "--conf", conf)
    finished = recipe("--corpus", corpus, *options, "--stop-stage", 3)
    assert finished.returncode == 0, finished.stderr
    assert (tmp_path / "exp/small/model/model.safetensors").exists()
    assert (
        "p226_001 GLUE THE SHEET TO THE DARK BLUE BACKGROUND"
        in (tmp_path / "data/train_clean/text").read_text()
    )
    noise, _ = soundfile.read(tmp_path / "data/noise/p226_000.flac")
    assert noise.std() == pytest.approx(0.02 * np.sqrt(1 / 3), rel=0.05)  # white: a third of its band
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*") if path.is_file()}
    assert recipe(*options, "--stop-stage", 3).returncode == 0
    assert made == {path: path.stat().st_mtime_ns for path in made}


def test_what_is_missing_is_said_first(corpus, tmp_path):
    (tmp_path / "clean_testset_wav").mkdir()
    finished = recipe("--corpus", tmp_path, "--dir", tmp_path / "out")
    assert finished.returncode == 2
    assert "there is no noisy_testset_wav in" in finished.stderr
    (tmp_path / "noisy_testset_wav").mkdir()
    finished = recipe("--corpus", tmp_path, "--dir", tmp_path / "out", "--stop-stage", 0)
    assert finished.returncode == 2
    assert "do not have the same .wav files" in finished.stderr


def test_help_has_the_source_of_the_corpus():
    finished = recipe("--help")
    assert finished.returncode == 0
    assert "https://doi.org/10.7488/ds/2117" in finished.stdout
