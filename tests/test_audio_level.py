"""The running level of a recording, and the one that a stream knows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import convolve1d, percentile_filter

from speechjem.audio import level
from speechjem.audio.rumble import Above

RATE = 16000
TARGET = -26.0


def noise(seconds: float, decibels: float, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal((1, int(seconds * RATE)))
    return (10 ** (decibels / 20) * x).astype(np.float32)


def decibels(gain: np.ndarray) -> np.ndarray:
    found: np.ndarray = 20 * np.log10(gain)
    return found


def whole(x: np.ndarray) -> np.ndarray:
    """Gain of a whole recording in dB."""
    return decibels(level.curve(x, TARGET, RATE).at(0, x.shape[1])[0])


def test_a_bang_in_a_recording_does_not_move_its_level() -> None:
    quiet, bang = noise(6.0, -30.0), noise(6.0, -30.0)
    bang[:, 2 * RATE : int(2.3 * RATE)] *= 10 ** (45 / 20)
    assert np.abs(whole(bang) - whole(quiet)).max() < 1.0
    assert np.abs(whole(quiet) - (TARGET + level.LOUDER + 30.0)).max() < 1.0


def test_a_softer_talker_is_brought_to_the_same_level() -> None:
    x = np.concatenate([noise(8.0, -20.0), noise(8.0, -55.0, 1)], axis=1)
    wanted = TARGET + level.LOUDER + np.repeat([20.0, 55.0], 8 * RATE)
    error = np.abs(whole(x) - wanted)
    near = np.abs(np.arange(16 * RATE) - 8 * RATE) < level.SMOOTH * RATE + level.WINDOW * RATE / 2
    assert error[~near].max() < 1.0


def test_the_gain_of_a_recording_in_pieces_is_its_gain() -> None:
    x = np.concatenate([noise(2.0, -40.0), noise(4.0, -20.0, 1)], axis=1)
    pieces = level.curve(x, TARGET, RATE)
    parts = [pieces.push(part) for part in np.split(x, [1, 1, 800, 30000], axis=1)]
    assert np.array_equal(np.concatenate(parts, axis=1)[0], level.curve(x, TARGET, RATE).at(0, x.shape[1])[0])


@pytest.mark.parametrize("loudness", [-55.0, -35.0, -10.0])
def test_a_tenth_of_a_second_settles_the_level(loudness: float) -> None:
    gain = decibels(level.past_gain(noise(3.0, loudness), TARGET, RATE))[0]
    wanted = TARGET + level.LOUDER - loudness
    assert np.abs(gain[int(0.1 * RATE) :] - wanted).max() < 1.0


def test_gain_in_pieces_is_the_gain() -> None:
    x = np.concatenate([noise(1.0, -40.0), noise(4.0, -20.0, 1)], axis=1)
    x = np.concatenate([x, 0.1 * x[:, ::-1]])
    pieces = level.PastGain(2, TARGET, RATE)
    parts = [pieces.push(part) for part in np.split(x, [1, 1, 800, 1600, 1601, 30000], axis=1)]
    assert np.allclose(np.concatenate(parts, axis=1), level.past_gain(x, TARGET, RATE), rtol=1e-6)


def test_nothing_of_the_future_is_heard() -> None:
    soft, loud = noise(4.0, -40.0), noise(4.0, -40.0)
    loud[:, 2 * RATE :] *= 30
    before, after = (level.past_gain(x, TARGET, RATE) for x in (soft, loud))
    assert np.array_equal(before[:, : 2 * RATE], after[:, : 2 * RATE])
    assert decibels(after)[0, -1] < decibels(before)[0, -1] - 25


def test_a_bang_does_not_move_it() -> None:
    x = noise(6.0, -30.0)
    x[:, 4 * RATE : int(4.3 * RATE)] *= 100
    gain = decibels(level.past_gain(x, TARGET, RATE))[0, 3 * RATE :]
    assert np.ptp(gain) < 1.0


def test_gain_has_no_jumps() -> None:
    x = np.concatenate([noise(1.0, -60.0), noise(1.0, -10.0)], axis=1)
    assert (
        np.abs(np.diff(decibels(level.past_gain(x, TARGET, RATE)))).max() < 50 / (level.BLOCK * RATE) + 0.01
    )


def test_silence_gets_a_bounded_gain() -> None:
    gain = decibels(level.past_gain(np.zeros((2, RATE), np.float32), TARGET, RATE))
    assert gain.shape == (2, RATE)
    assert gain.max() <= TARGET + level.LOUDER - level.LOWEST + 1e-3


def test_rumble_does_not_count() -> None:
    time = np.arange(3 * RATE) / RATE
    x = noise(3.0, -40.0)
    gains = [
        level.past_gain(y, TARGET, RATE)[0, RATE:] for y in (x, x + 0.1 * np.sin(2 * np.pi * 12 * time)[None])
    ]
    assert np.abs(np.diff(decibels(np.stack(gains)), axis=0)).max() < 0.5


def test_filter_in_pieces_is_the_filter() -> None:
    x = noise(0.5, -20.0)
    whole, pieces = Above(1, RATE), Above(1, RATE)
    parts = [pieces.push(part) for part in np.split(x, [1, 100, 100, 3333], axis=1)]
    assert np.allclose(np.concatenate(parts, axis=1), whole.push(x), atol=1e-7)


@pytest.mark.parametrize("blocks", [1, 2, 59, 60, 61, 500])
def test_the_level_is_that_of_filters_of_scipy(blocks: int) -> None:
    powers = np.random.default_rng(blocks).random((2, blocks)) ** 4 * 1e-3
    window = min(60, blocks)
    shares = percentile_filter(10 * np.log10(powers), 80, size=(1, window), mode="nearest")
    first = np.arange(blocks)
    after, before = (
        shares[:, np.clip(start, 0, blocks - window) + window // 2] for start in (first, first - window + 1)
    )
    lower = np.minimum(after, before)
    lower = np.maximum(lower, lower.max(1, keepdims=True) - level.RANGE)
    taps = np.hanning(13)[1:-1]
    expected = convolve1d(lower, taps / taps.sum(), axis=1, mode="nearest")
    np.testing.assert_allclose(level.follow(powers), expected, atol=1e-9)
