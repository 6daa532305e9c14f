"""Denoising recordings: arrays of any rate, number of channels and length, block by block.

The waveform keeps the noisy phase; `path` has what is done to a block, `modes` how the energy is followed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypedDict, TypeVar

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Unpack

from ..audio import enhancing
from ..energy.jem import JEM
from ..errors import UsageError
from ..models import checkpoint
from ..models.speech import SpeechModel
from ..runtime.device import choose_device, own_modes, use_bfloat16
from . import modes
from .path import SignalPath, Whole

Samples = TypeVar("Samples", np.ndarray, Tensor)


class DenoiserSettings(TypedDict, total=False):
    """What a `Denoiser` may be given."""

    model: SpeechModel | str | None
    mode: str | None
    steps: int | None
    step_size: float | None
    noise: float | None
    strength: float
    seed: int
    device: str
    precision: str


class Denoiser:
    """Enhances recordings of any sample rate and number of channels.

    Args:
        model: a loaded model, or the name of one (`checkpoint.locate`); the shipped model by default.
        mode: 'descent' or 'prior'; the model's better one by default.
        steps: number of steps; by default as trained (descent) or as the model's settings say (prior).
        step_size: factor on the trained step sizes (descent, default 1), or SGLD's step size (prior).
        noise: standard deviation of the noise added after each step, in units of normalised frames
            (descent, default 0), or relative to the square root of the step size (prior).
        strength: 0 leaves the input untouched, 1 is the full effect; scales the attenuation in dB.
        seed: of the noise.
        device: 'auto', 'cpu', 'cuda' or 'mps'.
        precision: 'float32', 'bfloat16', or 'auto' for bfloat16 where the CPU has instructions for it: three
            times as fast, and the models are trained with it.

    Raises:
        UsageError: for a setting out of its range.
        ModelError: if the model cannot be loaded.
    """

    @own_modes()
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
        precision: str = "auto",
    ):
        if not 0 <= strength <= 1:
            raise UsageError(f"The strength must be between 0 and 1, not {strength}.")
        wanted = modes.Steps(steps, step_size, noise)
        self.device = choose_device(device)
        self.bfloat16 = self.device.type == "cpu" and use_bfloat16(precision)
        self.model = checkpoint.given(model, self.device)
        # Autocast would convert the weights in every call: half of the time of a short recording.
        network = self.model.jem.network
        jem = JEM(copy.deepcopy(network).bfloat16()) if self.bfloat16 else self.model.jem
        self.mode = modes.make(mode or self.model.config.denoise_mode, self.model, jem, wanted)
        self.path = SignalPath(self.model, self.mode, strength, self.bfloat16)
        self.strength = strength
        self.seed = seed

    @property
    def label(self) -> str:
        """What outputs say about how they were made."""
        sha256 = checkpoint.sha256(self.model)
        return enhancing.label(self.mode.label, self.strength, self.seed, sha256)

    def __call__(self, samples: Samples, sample_rate: int) -> Samples:
        """Enhance a recording.

        Frequencies above the model's band (8 kHz) get the gain of the model's upper octave.

        Args:
            samples: array, or tensor on any device, shape (samples,) or (channels, samples); channels are
                enhanced one by one.
            sample_rate: in Hz.

        Returns:
            The same kind, shape, rate and level; float32 where the input is no floats.

        Raises:
            InputError: if there are no samples, channels come last, or some are not finite real numbers.
        """
        return _like(samples, enhancing.whole(self.pieces, samples, sample_rate))

    def pieces(self, read: Callable[[], Iterable[np.ndarray]], sample_rate: int) -> Iterator[np.ndarray]:
        """Enhance a recording of any length in bounded memory.

        Args:
            read: called twice, for the level and for the work; each time it gives the whole recording in
                consecutive pieces, float32 of shape (channels, samples).
            sample_rate: in Hz.

        Yields:
            Consecutive pieces of the enhanced recording, which together are as long as the input.
        """
        return enhancing.pieces(_Engine(self), read, sample_rate)


def denoise(samples: Samples, sample_rate: int, **settings: Unpack[DenoiserSettings]) -> Samples:
    """Enhance one recording; see `Denoiser` for the settings and its call for the shapes.

    Examples:
        >>> import numpy as np
        >>> denoise(np.zeros(16000), 16000).shape
        (16000,)
    """
    return Denoiser(**settings)(samples, sample_rate)


def _like(samples: Samples, enhanced: np.ndarray) -> Samples:
    """An array as the kind, type and device of another."""
    if isinstance(samples, Tensor):
        kind = samples.dtype if samples.is_floating_point() else torch.float32
        return torch.from_numpy(enhanced).to(samples.device, kind)
    given = np.asarray(samples).dtype
    return enhanced.astype(given if given.kind == "f" else np.float32)


class _Engine:
    """What the torch model does to blocks of nominal level.

    Args:
        denoiser: how to enhance a block.
    """

    def __init__(self, denoiser: Denoiser):
        self.denoiser = denoiser
        fbank = denoiser.model.config.fbank
        self.rate, self.hop, self.level = fbank.sample_rate, fbank.hop, fbank.level
        self.context, self.ahead = denoiser.mode.context, denoiser.mode.ahead
        self.causal, self.strength = denoiser.model.config.network.causal, denoiser.strength

    def begin(self, channels: int) -> enhancing.Enhance:
        # Channels are one batch where that is faster: on a GPU. On a CPU it is not, and rounding in half
        # precision would make a channel depend on the others, as would noise drawn for all, anywhere.
        denoiser = self.denoiser
        each = denoiser.mode.draws or denoiser.device.type == "cpu"
        parts = [slice(n, n + 1) for n in range(channels)] if each else [slice(None)]
        generators = [torch.Generator(denoiser.device).manual_seed(denoiser.seed) for _ in parts]
        return partial(self._enhance, list(zip(parts, generators, strict=True)))

    @own_modes()
    @torch.no_grad()
    def _enhance(
        self, parts: list[tuple[slice, torch.Generator]], samples: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        denoiser = self.denoiser
        waveform = torch.from_numpy(samples).to(denoiser.device)
        whole = Whole(denoiser.model.fbank)
        done = [denoiser.path.enhance(waveform[part], whole, generator) for part, generator in parts]
        enhanced, gain = (torch.cat(part) for part in zip(*done, strict=True))
        upper = gain[..., gain.shape[-1] // 2 :].mean(-1)
        return enhanced.cpu().numpy(), upper.cpu().numpy()
