"""Generation: SGLD from noise on E(x, y) over the frames of the phones asked for, then inversion.

The shipped model is sampled with guidance: log p(y | x) beside the energy. E(x, y) alone wanders to frames
that all classes like.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from . import checkpoint, phones
from .device import choose_device
from .errors import UsageError
from .fbank import frames_for
from .inversion import invert
from .langevin import sample, with_given
from .model import SpeechModel

LONGEST = 60.0  # seconds; a chain is held in memory as a whole
FADE = 0.01  # seconds


class Generator:
    """Draws utterances of given phones.

    Args:
        model: a loaded model, or the path of a model folder; the shipped model by default.
        steps, step_size, noise: sampler settings, as the model's configuration says by default
            (see `langevin.LangevinConfig`).
        guidance: weight of log p(y | x) beside the energy; the model's by default.
        device: 'auto', 'cpu', 'cuda' or 'mps'.

    Raises:
        UsageError: for a setting out of its range.
        ModelError: if the model cannot be loaded.
    """

    def __init__(
        self,
        model: SpeechModel | str | None = None,
        *,
        steps: int | None = None,
        step_size: float | None = None,
        noise: float | None = None,
        guidance: float | None = None,
        device: str = "auto",
    ):
        self.device = choose_device(device)
        self.model = (model if isinstance(model, SpeechModel) else checkpoint.load(model)).to(self.device)
        self.sampler = with_given(self.model.config.generate, steps=steps, step_size=step_size, noise=noise)
        self.guidance = self.model.config.guidance if guidance is None else guidance
        if not 0 <= self.guidance < math.inf:
            raise UsageError(f"The guidance must be a number of at least 0, not {guidance}.")

    @property
    def sample_rate(self) -> int:
        """Sample rate of the waveforms, in Hz."""
        return self.model.config.fbank.sample_rate

    def __call__(
        self,
        phonemes: str | Iterable[str],
        seconds: float | Sequence[float] = 0.5,
        *,
        seed: int = 0,
        count: int = 1,
    ) -> np.ndarray:
        """Waveforms of a phone or of a sequence of phones.

        Args:
            phonemes: names, such as "aa", "hh ah l ow" or ["HH", "AH"].
            seconds: duration of each phone: one for all, or one each.
            seed: same seed, same waveforms (on one device).
            count: number of waveforms.

        Returns:
            float32, shape (count, samples), at the model's level (-26 dB RMS).

        Raises:
            UsageError: for unknown phones, or durations that are not positive, do not match, or are
                longer than a minute in all.
        """
        labels = self._labels(phones.parse(phonemes), seconds)
        if count < 1:
            raise UsageError(f"The number of waveforms must be at least 1, not {count}.")
        x = self.frames(labels, seed, count)
        log_mel = self.model.fbank.denormalise(x).cpu().numpy()
        return np.stack([self._waveform(frames, seed + n) for n, frames in enumerate(log_mel)])

    def frames(self, labels: Tensor, seed: int, count: int) -> Tensor:
        """Normalised frames after the last step of a chain from N(0, 1).

        Args:
            labels: index of the phone of every frame, shape (frames,).
            seed: of the chain.
            count: number of chains.

        Returns:
            Shape (count, frames, bins).
        """
        # On the CPU, so that a seed means the same start on every device.
        generator = torch.Generator().manual_seed(seed)
        shape = (count, len(labels), self.model.config.fbank.bins)
        start = torch.randn(shape, generator=generator).to(self.device)
        noise = torch.Generator(self.device).manual_seed(seed)
        wanted = labels.to(self.device).expand(count, -1)
        return sample(lambda x: self.model.jem.gradient(x, wanted, self.guidance), start, self.sampler, noise)

    def _labels(self, names: list[str], seconds: float | Sequence[float]) -> Tensor:
        """Class of every frame."""
        durations = list(seconds) if isinstance(seconds, Sequence) else [seconds] * len(names)
        if len(durations) != len(names):
            raise UsageError(f"There are {len(names)} phones but {len(durations)} durations; give one each.")
        if not all(0 < d < math.inf for d in durations):
            raise UsageError("Each phone's duration must be more than 0 seconds.")
        if sum(durations) > LONGEST:
            raise UsageError(
                f"{sum(durations):.0f} s are too long; at most {LONGEST:.0f} s can be generated."
            )
        index = [self.model.config.phones.index(name) for name in names]
        frames = [frames_for(d, self.model.config.fbank) for d in durations]
        labels = torch.tensor(index).repeat_interleave(torch.tensor(frames))
        return torch.cat([labels, labels[-1:]])  # frames are centred on the ends of their hops

    def _waveform(self, log_mel: np.ndarray, seed: int) -> np.ndarray:
        config = self.model.config.fbank
        waveform = invert(log_mel, config, seed)
        fade = min(len(waveform) // 2, round(FADE * config.sample_rate))
        ramp = np.linspace(0, 1, fade, dtype=np.float32)
        waveform[:fade] *= ramp
        waveform[len(waveform) - fade :] *= ramp[::-1]
        rms = float(np.sqrt(np.mean(waveform**2)))
        gain = 10 ** (config.level / 20) / max(rms, 1e-6)
        return waveform * np.float32(min(gain, 0.9 / max(float(np.abs(waveform).max()), 1e-6)))


def generate(
    phonemes: str | Iterable[str],
    seconds: float | Sequence[float] = 0.5,
    *,
    seed: int = 0,
    **settings: object,
) -> np.ndarray:
    """One waveform at the model's rate (16 kHz), shape (samples,); see `Generator` for the arguments.

    >>> generate("aa", seconds=0.2).shape
    (3200,)
    """
    return Generator(**settings)(phonemes, seconds, seed=seed)[0]  # type: ignore[arg-type]
