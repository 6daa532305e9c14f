"""What makes a voice: its level, its spectrum beyond what it says, and its pitch."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .. import audio, phones
from ..errors import InputError
from ..models.speech import SpeechModel
from ..runtime.device import own_modes

PITCHES = (60.0, 400.0)  # Hz, that are looked for
SILENT = 0.5  # probability of silence from which on a frame says nothing about the voice


@dataclass(frozen=True)
class Voice:
    """How a voice differs from the mean one.

    Attributes:
        level: RMS in dB re full scale.
        offset: of its normalised frames from the means of the phones that they are, shape (bins,).
        pitch: median fundamental frequency in Hz, or None if nothing is voiced.
        liveliness: standard deviation of the logarithm of the pitch, or None.
    """

    level: float
    offset: Tensor
    pitch: float | None
    liveliness: float | None = None

    @classmethod
    @own_modes()
    @torch.no_grad()
    def of(cls, samples: np.ndarray, sample_rate: int, model: SpeechModel) -> Voice:
        """Measure a recording, shape (samples,) or (channels, samples); a few seconds of speech will do.

        Raises:
            InputError: if there is no speech in it, or as `audio.waveform`.
        """
        rate = model.config.fbank.sample_rate
        mono = audio.resample(audio.mono(audio.waveform(samples)), sample_rate, rate).astype(np.float32)
        waveform = torch.from_numpy(mono)[None].to(model.fbank.mean.device)
        x = model.fbank.levelled(waveform)
        posterior = model.jem.log_posterior(x).exp()[0]
        speech = posterior[:, model.config.phones.index(phones.SILENCE)] < SILENT
        if not speech.any():
            raise InputError("The recording of the voice has no speech; give a few seconds of speech.")
        offset = (x[0] - posterior @ model.starts.mean)[speech].mean(0)
        level = 20 * float(np.log10(max(np.sqrt(np.mean(mono**2)), 1e-6)))
        return cls(level, offset.cpu(), *_pitch(mono, rate))


def _pitch(mono: np.ndarray, rate: int) -> tuple[float | None, float | None]:
    """Median and spread (`Voice`) over the voiced frames (pYIN, Mauch and Dixon, ICASSP 2014)."""
    pitch, voiced, _ = _pyin()(mono, fmin=PITCHES[0], fmax=PITCHES[1], sr=rate)
    if not voiced.any():
        return None, None
    return float(np.median(pitch[voiced])), float(np.std(np.log(pitch[voiced])))


def _pyin() -> Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """librosa's pYIN, once numba has a folder to compile it into.

    numba refuses to work for a user who may write neither to the package nor to a home.
    """
    import librosa

    try:
        return librosa.pyin
    except RuntimeError:  # cannot cache function
        import numba

        # Not a folder that others can make: what is cached is code.
        folder = tempfile.mkdtemp(prefix="speechjem-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        numba.config.CACHE_DIR = folder  # type: ignore[attr-defined]
        return librosa.pyin
