"""Rooms, lines and overdriven inputs, measured independently."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import signal
from torchaudio.functional import mu_law_decoding, mu_law_encoding

from speechjem.data import degrade

RATE = 16000


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def white(length: int = 2 * RATE, seed: int = 0) -> np.ndarray:
    return (0.1 * rng(seed).standard_normal(length)).astype(np.float32)


def test_rooms_decay_by_60_db_within_their_time():
    """Schroeder's backward integral, -5 to -25 dB, as ISO 3382 measures it."""
    times = []
    for seed in range(30):
        response = degrade.room(rng(seed), RATE)[1:]
        decay = np.cumsum(response[::-1].astype(float) ** 2)[::-1]
        level = 10 * np.log10(decay / decay[0] + 1e-12)
        start, end = np.argmax(level < -5), np.argmax(level < -25)
        times.append(3 * (end - start) / RATE)
    assert 0.05 < min(times) < 0.25
    assert 0.5 < max(times) < 0.9


def test_the_direct_sound_comes_first_and_is_not_delayed():
    for seed in range(10):
        response = degrade.room(rng(seed), RATE)
        assert response[0] == 1
        assert np.abs(response[1 : int(0.002 * RATE)]).max() < 1e-4
        reverberant = np.sum(response[1:].astype(float) ** 2)
        assert -20.1 < 10 * np.log10(reverberant) < -2.9


def test_a_pulse_in_a_room_is_the_room():
    response = degrade.room(rng(), RATE)
    pulse = np.zeros(RATE, np.float32)
    pulse[100] = 1
    wet = degrade.reverberate(pulse, response)
    assert wet.shape == pulse.shape
    count = min(len(response), RATE - 100)
    np.testing.assert_allclose(wet[100 : 100 + count], response[:count], atol=1e-6)


def test_a_slope_is_at_the_top_of_the_band_and_alike_in_both_signals():
    edges = []
    for seed in range(20):
        x = white()
        first, second = degrade.slope(rng(seed), x, 2 * x, rate=RATE)
        np.testing.assert_allclose(second, 2 * first, atol=1e-5)
        frequency, before = signal.welch(x, RATE, nperseg=512)
        _, after = signal.welch(first, RATE, nperseg=512)
        gain = 10 * np.log10(after / before)
        assert np.abs(gain[frequency < 5500]).max() < 0.5
        edges.append(frequency[np.argmax(gain < -3)] if (gain < -3).any() else RATE / 2)
    assert 6800 < min(edges) < 7400
    assert max(edges) > 7700


def test_a_line_passes_its_band_alike_in_both_signals():
    for seed in range(10):
        x = white()
        first, second = degrade.limit_band(rng(seed), x, 2 * x, rate=RATE)
        np.testing.assert_allclose(second, 2 * first, atol=1e-5)
        frequency, before = signal.welch(x, RATE, nperseg=512)
        _, after = signal.welch(first, RATE, nperseg=512)
        gain = 10 * np.log10(after / before)
        assert np.abs(gain[(frequency > 800) & (frequency < 2500)]).max() < 1.5
        assert gain[frequency > 7900].max() < -8


def test_clipping_cuts_the_share_it_says():
    for seed in range(10):
        x = white(seed=seed)
        y = degrade.clip(rng(seed), x)
        assert 0.0008 < np.mean(x != y) < 0.022
        assert np.abs(y).max() == pytest.approx(np.abs(x[x == y]).max(), rel=0.02)
    assert not degrade.clip(rng(), np.zeros(100, np.float32)).any()


def test_mu_law_has_the_noise_of_8_bits():
    """G.711 keeps about 35 to 38 dB over a wide range of levels."""
    for level in (0.5, 0.1, 0.02):
        x = (level * np.sin(np.arange(RATE) * 0.3)).astype(np.float32)
        error = degrade.mu_law(x) - x
        assert 30 < 10 * np.log10(np.mean(x**2) / np.mean(error**2)) < 42


def test_mu_law_is_that_of_torchaudio_but_for_silence():
    def companded(x: np.ndarray) -> np.ndarray:
        return np.sign(x) * np.log1p(255 * np.abs(x)) / np.log(256)

    x = np.linspace(-1, 1, 10001, dtype=np.float32)
    expected = mu_law_decoding(mu_law_encoding(torch.from_numpy(x), 256), 256).numpy()
    # Both round to a grid, of 255 and of 256 levels: half a step each.
    assert np.abs(companded(degrade.mu_law(x)) - companded(expected)).max() < 1 / 127
    assert not degrade.mu_law(np.zeros(100, np.float32)).any()
