"""A voice: its level, its pitch and its tilt, of recordings where they are known."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
from scipy.signal import lfilter

import speechjem
from speechjem.errors import InputError
from speechjem.generation.voice import Voice

RATE = 16000
CLEAN = soundfile.read(Path(__file__).parents[1] / "samples" / "clean.flac", dtype="float32")[0]


@pytest.fixture(scope="module")
def model():
    return speechjem.load_model()


@pytest.fixture(scope="module")
def voice(model):
    return Voice.of(CLEAN, RATE, model)


def test_level_and_pitch(voice):
    assert voice.level == pytest.approx(10 * np.log10(np.mean(CLEAN**2)), abs=0.01)
    found = librosa.yin(CLEAN, fmin=60, fmax=400, sr=RATE)
    loud = librosa.feature.rms(y=CLEAN)[0] > 0.03
    assert voice.pitch == pytest.approx(np.median(found[loud]), rel=0.15)


def test_a_brighter_recording_is_a_brighter_voice(model, voice):
    bright = lfilter([1.0, -0.9], [1.0], CLEAN).astype(np.float32)
    change = Voice.of(bright, RATE, model).offset - voice.offset
    assert change[60:].mean() > change[:10].mean() + 0.5


def test_level_does_not_change_the_timbre(model, voice):
    quiet = Voice.of(0.1 * CLEAN, RATE, model)
    assert quiet.level == pytest.approx(voice.level - 20, abs=0.01)
    np.testing.assert_allclose(quiet.offset, voice.offset, atol=1e-3)


def test_rates_and_channels_do_not_matter_much(model, voice):
    stereo = np.repeat(librosa.resample(CLEAN, orig_sr=RATE, target_sr=44100)[None], 2, axis=0)
    other = Voice.of(stereo, 44100, model)
    assert other.pitch == pytest.approx(voice.pitch, rel=0.02)
    np.testing.assert_allclose(other.offset[:70], voice.offset[:70], atol=0.1)


def test_silence_is_no_voice(model):
    with pytest.raises(InputError, match="no speech"):
        Voice.of(np.zeros(RATE, np.float32), RATE, model)
