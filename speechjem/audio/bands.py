"""Enhancing a recording of any sample rate with a model that knows one.

The model's band is enhanced at the model's rate. What lies above it gets the gain of the model's upper
octave.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from .blocks import Fifo
from .resampling import Resampler, ShortResampler

PIECE = 1 << 14  # samples at the model's rate, of which a high rate makes fifty times as many

Enhanced = tuple[np.ndarray, np.ndarray]
"""Enhanced samples, and the gain of the upper octave at each of them, both (channels, samples)."""


class Core(Protocol):
    """An enhancer at the model's rate that takes samples piece by piece and may keep some back."""

    def push(self, samples: np.ndarray) -> Enhanced:
        """Take samples, shape (channels, samples), and give those that are ready."""

    def flush(self) -> Enhanced:
        """The samples that were kept back, when there is no more input."""


class AnyRate:
    """A core at any sample rate, piece by piece.

    Args:
        core: enhancer at the model's rate.
        sample_rate: of what comes in and goes out, in Hz.
        inner_rate: of the core, in Hz.
        channels: their number.
        resampler: class of what goes to the core's rate and back.
    """

    def __init__(
        self,
        core: Core,
        sample_rate: int,
        inner_rate: int,
        channels: int,
        resampler: type[Resampler] | type[ShortResampler] = Resampler,
    ):
        self.core = core
        self.same = sample_rate == inner_rate
        self.channels = channels
        self.originals, self.inner = Fifo(channels), Fifo(channels)
        if not self.same:
            self.down = resampler(sample_rate, inner_rate, channels)
            self.up = resampler(inner_rate, sample_rate, 3 * channels)

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Take samples, shape (channels, samples), and give those that are ready."""
        if self.same:
            return self.core.push(samples)[0]
        self.originals.push(samples)
        inner = self.down.push(samples)
        self.inner.push(inner)
        return self._outer(*self.core.push(inner))

    def flush(self) -> np.ndarray:
        """The rest. All that came out is then as long as what went in."""
        if self.same:
            return self.core.flush()[0]
        inner = self.down.push(np.zeros((self.channels, 0)), last=True)
        self.inner.push(inner)
        parts = [self._outer(*self.core.push(inner)), self._outer(*self.core.flush(), last=True)]
        # Resampling there and back may be a sample off.
        return np.concatenate([*parts, self.originals.pop(self.originals.length)], axis=1)

    def _outer(self, enhanced: np.ndarray, gain: np.ndarray, last: bool = False) -> np.ndarray:
        """`_add_bands`, a little at a time: at a high rate it needs many times the memory of its input."""
        starts = [*range(0, enhanced.shape[1], PIECE), enhanced.shape[1]]
        pieces = [slice(start, start + PIECE) for start in starts]
        added = [self._add_bands(enhanced[:, p], gain[:, p], last and p == pieces[-1]) for p in pieces]
        return np.concatenate(added, axis=1)

    def _add_bands(self, enhanced: np.ndarray, gain: np.ndarray, last: bool) -> np.ndarray:
        """The enhanced band at the outer rate, plus what the inner rate cannot hold."""
        plain = self.inner.pop(enhanced.shape[1])
        # The ends of a resampled signal lean to zero: no attenuation is right there, no gain would not be.
        together = self.up.push(np.concatenate([enhanced, plain, 1 - gain]), last)
        original = self.originals.pop(together.shape[1])
        enhanced, plain, attenuation = np.split(together[:, : original.shape[1]], 3)
        full: np.ndarray = enhanced + (original - plain) * (1 - attenuation.clip(0, 1))
        return full
