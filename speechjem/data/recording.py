"""A recording in memory, as training and measuring use it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import audio
from . import mixing
from .kaldi import Alignment

FULL_SCALE = 32767  # of 16-bit samples; unlike 32768, it makes both 1 and -1 possible


@dataclass(frozen=True)
class Recording:
    """Speech or noise in memory: 16-bit samples at the model's rate, its RMS re full scale."""

    name: str
    samples: np.ndarray
    rms: float
    alignment: Alignment | None = None

    @property
    def waveform(self) -> np.ndarray:
        """The samples as float32, full scale 1."""
        return as_waveform(self.samples)


def as_waveform(samples: np.ndarray) -> np.ndarray:
    """16-bit samples of a `Recording`, or a part of them, as float32, full scale 1."""
    waveform: np.ndarray = samples.astype(np.float32) / FULL_SCALE
    return waveform


def in_memory(
    name: str, loaded: audio.Audio, sample_rate: int, alignment: Alignment | None = None
) -> Recording:
    """A recording mixed down to one channel and resampled to `sample_rate` in Hz."""
    samples = audio.resample(audio.mono(loaded.samples), loaded.sample_rate, sample_rate)
    return Recording(
        name, np.round(samples.clip(-1, 1) * FULL_SCALE).astype(np.int16), mixing.rms(samples), alignment
    )
