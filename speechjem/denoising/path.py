"""The signal path: waveform -> spectrum -> frames -> steps on the energy -> gain -> spectrum -> waveform.

Files, arrays, streams, torch pipelines and the ONNX graph all go this way. They differ in their transform,
which says how a waveform becomes a spectrum and how it comes back, and in their mode, which says how the
energy is followed. A spectrum is a pair of real and imaginary parts, (batch, frames, frequencies) each, for
ONNX has no complex numbers.
"""

from __future__ import annotations

import contextlib
from typing import Protocol

import torch
from torch import Tensor

from ..features.fbank import Fbank
from ..features.phase import Spectrum
from ..models.speech import SpeechModel
from .modes import Mode


class Transform(Protocol):
    """How a waveform becomes a spectrum of the model's nominal level, and how the enhanced one comes back."""

    def analyse(self, waveform: Tensor) -> Spectrum:
        """Spectrum of waveforms, shape (batch, samples)."""

    def synthesise(self, spectrum: Spectrum, samples: int) -> Tensor:
        """Waveforms of a spectrum; `samples` is the length of those that were analysed."""


class Whole:
    """The transform of whole waveforms of nominal level."""

    def __init__(self, fbank: Fbank):
        self.fbank = fbank

    def analyse(self, waveform: Tensor) -> Spectrum:
        spectrum = self.fbank.stft(waveform)
        return spectrum.real, spectrum.imag

    def synthesise(self, spectrum: Spectrum, samples: int) -> Tensor:
        return self.fbank.istft(torch.complex(*spectrum), samples)


class SignalPath:
    """What is done to a spectrum of noisy speech.

    Args:
        model: of the frames.
        mode: how the energy is followed.
        strength: scales the attenuation in dB and the turn; 0 leaves the input untouched.
        bfloat16: multiply matrices in half precision, on a CPU.
    """

    def __init__(self, model: SpeechModel, mode: Mode, strength: float = 1.0, bfloat16: bool = False):
        self.model, self.mode, self.strength, self.bfloat16 = model, mode, strength, bfloat16

    def enhance(
        self, waveform: Tensor, transform: Transform, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Enhance waveforms of the model's rate.

        Args:
            waveform: shape (batch, samples), on the model's device.
            transform: to the spectrum and back.
            generator: source of the noise, on the model's device.

        Returns:
            The enhanced waveforms, and their gain as `gain` gives it.
        """
        spectrum = transform.analyse(waveform)
        noisy = self.mode.observe(*spectrum)
        x = self.follow(noisy, generator)
        gain = self._gain(x, noisy)
        real, imaginary = self.model.turned(spectrum, x, self.strength)
        return transform.synthesise((real * gain, imaginary * gain), waveform.shape[-1]), gain

    def gain(self, spectrum: Spectrum, generator: torch.Generator | None = None) -> Tensor:
        """Gain of every STFT bin, shape (batch, frames, frequencies), values in (0, 1].

        Args:
            spectrum: of nominal level.
            generator: as in `enhance`.
        """
        noisy = self.mode.observe(*spectrum)
        return self._gain(self.follow(noisy, generator), noisy)

    def _gain(self, x: Tensor, noisy: Tensor) -> Tensor:
        gain = self.model.gain(x, noisy)
        return gain if self.strength == 1 else gain**self.strength

    def follow(self, noisy: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Frames after the last step on the energy, in at least single precision.

        Args:
            noisy: frames to start from, as the mode observes them, shape (batch, frames, size).
            generator: as in `enhance`.
        """
        half = torch.autocast("cpu", torch.bfloat16) if self.bfloat16 else contextlib.nullcontext()
        with half:
            x = self.mode.follow(noisy, generator)
        return x.float() if self.bfloat16 else x
