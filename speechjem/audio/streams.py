"""Enhancing streams at any rate, whoever computes: NumPy or onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import InputError, UsageError
from .bands import AnyRate, Enhanced
from .blocks import Fifo
from .level import PastGain
from .resampling import ShortResampler
from .waveform import MOST_CHANNELS, as_array


@dataclass(frozen=True)
class FrameEngine:
    """What computes.

    Attributes:
        rate: of the samples it takes, in Hz.
        window: samples of a frame.
        hop: between two frames, in samples.
        level: nominal, in dB re full scale.
        state: numbers that it keeps for a channel.
        enhance: takes a frame, shape (channels, window), and the state, shape (channels, state); gives the
            frame before, windowed, its mean gain in the upper half of the band, shape (channels, 1), and the
            next state. A frame of NaN is none.
    """

    rate: int
    window: int
    hop: int
    level: float
    state: int
    enhance: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]


class Stream:
    """Blocks of any size in, blocks out, in bounded memory.

    Args:
        engine: what computes.
        sample_rate: in Hz.
        channels: their number.

    Raises:
        UsageError: for an impossible rate or number of channels.
    """

    def __init__(self, engine: FrameEngine, sample_rate: int, channels: int):
        if sample_rate < 1 or not 1 <= channels <= MOST_CHANNELS:
            raise UsageError(f"A stream of {channels} channels at {sample_rate} Hz is impossible.")
        self.channels, self._engine, self._sample_rate = channels, engine, sample_rate
        self.latency = (engine.hop + engine.window) / engine.rate
        """Longest time in seconds between a sample and its enhanced version."""
        if sample_rate != engine.rate:
            self.latency += 2 * ShortResampler(sample_rate, engine.rate, 1).delay
        self._begin()

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Take a block and give the samples that are ready, possibly none.

        Args:
            samples: array or tensor, shape (channels, any number).

        Raises:
            InputError: if the shape is another, or a sample is not finite.
        """
        block = as_array(samples)
        if block.ndim != 2 or len(block) != self.channels or not np.isfinite(block).all():
            raise InputError(
                f"A block must have finite samples of shape ({self.channels}, samples), not {block.shape}; "
                "transpose it (block.T) where channels come last."
            )
        return self._enhancer.push(block.astype(np.float32))

    def flush(self) -> np.ndarray:
        """End the stream and give the samples that were kept back; what is pushed then is another stream."""
        rest = self._enhancer.flush()
        self._begin()
        return rest

    def _begin(self) -> None:
        core = FrameByFrame(self._engine, self.channels)
        self._enhancer = AnyRate(core, self._sample_rate, self._engine.rate, self.channels, ShortResampler)


def pieces(
    engine: FrameEngine, read: Callable[[], Iterable[np.ndarray]], sample_rate: int
) -> Iterator[np.ndarray]:
    """A recording of any length through a stream, in consecutive pieces (`enhancing.pieces`)."""
    stream = None
    for chunk in read():
        stream = stream or Stream(engine, sample_rate, len(chunk))
        yield stream.push(chunk)
    if stream:
        yield stream.flush()


class FrameByFrame:
    """A stream at the engine's rate.

    Frame t is centred on sample t * hop, and is enhanced when frame t + 1 is heard.
    """

    def __init__(self, engine: FrameEngine, channels: int):
        self.hop, self.size, self.enhance = engine.hop, engine.window, engine.enhance
        turn = 2 * np.pi / self.size * np.arange(self.size)
        self.window = (0.5 - 0.5 * np.cos(turn)).astype(np.float32)
        self.gains = PastGain(channels, engine.level, engine.rate)
        self.state = np.zeros((channels, engine.state), np.float32)
        self.heard, self.levels = Fifo(channels), Fifo(channels)
        self.heard.push(np.zeros((channels, self.size // 2), np.float32))
        self.frame = 0  # the next one to hear
        self.sum = np.zeros((channels, self.size), np.float32)
        self.weight = np.zeros(self.size, np.float32)
        self.upper = np.ones((channels, 3), np.float32)  # gains of the last frames
        self.places = 2 + (np.arange(self.size) - self.size // 2) / self.hop  # of `sum` among them
        self.skip = self.size // 2  # the first frame begins half a window before the first sample
        self.length = 0  # samples that were heard

    def push(self, samples: np.ndarray) -> Enhanced:
        levels = self.gains.push(samples)
        self.heard.push(samples * levels)
        self.levels.push(levels)
        self.length += samples.shape[1]
        return self._ready()

    def flush(self) -> Enhanced:
        """All that is left: the last frame hears none after it."""
        last = self.length // self.hop
        room = (last - self.frame) * self.hop + self.size - self.heard.length
        self.heard.push(np.zeros((len(self.sum), room), np.float32))
        none = np.full(self.sum.shape, np.nan, np.float32)
        return _joined([self._ready(), self._advance(none, self.size)])

    def _ready(self) -> Enhanced:
        none = np.zeros((len(self.sum), 0), np.float32)
        parts = [(none, none)]
        while self.heard.length >= self.size:
            frame = self.heard.peek(self.size)
            parts.append(self._advance(frame, self.hop))
            self.heard.pop(self.hop)
            self.frame += 1
        return _joined(parts)

    def _advance(self, frame: np.ndarray, count: int) -> Enhanced:
        """Hear a frame, enhance the one before it, and give the next `count` samples of the sum."""
        enhanced, gain, self.state = self.enhance(frame, self.state)
        if self.frame == 0:
            return self.sum[:, :0], self.sum[:, :0]
        self.sum += enhanced
        self.weight += self.window**2
        self.upper = np.concatenate([self.upper[:, 1:], gain], axis=1)
        return self._give(count)

    def _give(self, count: int) -> Enhanced:
        inside = slice(self.skip, min(count, self.skip + self.levels.length))
        enhanced = self.sum[:, inside] / self.weight[inside].clip(1e-8)
        enhanced /= self.levels.pop(enhanced.shape[1])
        frames = np.arange(self.upper.shape[1])
        gain = np.stack([np.interp(self.places[inside], frames, row) for row in self.upper])
        for kept in (self.sum, self.weight):
            kept[..., :-count], kept[..., -count:] = kept[..., count:], 0
        self.skip = max(0, self.skip - count)
        return enhanced, gain.astype(np.float32)


def _joined(parts: list[Enhanced]) -> Enhanced:
    enhanced, gain = (np.concatenate(part, axis=1) for part in zip(*parts, strict=True))
    return enhanced, gain
