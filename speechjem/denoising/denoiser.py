"""Denoising recordings: arrays of any rate, number of channels and length, block by block.

The waveform keeps the noisy phase; `path` has what is done to a block, `modes` how the energy is followed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from typing import TypedDict, TypeVar

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Unpack

from .. import audio
from ..audio import level
from ..audio.bands import AnyRate, Enhanced
from ..audio.blocks import CHUNK, Block, Blocks
from ..audio.resampling import Resampler, ShortResampler
from ..audio.rumble import RumbleFilter
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
        array = audio.waveform(samples)
        channels = np.atleast_2d(array).astype(np.float32)
        starts = range(0, channels.shape[1], CHUNK)
        pieces = self.pieces(lambda: (channels[:, start : start + CHUNK] for start in starts), sample_rate)
        return _like(samples, np.concatenate(list(pieces), axis=1).reshape(array.shape))

    def pieces(self, read: Callable[[], Iterable[np.ndarray]], sample_rate: int) -> Iterator[np.ndarray]:
        """Enhance a recording of any length in bounded memory.

        Args:
            read: called twice, for the level and for the work; each time it gives the whole recording in
                consecutive pieces, float32 of shape (channels, samples).
            sample_rate: in Hz.

        Yields:
            Consecutive pieces of the enhanced recording, which together are as long as the input.
        """
        if sample_rate < 1:
            raise UsageError(f"A sample rate of {sample_rate} Hz is impossible; give it in Hz.")
        gains = self._level(read(), sample_rate)
        core = _BlockByBlock(self, gains)
        inner_rate, causal = self.model.config.fbank.sample_rate, self.model.config.network.causal
        resampler = ShortResampler if causal else Resampler  # as the stream of the same model
        enhancer = AnyRate(core, sample_rate, inner_rate, gains.channels, resampler)
        for chunk in read():
            yield enhancer.push(chunk)
        yield enhancer.flush()

    def rumble_filter(self, channels: int) -> RumbleFilter:
        """What recordings go through first; a model for streams, which have no time for it, knows rumble."""
        strength = 0.0 if self.model.config.network.causal else self.strength
        return RumbleFilter(channels, self.model.config.fbank.sample_rate, strength)

    @own_modes()
    def _level(self, chunks: Iterable[np.ndarray], sample_rate: int) -> level.Curve | level.PastGain:
        """The running gain that brings each channel to the model's level."""
        config = self.model.config.fbank
        if self.model.config.network.causal:
            channels = len(next(iter(chunks), np.zeros((1, 0))))
            return level.PastGain(channels, config.level, config.sample_rate)
        rumble = powers = None
        for chunk in audio.resample_chunks(chunks, sample_rate, config.sample_rate):
            rumble = rumble or self.rumble_filter(len(chunk))
            powers = powers or level.Powers(len(chunk), config.sample_rate)
            powers.push(rumble.push(chunk))
        if rumble is None or powers is None:
            return level.Curve(np.zeros((1, 1)), config.level, config.sample_rate)
        powers.push(rumble.flush())
        return level.Curve(level.follow(powers.flush()), config.level, config.sample_rate)


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


class _BlockByBlock:
    """A recording at the model's rate, piece by piece, in blocks with as much context as matters.

    Args:
        denoiser: how to enhance a block.
        gains: what brings each channel to the model's level.
    """

    def __init__(self, denoiser: Denoiser, gains: level.Curve | level.PastGain):
        self.denoiser = denoiser
        self.gains = gains
        self.hop = denoiser.model.config.fbank.hop
        channels = gains.channels
        self.rumble = denoiser.rumble_filter(channels)
        # The gains of the samples are further channels.
        self.blocks = Blocks(2 * channels, self.hop, denoiser.mode.context, denoiser.mode.ahead)
        # Channels are one batch where that is faster: on a GPU. On a CPU it is not, and rounding in half
        # precision would make a channel depend on the others, as would noise drawn for all, anywhere.
        each = denoiser.mode.draws or denoiser.device.type == "cpu"
        self.parts = [slice(n, n + 1) for n in range(channels)] if each else [slice(None)]
        self.generators = [torch.Generator(denoiser.device).manual_seed(denoiser.seed) for _ in self.parts]

    def push(self, samples: np.ndarray) -> Enhanced:
        return self._enhance(self.blocks.push(self._with_gains(self.rumble.push(samples))))

    def flush(self) -> Enhanced:
        last = self._with_gains(self.rumble.flush())
        return self._enhance([*self.blocks.push(last), *self.blocks.flush()])

    def _with_gains(self, samples: np.ndarray) -> np.ndarray:
        return np.concatenate([samples, self.gains.push(samples)])

    def _enhance(self, blocks: Iterable[Block]) -> Enhanced:
        none = np.zeros((2, self.gains.channels, 0), np.float32)
        enhanced, gain = np.concatenate([none, *map(self._enhance_block, blocks)], axis=2)
        return enhanced, gain

    @own_modes()
    @torch.no_grad()
    def _enhance_block(self, block: Block) -> np.ndarray:
        """Enhanced samples and gains of the upper octave, shape (2, channels, samples)."""
        samples, levels = np.split(block.samples, 2)
        waveform = torch.from_numpy(samples * levels).to(self.denoiser.device)
        whole = Whole(self.denoiser.model.fbank)
        parts = [
            self.denoiser.path.enhance(waveform[part], whole, generator)
            for part, generator in zip(self.parts, self.generators, strict=True)
        ]
        enhanced, gain = (torch.cat(part) for part in zip(*parts, strict=True))
        inside = slice(block.skip, block.skip + block.size)
        upper = gain[..., gain.shape[-1] // 2 :].mean(-1).cpu().numpy()
        places, frames = np.arange(inside.start, inside.stop) / self.hop, np.arange(upper.shape[1])
        gains = [np.interp(places, frames, row) for row in upper]
        return np.array([enhanced[:, inside].cpu().numpy() / levels[:, inside], gains], np.float32)
