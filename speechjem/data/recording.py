"""A recording in memory, as training and measuring use it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import audio
from . import mixing
from .kaldi import Alignment


@dataclass(frozen=True)
class Recording:
    """Speech or noise in memory: 16-bit samples at the model's rate, its RMS re full scale."""

    name: str
    samples: np.ndarray
    rms: float
    alignment: Alignment | None = None


def in_memory(
    name: str, loaded: audio.Audio, sample_rate: int, alignment: Alignment | None = None
) -> Recording:
    """A recording mixed down to one channel and resampled to `sample_rate` in Hz."""
    samples = audio.resample(audio.mono(loaded.samples), loaded.sample_rate, sample_rate)
    return Recording(
        name, np.round(samples.clip(-1, 1) * 32767).astype(np.int16), mixing.rms(samples), alignment
    )
