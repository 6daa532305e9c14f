"""A recording in memory, for training and validation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import audio
from . import mixing
from .kaldi import PITCH_SECONDS, Alignment

UNKNOWN = -1.0  # pitch in Hz where it was not measured

FULL_SCALE = 32767  # of 16-bit samples; unlike 32768, it makes both 1 and -1 possible


@dataclass(frozen=True)
class Recording:
    """Speech or noise in memory: 16-bit samples at the model's rate, its RMS re full scale.

    Phones and pitch (`kaldi.read_pitch`) are there where they are known.
    """

    name: str
    samples: np.ndarray
    rms: float
    alignment: Alignment | None = None
    pitch: np.ndarray | None = None

    def pitch_at(self, times: np.ndarray) -> np.ndarray:
        """Pitch in Hz at some times in seconds, 0 where unvoiced, -1 where unknown, shape of `times`."""
        if self.pitch is None:
            return np.full(times.shape, UNKNOWN, np.float32)
        place = np.rint(times / PITCH_SECONDS).astype(int)
        inside = place < len(self.pitch)
        return np.where(inside, self.pitch[place.clip(max=len(self.pitch) - 1)], 0).astype(np.float32)

    @property
    def waveform(self) -> np.ndarray:
        """The samples as float32, full scale 1."""
        return as_waveform(self.samples)


def as_waveform(samples: np.ndarray) -> np.ndarray:
    """16-bit samples of a `Recording`, or a part of them, as float32, full scale 1."""
    waveform: np.ndarray = samples.astype(np.float32) / FULL_SCALE
    return waveform


def in_memory(
    name: str,
    loaded: audio.Audio,
    sample_rate: int,
    alignment: Alignment | None = None,
    pitch: np.ndarray | None = None,
) -> Recording:
    """A recording mixed down to one channel and resampled to `sample_rate` in Hz."""
    samples = audio.resample(audio.mono(loaded.samples), loaded.sample_rate, sample_rate)
    rounded = np.round(samples.clip(-1, 1) * FULL_SCALE).astype(np.int16)
    return Recording(name, rounded, mixing.rms(samples), alignment, pitch)
