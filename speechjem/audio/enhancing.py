"""Enhancing recordings of any rate, length and number of channels, whoever computes: torch or onnxruntime.

What computes knows blocks at its rate and level. Here is the way of a recording to such blocks and back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import numpy as np

from ..errors import UsageError
from . import level
from .bands import AnyRate, Enhanced
from .blocks import CHUNK, Block, Blocks
from .resampling import Resampler, ShortResampler, resample_chunks
from .rumble import RumbleFilter
from .waveform import waveform

Enhance = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Samples of nominal level -> the same enhanced, and the gain of every frame in the upper half of the band.

Shape: (channels, samples) -> (channels, samples), (channels, frames).
"""


class Engine(Protocol):
    """What computes.

    Attributes:
        rate: of the samples it takes, in Hz.
        hop: samples a frame.
        level: nominal, in dB re full scale.
        context: frames before it that matter for the gain of a frame.
        ahead: those after it.
        causal: whether it is of a model for streams, which knows rumble and the past level only.
        strength: 0 leaves the input untouched, 1 is the full effect.
    """

    @property
    def rate(self) -> int: ...

    @property
    def hop(self) -> int: ...

    @property
    def level(self) -> float: ...

    @property
    def context(self) -> int: ...

    @property
    def ahead(self) -> int: ...

    @property
    def causal(self) -> bool: ...

    @property
    def strength(self) -> float: ...

    def begin(self, channels: int) -> Enhance:
        """What enhances the blocks of a recording, from the first to the last."""


PROGRAM = "speechjem"


def label(mode: str, strength: float, seed: int, sha256: str) -> str:
    """What an output says: the program, and all that the result depends on.

    libsndfile keeps 127 characters of it.
    """
    return f"{PROGRAM} {mode} strength {strength:g} seed {seed} model {sha256[:12]}"


Pieces = Callable[[Callable[[], Iterable[np.ndarray]], int], Iterator[np.ndarray]]


def whole(pieces: Pieces, samples: Any, sample_rate: int) -> np.ndarray:
    """Enhance an array.

    Args:
        pieces: what enhances a recording piece by piece.
        samples: shape (samples,) or (channels, samples), as `waveform` takes them.
        sample_rate: in Hz.

    Returns:
        The same shape, float32.

    Raises:
        InputError: as `waveform`.
        UsageError: for an impossible rate.
    """
    array = waveform(samples)
    channels = np.atleast_2d(array).astype(np.float32)
    starts = range(0, channels.shape[1], CHUNK)
    given = pieces(lambda: (channels[:, start : start + CHUNK] for start in starts), sample_rate)
    return np.concatenate(list(given), axis=1).reshape(array.shape)


def pieces(
    engine: Engine, read: Callable[[], Iterable[np.ndarray]], sample_rate: int
) -> Iterator[np.ndarray]:
    """Enhance a recording of any length in bounded memory.

    Args:
        engine: what computes.
        read: called twice, for the level and for the work; each time it gives the whole recording in
            consecutive pieces, float32 of shape (channels, samples).
        sample_rate: in Hz.

    Yields:
        Consecutive pieces of the enhanced recording, which together are as long as the input.
    """
    if sample_rate < 1:
        raise UsageError(f"A sample rate of {sample_rate} Hz is impossible; give it in Hz.")
    gains = _level(engine, read(), sample_rate)
    resampler = ShortResampler if engine.causal else Resampler  # as the stream of the same model
    core = _BlockByBlock(engine, gains)
    enhancer = AnyRate(core, sample_rate, engine.rate, gains.channels, resampler)
    for chunk in read():
        yield enhancer.push(chunk)
    yield enhancer.flush()


def _rumble_filter(engine: Engine, channels: int) -> RumbleFilter:
    """What recordings go through first; a model for streams, which have no time for it, knows rumble."""
    return RumbleFilter(channels, engine.rate, 0.0 if engine.causal else engine.strength)


def _level(engine: Engine, chunks: Iterable[np.ndarray], sample_rate: int) -> level.Curve | level.PastGain:
    """The running gain that brings each channel to the level."""
    if engine.causal:
        channels = len(next(iter(chunks), np.zeros((1, 0))))
        return level.PastGain(channels, engine.level, engine.rate)
    rumble = powers = None
    for chunk in resample_chunks(chunks, sample_rate, engine.rate):
        rumble = rumble or _rumble_filter(engine, len(chunk))
        powers = powers or level.Powers(len(chunk), engine.rate)
        powers.push(rumble.push(chunk))
    if rumble is None or powers is None:
        return level.Curve(np.zeros((1, 1)), engine.level, engine.rate)
    powers.push(rumble.flush())
    return level.Curve(level.follow(powers.flush()), engine.level, engine.rate)


class _BlockByBlock:
    """A recording at the engine's rate, piece by piece, in blocks with as much context as matters.

    Args:
        engine: what computes.
        gains: what brings each channel to its level.
    """

    def __init__(self, engine: Engine, gains: level.Curve | level.PastGain):
        self.gains, self.hop = gains, engine.hop
        self.rumble = _rumble_filter(engine, gains.channels)
        # The gains of the samples are further channels.
        self.blocks = Blocks(2 * gains.channels, self.hop, engine.context, engine.ahead)
        self.enhance = engine.begin(gains.channels)

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

    def _enhance_block(self, block: Block) -> np.ndarray:
        """Enhanced samples and gains of the upper octave, shape (2, channels, samples)."""
        samples, levels = np.split(block.samples, 2)
        enhanced, upper = self.enhance(samples * levels)
        inside = slice(block.skip, block.skip + block.size)
        places, frames = np.arange(inside.start, inside.stop) / self.hop, np.arange(upper.shape[1])
        gains = [np.interp(places, frames, row) for row in upper]
        return np.array([enhanced[:, inside] / levels[:, inside], gains], np.float32)
