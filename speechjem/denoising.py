"""Denoising: follow the energy from the noisy frames, and turn the movement into a spectral gain.

Two ways to follow it: `descent`, the trained steps, and `prior`, a few steps of SGLD on E(x) as in
ST-JEM (Sustek et al., arXiv 2303.04187). The waveform keeps the noisy phase.
"""

from __future__ import annotations

from collections import deque
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from . import audio, checkpoint
from .blocks import blocks
from .device import choose_device
from .errors import InputError, UsageError
from .langevin import sample, with_given
from .model import SpeechModel

MODES = ("descent", "prior")
Samples = TypeVar("Samples", np.ndarray, Tensor)


class Denoiser:
    """Enhances recordings of any sample rate and number of channels.

    Args:
        model: a loaded model, or the path of a model folder; the shipped model by default.
        mode: 'descent' or 'prior'; the model's better one by default.
        steps: number of steps; by default as trained (descent) or as the model's settings say (prior).
        step_size: factor on the trained step sizes (descent, default 1), or SGLD's step size (prior).
        noise: standard deviation of the noise added after each step, in units of normalised frames
            (descent, default 0), or relative to the square root of the step size (prior).
        strength: 0 leaves the input untouched, 1 is the full effect; scales the attenuation in dB.
        seed: of the noise.
        device: 'auto', 'cpu', 'cuda' or 'mps'.

    Raises:
        UsageError: for a setting out of its range.
        ModelError: if the model cannot be loaded.
    """

    def __init__(
        self,
        model: SpeechModel | str | None = None,
        *,
        mode: str | None = None,
        steps: int | None = None,
        step_size: float | None = None,
        noise: float | None = None,
        strength: float = 1.0,
        seed: int = 0,
        device: str = "auto",
    ):
        self.device = choose_device(device)
        self.model = (model if isinstance(model, SpeechModel) else checkpoint.load(model)).to(self.device)
        self.mode = mode or self.model.config.denoise_mode
        self.strength = strength
        self.seed = seed
        _check(self.mode, steps, step_size, noise, strength)
        if self.mode == "prior":
            prior = self.model.config.denoise_prior
            self.sampler = with_given(prior, steps=steps, step_size=step_size, noise=noise)
        else:
            self.steps = self.model.config.descent.steps if steps is None else steps
            self.scale = 1.0 if step_size is None else step_size
            self.noise = 0.0 if noise is None else noise
            self.model.descent.check(self.steps)

    def __call__(self, samples: Samples, sample_rate: int) -> Samples:
        """Enhance a recording.

        Frequencies above the model's band (8 kHz) get the gain of the model's upper octave.

        Args:
            samples: float array or tensor, shape (samples,) or (channels, samples); channels are
                enhanced one by one.
            sample_rate: in Hz.

        Returns:
            The same kind, shape, rate and level.

        Raises:
            InputError: if there are no samples, or some are not finite.
        """
        array = samples.detach().cpu().numpy() if isinstance(samples, Tensor) else np.asarray(samples)
        enhanced = self._enhance_array(array, sample_rate)
        if isinstance(samples, Tensor):
            return torch.from_numpy(enhanced).to(samples)
        return enhanced.astype(array.dtype if array.dtype.kind == "f" else np.float32)

    def _enhance_array(self, samples: np.ndarray, sample_rate: int) -> np.ndarray:
        if samples.ndim not in (1, 2) or samples.size == 0:
            raise InputError(
                f"Audio of shape {samples.shape} cannot be denoised; give (samples,) or (channels, samples)."
            )
        if not np.isfinite(samples).all():
            raise InputError("The audio has samples that are not finite; repair it first.")
        if sample_rate < 1:
            raise UsageError(f"A sample rate of {sample_rate} Hz is impossible; give it in Hz.")
        channels = np.atleast_2d(samples).astype(np.float32)
        rate = self.model.config.fbank.sample_rate
        inner = audio.resample(channels, sample_rate, rate)
        enhanced, high_gain = (t.cpu().numpy() for t in self.enhance(torch.from_numpy(inner).to(self.device)))
        if sample_rate != rate:
            enhanced = self._to_rate(channels, inner, enhanced, high_gain, sample_rate)
        return enhanced.reshape(samples.shape)

    def _to_rate(
        self, channels: np.ndarray, inner: np.ndarray, enhanced: np.ndarray, high_gain: np.ndarray, rate: int
    ) -> np.ndarray:
        """Back to the input's rate: the enhanced band, plus what the model's rate cannot hold."""
        samples = channels.shape[1]

        def back(x: np.ndarray) -> np.ndarray:
            return _fit(audio.resample(x, self.model.config.fbank.sample_rate, rate), samples)

        places = np.arange(samples) / rate / self.model.fbank.frame_seconds
        gain = np.stack([np.interp(places, np.arange(len(g)), g) for g in high_gain])
        return back(enhanced) + (channels - back(inner)) * gain.astype(np.float32)

    def enhance(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """Enhance waveforms at the model's own rate.

        Args:
            waveform: shape (channels, samples), on the model's device.

        Returns:
            The enhanced waveforms, and the mean gain of the upper octave, shape (channels, frames).
        """
        fbank, hop = self.model.fbank, self.model.config.fbank.hop
        level = fbank.level_gain(waveform)
        generator = torch.Generator(self.device).manual_seed(self.seed)
        pieces, gains = [], []
        for block in blocks(waveform.shape[-1], hop, self._context()):
            piece = waveform[:, block.seen] * level
            spectrum = fbank.stft(piece)
            noisy = fbank.normalise(fbank.log_mel(spectrum))
            gain = self.model.gain(self.follow(noisy, generator), noisy) ** self.strength
            enhanced = fbank.istft(spectrum * gain, piece.shape[-1])
            pieces.append(enhanced[:, block.skip : block.skip + block.samples] / level)
            high = gain[..., gain.shape[-1] // 2 :].mean(-1)
            gains.append(high[:, block.skip // hop :][:, : None if block.last else block.samples // hop])
        return torch.cat(pieces, 1), torch.cat(gains, 1)

    def _context(self) -> int:
        """Frames on either side that the gain of a frame depends on."""
        if self.mode == "prior":
            return 400  # a guess: the reach grows with every step, what comes from afar soon fades
        # A step's gradient reaches two contexts to either side; the STFT's window two frames.
        return 2 * self.steps * self.model.config.network.context + 2

    def follow(self, noisy: Tensor, generator: torch.Generator) -> Tensor:
        """Follow the energy.

        Args:
            noisy: normalised frames, shape (batch, frames, bins).
            generator: source of the noise, on the model's device.

        Returns:
            The frames after the last step, same shape.
        """
        if self.mode == "prior":
            return sample(self.model.jem.gradient, noisy, self.sampler, generator)
        with torch.no_grad():
            steps = self.model.descent.steps(
                self.model.jem, noisy, self.steps, self.scale, self.noise, generator
            )
            return deque(steps, maxlen=1).pop()[0].detach()


def denoise(samples: Samples, sample_rate: int, **settings: object) -> Samples:
    """Enhance one recording; see `Denoiser` for the settings and its call for the shapes.

    >>> import numpy as np
    >>> denoise(np.zeros(16000), 16000).shape
    (16000,)
    """
    return Denoiser(**settings)(samples, sample_rate)  # type: ignore[arg-type]


def _check(
    mode: str, steps: int | None, step_size: float | None, noise: float | None, strength: float
) -> None:
    if mode not in MODES:
        raise UsageError(f"There is no mode {mode!r}; choose from: {', '.join(MODES)}.")
    if steps is not None and steps < 1:
        raise UsageError(f"{steps} steps are too few; use --strength 0 for an untouched output.")
    for name, value in (("step size", step_size), ("noise", noise)):
        if value is not None and not 0 <= value < float("inf"):
            raise UsageError(f"The {name} must be a number of at least 0, not {value}.")
    if not 0 <= strength <= 1:
        raise UsageError(f"The strength must be between 0 and 1, not {strength}.")


def _fit(x: np.ndarray, samples: int) -> np.ndarray:
    """Cut or zero-pad to a length (resampling there and back may be a sample off)."""
    return np.pad(x[:, :samples], ((0, 0), (0, max(0, samples - x.shape[1]))))
