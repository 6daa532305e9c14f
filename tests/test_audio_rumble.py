"""The rumble filter: its response, its phase, and its pieces."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import butter, firwin, freqz, sosfilt, sosfreqz

from speechjem.audio import rumble
from speechjem.audio.rumble import RumbleFilter

RATE = 16000


def response(strength: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies in Hz and gains in dB."""
    frequency, gain = freqz(rumble.taps(RATE, strength), worN=1 << 16, fs=RATE)
    return frequency, 20 * np.log10(np.abs(gain))


def test_the_filter_is_the_windowed_design_of_scipy():
    """`taps` has no need of scipy.signal, which would cost every denoising 30 MB of memory."""
    taps = rumble.taps(RATE)
    low = firwin(len(taps), rumble.CUTOFF, window="hamming", fs=RATE)
    expected = -(1 - 10 ** (-rumble.ATTENUATION / 20)) * low
    expected[len(taps) // 2] += 1
    np.testing.assert_allclose(taps, expected, atol=1e-7)


def test_rumble_goes_and_voices_stay():
    frequency, gain = response()
    assert gain[frequency < 35].max() < -30
    assert np.abs(gain[frequency > 80]).max() < 0.2  # the lowest voices


@given(st.floats(0, 1))
@settings(max_examples=10)
def test_strength_scales_the_attenuation_in_db(strength: float) -> None:
    assert response(strength)[1][0] == pytest.approx(-rumble.ATTENUATION * strength, abs=0.5)


def test_without_strength_nothing_changes():
    x = np.random.default_rng(0).standard_normal((2, 5000)).astype(np.float32)
    enhancer = RumbleFilter(2, RATE, 0.0)
    np.testing.assert_allclose(np.concatenate([enhancer.push(x), enhancer.flush()], 1), x, atol=1e-5)


def test_the_phase_stays():
    assert (rumble.taps(RATE) == rumble.taps(RATE)[::-1]).all()
    tone = np.sin(2 * np.pi * 150 * np.arange(2 * RATE) / RATE).astype(np.float32)[None]
    enhancer = RumbleFilter(1, RATE)
    out = np.concatenate([enhancer.push(tone), enhancer.flush()], 1)
    np.testing.assert_allclose(out[:, 2000:-2000], tone[:, 2000:-2000], atol=0.02)


@given(st.lists(st.integers(0, 3000), max_size=6))
@settings(max_examples=20)
def test_the_pieces_do_not_matter(sizes: list[int]) -> None:
    x = np.random.default_rng(0).standard_normal((1, sum(sizes))).astype(np.float32)
    enhancer = RumbleFilter(1, RATE)
    pieces = [enhancer.push(part) for part in np.split(x, np.cumsum(sizes)[:-1], axis=1)] if sizes else []
    out = np.concatenate([*pieces, enhancer.flush()], 1)
    assert out.shape == x.shape
    if x.size:
        filtered = np.convolve(x[0], rumble.taps(RATE))  # longer by half a filter at either end
        np.testing.assert_allclose(out[0], filtered[len(rumble.taps(RATE)) // 2 :][: x.size], atol=1e-4)


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_the_filter_without_delay_is_the_one_of_scipy(rate):
    expected = butter(4, rumble.CUTOFF, "highpass", fs=rate, output="sos")
    x = np.random.default_rng(0).standard_normal((2, rate)).astype(np.float32)
    above = rumble.Above(2, rate)
    got = np.concatenate([above.push(part) for part in np.split(x, [0, 1, 800, 1600, 1603], axis=1)], axis=1)
    np.testing.assert_allclose(got, sosfilt(expected, x), atol=1e-5)
    np.testing.assert_allclose(sosfreqz(rumble.sections(rate))[1], sosfreqz(expected)[1], atol=1e-9)
