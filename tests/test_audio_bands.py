"""Any sample rate around a core: perfect where the core does nothing, split where it does something."""

from __future__ import annotations

import numpy as np
import pytest

from speechjem.audio.bands import AnyRate, Enhanced
from speechjem.audio.resampling import Resampler, ShortResampler

INNER = 16000


class Gain:
    """Multiplies the model's band, and asks for another gain above it; keeps some samples back."""

    def __init__(self, channels: int, inside: float, above: float, delay: int = 300):
        self.kept = np.zeros((channels, 0), np.float32)
        self.inside, self.above, self.delay = inside, above, delay

    def push(self, samples: np.ndarray) -> Enhanced:
        self.kept = np.concatenate([self.kept, samples], axis=1)
        return self._give(max(0, self.kept.shape[1] - self.delay))

    def flush(self) -> Enhanced:
        return self._give(self.kept.shape[1])

    def _give(self, count: int) -> Enhanced:
        ready, self.kept = self.kept[:, :count], self.kept[:, count:]
        return self.inside * ready, np.full_like(ready, self.above)


def through(samples, rate: int, core: Gain, size: int = 1111, resampler=Resampler) -> np.ndarray:
    enhancer = AnyRate(core, rate, INNER, len(samples), resampler)
    starts = range(0, samples.shape[1], size)
    pieces = [enhancer.push(samples[:, s : s + size]) for s in starts]
    return np.concatenate([*pieces, enhancer.flush()], axis=1)


def noise(rate: int, seconds: float = 1.0) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((2, int(seconds * rate))).astype(np.float32)


@pytest.mark.parametrize("resampler", [Resampler, ShortResampler])
@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000, 96000])
def test_a_core_that_does_nothing_changes_nothing(rate, resampler):
    x = noise(rate)
    y = through(x, rate, Gain(2, 1.0, 1.0), resampler=resampler)
    assert y.shape == x.shape
    difference = (y - x)[:, 300:-300]
    assert 10 * np.log10(np.mean(difference**2) / np.mean(x**2) + 1e-20) < -55  # the filters' ripple


@pytest.mark.parametrize("resampler", [Resampler, ShortResampler])
@pytest.mark.parametrize("length", [1, 2, 50, 4801])
@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_lengths_are_kept(rate, length, resampler):
    got = through(noise(rate)[:, :length], rate, Gain(2, 0.5, 0.5), resampler=resampler)
    assert got.shape == (2, length)


def test_the_bands_get_their_own_gains():
    x = noise(48000, 2)
    spectrum = np.abs(np.fft.rfft(through(x, 48000, Gain(2, 0.2, 0.6)))) / np.abs(np.fft.rfft(x))
    frequency = np.fft.rfftfreq(x.shape[1], 1 / 48000)
    assert np.median(spectrum[:, frequency < 7000]) == pytest.approx(0.2, rel=0.02)
    assert np.median(spectrum[:, frequency > 9000]) == pytest.approx(0.6, rel=0.02)


def test_the_pieces_do_not_matter():
    x = noise(44100)
    one = through(x, 44100, Gain(2, 0.5, 0.1), size=x.shape[1])
    for size in (100, 9999):
        np.testing.assert_allclose(through(x, 44100, Gain(2, 0.5, 0.1), size), one, atol=1e-5)
