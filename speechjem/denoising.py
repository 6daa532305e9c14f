"""Denoising: follow the energy from the noisy frames, and turn the movement into a spectral gain.

Two ways to follow it: `descent`, the trained steps, and `prior`, a few steps of SGLD on E(x) as in
ST-JEM (Sustek et al., arXiv 2303.04187), joined by a model of how noise adds (`observation`). The waveform
keeps the noisy phase.
"""

from __future__ import annotations

import copy
import functools
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict, TypeVar

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Unpack

from . import audio, checkpoint, level, pipes
from .bands import AnyRate, Enhanced
from .blocks import Block, Blocks
from .cluster import until_stopped
from .device import choose_device, use_bfloat16
from .errors import InputError, UsageError
from .jem import JEM
from .langevin import sample, with_given
from .model import MODES, SpeechModel
from .observation import Observation
from .rumble import RumbleFilter

CHUNK = 1 << 18  # samples of an array that are resampled at once
# Steps reach further and further; what comes from 3 s away changes the output by less than -95 dB.
FADED = 300  # frames
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
        self.device = choose_device(device)
        self.bfloat16 = self.device.type == "cpu" and use_bfloat16(precision)
        self.model = (model if isinstance(model, SpeechModel) else checkpoint.load(model)).to(self.device)
        # Autocast would convert the weights in every call: half of the time of a short recording.
        network = self.model.jem.network
        self.jem = JEM(copy.deepcopy(network).bfloat16()) if self.bfloat16 else self.model.jem
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
        channels = np.atleast_2d(samples).astype(np.float32)
        starts = range(0, channels.shape[1], CHUNK)
        pieces = self.pieces(lambda: (channels[:, start : start + CHUNK] for start in starts), sample_rate)
        return np.concatenate(list(pieces), axis=1).reshape(samples.shape)

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
        curve = self._level(read(), sample_rate)
        core = _BlockByBlock(self, curve)
        enhancer = AnyRate(core, sample_rate, self.model.config.fbank.sample_rate, len(curve.gains))
        for chunk in read():
            yield enhancer.push(chunk)
        yield enhancer.flush()

    def rumble_filter(self, channels: int) -> RumbleFilter:
        """What recordings go through first."""
        return RumbleFilter(channels, self.model.config.fbank.sample_rate, self.strength)

    def _level(self, chunks: Iterable[np.ndarray], sample_rate: int) -> level.Curve:
        """The gain that brings each channel to the model's level."""
        config = self.model.config.fbank
        rumble = powers = None
        for chunk in audio.resample_chunks(chunks, sample_rate, config.sample_rate):
            rumble = rumble or self.rumble_filter(len(chunk))
            powers = powers or level.Powers(len(chunk), config.sample_rate)
            powers.push(rumble.push(chunk))
        if rumble is None or powers is None:
            return level.Curve(np.zeros((1, 1)), config.level, config.sample_rate)
        powers.push(rumble.flush())
        return level.Curve(level.follow(powers.flush()), config.level, config.sample_rate)

    def enhance(self, waveform: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Enhance waveforms of the model's rate and nominal level in one piece.

        Args:
            waveform: shape (batch, samples), on the model's device.
            generator: source of the noise, on the model's device.

        Returns:
            The enhanced waveforms, and their gain, shape (batch, frames, frequencies).
        """
        spectrum = self.model.fbank.stft(waveform)
        gain = self.gain(spectrum, generator)
        return self.model.fbank.istft(spectrum * gain, waveform.shape[-1]), gain

    @torch.no_grad()
    def gain(self, spectrum: Tensor, generator: torch.Generator) -> Tensor:
        """Gain of every STFT bin.

        Args:
            spectrum: complex, of nominal level, shape (batch, frames, frequencies).
            generator: source of the noise, on the model's device.
        """
        noisy = self._frames(spectrum)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            x = self.follow(noisy, generator)
        return self.model.gain(x.float(), noisy) ** self.strength

    def _frames(self, spectrum: Tensor) -> Tensor:
        """Where to start: SGLD on E(x) knows the envelope only."""
        if self.mode == "prior":
            return self.model.fbank.normalise(self.model.fbank.log_mel(spectrum))
        return self.model.observe(spectrum)

    @property
    def context(self) -> int:
        """Frames on either side that matter for the gain of a frame."""
        if self.mode == "prior":
            return FADED
        # A step's gradient reaches two contexts to either side; the STFT's window and the
        # phase relations two frames each.
        return min(2 * self.steps * self.model.config.network.context + 4, FADED)

    def follow(self, noisy: Tensor, generator: torch.Generator) -> Tensor:
        """Follow the energy.

        Args:
            noisy: frames to start from, as observed, shape (batch, frames, size).
            generator: source of the noise, on the model's device.

        Returns:
            The frames after the last step, without phase relations.
        """
        if self.mode == "prior":
            observation = Observation(self.model.fbank, noisy, self.model.config.denoise_noise_weight)
            return sample(
                lambda x: self.jem.gradient(x) + observation.gradient(x), noisy, self.sampler, generator
            )
        steps = self.model.descent.steps(self.jem, noisy, self.steps, self.scale, self.noise, generator)
        return deque(steps, maxlen=1).pop()[0].detach()


def denoise(samples: Samples, sample_rate: int, **settings: Unpack[DenoiserSettings]) -> Samples:
    """Enhance one recording; see `Denoiser` for the settings and its call for the shapes.

    Examples:
        >>> import numpy as np
        >>> denoise(np.zeros(16000), 16000).shape
        (16000,)
    """
    return Denoiser(**settings)(samples, sample_rate)


@dataclass(frozen=True)
class FileDenoiser:
    """Denoises files into files, by a `Denoiser` that each process loads once.

    It can be pickled and sent to other processes; the model itself is not sent.

    Attributes:
        settings: of the `Denoiser`, as pairs of name and value.
        force: overwrite outputs that exist.
        raw_rate: for pipes of bare samples: their sample rate in Hz.
        progress: called with the source and the share of it that is done; it cannot go to other processes.
        run: tells runs apart: a process that serves several must not keep a model that was since replaced.
    """

    settings: tuple[tuple[str, Any], ...]
    force: bool = False
    raw_rate: int | None = None
    progress: Callable[[Path, float], None] | None = field(default=None, compare=False)
    run: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __call__(self, source: Path, target: Path) -> float:
        """Denoise a file.

        Args:
            source, target: input and output, which may be `pipes.PIPE`.

        Returns:
            The duration of the recording in seconds.

        Raises:
            InputError: the source cannot be read, or the target not written.
            UsageError, ModelError: as `Denoiser`, when a process calls it first.
        """
        with _LOADING:
            denoiser = _load(self)
        raw = self.raw_rate is not None
        with pipes.input_file(source) as readable, pipes.output_file(target, raw) as writable:
            recording = audio.open_file(readable, self.raw_rate)
            pieces = denoiser.pieces(lambda: until_stopped(recording.chunks()), recording.sample_rate)
            audio.write(
                writable,
                self._told(pieces, source, recording.frames),
                recording.sample_rate,
                channels=recording.channels,
                subtype=recording.subtype,
                force=self.force,
            )
            written = audio.open_file(writable)
            return written.frames / written.sample_rate

    def _told(self, pieces: Iterable[np.ndarray], source: Path, frames: int) -> Iterator[np.ndarray]:
        done = 0
        for piece in pieces:
            yield piece
            done += piece.shape[1]
            if self.progress:
                self.progress(source, min(1.0, done / max(1, frames)))


_LOADING = threading.Lock()


@functools.lru_cache(maxsize=4)  # a Dask worker may serve a few runs by turns
def _load(files: FileDenoiser) -> Denoiser:
    return Denoiser(**dict(files.settings))


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


class _BlockByBlock:
    """A recording at the model's rate, piece by piece, in blocks with as much context as matters.

    Args:
        denoiser: how to enhance a block.
        curve: gain that brings each channel to the model's level.
    """

    def __init__(self, denoiser: Denoiser, curve: level.Curve):
        self.denoiser = denoiser
        self.curve = curve
        self.hop = denoiser.model.config.fbank.hop
        channels = len(curve.gains)
        self.rumble = denoiser.rumble_filter(channels)
        self.blocks = Blocks(channels, self.hop, denoiser.context)
        self.generators = [torch.Generator(denoiser.device).manual_seed(denoiser.seed) for _ in range(channels)]
        self.place = 0  # of the next block, in samples

    def push(self, samples: np.ndarray) -> Enhanced:
        return self._enhance(self.blocks.push(self.rumble.push(samples)))

    def flush(self) -> Enhanced:
        return self._enhance([*self.blocks.push(self.rumble.flush()), *self.blocks.flush()])

    def _enhance(self, blocks: Iterable[Block]) -> Enhanced:
        none = np.zeros((2, len(self.generators), 0), np.float32)
        enhanced, gain = np.concatenate([none, *map(self._enhance_block, blocks)], axis=2)
        return enhanced, gain

    def _enhance_block(self, block: Block) -> np.ndarray:
        inside = slice(block.skip, block.skip + block.size)
        places = np.arange(inside.start, inside.stop) / self.hop
        levels = self.curve.gain(self.place - block.skip, block.samples.shape[1])
        self.place += block.size
        outputs = []
        for samples, level, generator in zip(block.samples, levels, self.generators, strict=True):
            waveform = torch.from_numpy(samples * level)[None].to(self.denoiser.device)
            enhanced, gain = self.denoiser.enhance(waveform, generator)
            upper = gain[0, :, gain.shape[-1] // 2 :].abs().mean(-1).cpu().numpy()
            outputs.append(
                [
                    enhanced[0, inside].cpu().numpy() / level[inside],
                    np.interp(places, np.arange(len(upper)), upper),
                ]
            )
        return np.array(outputs, np.float32).swapaxes(0, 1)
