"""Frames to waveform: nearness to the frames, and to the recording by PESQ and STOI."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
import torch
from pesq import pesq
from pystoi import stoi

from speechjem.features.fbank import Fbank, FbankConfig
from speechjem.features.inversion import griffin_lim, source_filter, spectrum_of

RATE = 16000
CLEAN = soundfile.read(Path(__file__).parents[1] / "samples" / "clean.flac", dtype="float32")[0][: 4 * RATE]


@pytest.fixture(scope="module")
def fbank():
    return Fbank(FbankConfig())


def frames(fbank, samples):
    return fbank.log_mel(fbank.stft(torch.from_numpy(samples))).numpy()


def test_copy_synthesis_by_griffin_lim_is_near_to_the_recording(fbank):
    copy = griffin_lim(frames(fbank, CLEAN), fbank)
    assert copy.shape == CLEAN.shape
    assert pesq(RATE, CLEAN, copy, "wb") > 3.0
    assert stoi(CLEAN, copy, RATE) > 0.95


def test_the_spectrum_has_the_mel_power_wanted(fbank):
    wanted = torch.from_numpy(frames(fbank, CLEAN))
    spectrum = spectrum_of(wanted, fbank)
    assert (spectrum >= 0).all()
    error = 10 / np.log(10) * (fbank.log_mel(spectrum) - wanted)
    assert error.abs().mean() < 0.3  # dB


def voiced_tone(fbank, pitch, seed=0):
    """A vowel-like envelope that stays: power falls by 12 dB an octave above 500 Hz."""
    frequency = torch.linspace(0, RATE / 2, 257)
    power = (1 / (1 + (frequency / 500) ** 4)).expand(101, -1)
    log_mel = fbank.log_mel(power).numpy()
    return log_mel, source_filter(log_mel, fbank, np.broadcast_to(pitch, 101), seed)


@pytest.mark.parametrize("pitch", [90.0, 210.0])
def test_source_and_filter_have_the_pitch_asked_for(fbank, pitch):
    contour = pitch * np.linspace(1.2, 0.8, 101)
    _, waveform = voiced_tone(fbank, contour)
    found = librosa.yin(waveform, fmin=60, fmax=400, sr=RATE, hop_length=160)[10:-10]
    assert found == pytest.approx(contour[10:-10], rel=0.05)


def test_a_pulse_is_heard_after_it_and_not_before(fbank):
    """As a filter of minimum phase answers; here a pulse comes with the last sample of every 160."""
    _, waveform = voiced_tone(fbank, 100.0)
    power = np.square(waveform[3200:12800].reshape(-1, 160)).sum(0)
    assert power[:40].sum() > 5 * power[-41:-1].sum()


def test_source_and_filter_have_the_envelope_asked_for(fbank):
    log_mel, waveform = voiced_tone(fbank, 120.0)
    error = 10 / np.log(10) * (frames(fbank, waveform)[5:-5] - log_mel[5:-5]).mean(0)
    octaves = np.convolve(error[5:], np.full(8, 1 / 8), "valid")  # over the harmonics, from the first on
    assert np.abs(octaves).max() < 3  # dB


def test_unvoiced_frames_have_no_pitch(fbank):
    log_mel, _ = voiced_tone(fbank, 120.0)
    noise = source_filter(log_mel, fbank, np.zeros(101))
    _, voiced, _ = librosa.pyin(noise, fmin=60, fmax=400, sr=RATE)
    assert voiced.mean() < 0.2


@pytest.mark.parametrize("count", [1, 2, 3, 50])
def test_any_number_of_frames_will_do(fbank, count):
    log_mel = np.full((count, 80), -3.0, np.float32)
    for waveform in (griffin_lim(log_mel, fbank), source_filter(log_mel, fbank, np.full(count, 100.0))):
        assert waveform.shape == (max(1, count - 1) * 160,)
        assert waveform.dtype == np.float32
        assert np.isfinite(waveform).all()


def test_the_seed_decides_and_the_global_one_is_left_alone(fbank):
    log_mel = frames(fbank, CLEAN[:RATE])
    before = torch.get_rng_state()
    a, b, c = (griffin_lim(log_mel, fbank, seed) for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert (a == b).all()
    assert (a != c).any()
