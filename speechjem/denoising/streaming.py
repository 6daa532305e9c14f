"""Denoising of streams, with a fixed delay and bounded memory."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from ..audio.bands import AnyRate, Enhanced
from ..audio.blocks import Fifo
from ..audio.level import PastGain
from ..audio.resampling import ShortResampler
from ..audio.waveform import MOST_CHANNELS, as_array
from ..errors import InputError, UsageError
from ..models.checkpoint import STREAM
from .denoiser import Denoiser
from .frames import Frames, array
from .modes import DescentMode


class StreamDenoiser:
    """Enhances a stream: push blocks of any size, get blocks back, flush at the end.

    What comes out is what went in, `latency` later, whatever the sizes of the blocks. All blocks together are
    what `Denoiser` makes of a whole recording with the same model.

    Args:
        sample_rate: in Hz.
        channels: their number; each is enhanced by itself.
        denoiser: settings and model, which must be causal; by default the model `stream`, which is shipped.

    Raises:
        UsageError: for an impossible rate or number of channels, or a denoiser that no stream can have.

    Examples:
        >>> import numpy as np
        >>> stream = StreamDenoiser(16000)
        >>> pieces = [stream.push(block) for block in np.zeros((10, 1, 800), np.float32)] + [stream.flush()]
        >>> np.concatenate(pieces, axis=1).shape
        (1, 8000)
    """

    def __init__(self, sample_rate: int, channels: int = 1, denoiser: Denoiser | None = None):
        if sample_rate < 1 or not 1 <= channels <= MOST_CHANNELS:
            raise UsageError(f"A stream of {channels} channels at {sample_rate} Hz is impossible.")
        denoiser = denoiser or Denoiser(STREAM, device="cpu", precision="float32")
        check(denoiser)
        config = denoiser.model.config.fbank
        self.channels = channels
        self.latency = (config.hop + config.window) / config.sample_rate
        """Longest time in seconds between a sample and its enhanced version."""
        if sample_rate != config.sample_rate:
            self.latency += 2 * ShortResampler(sample_rate, config.sample_rate, 1).delay
        self._denoiser, self._sample_rate = denoiser, sample_rate
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
        with _one_thread():
            return self._enhancer.push(block.astype(np.float32))

    def flush(self) -> np.ndarray:
        """End the stream and give the samples that were kept back; what is pushed then is another stream."""
        with _one_thread():
            rest = self._enhancer.flush()
        self._begin()
        return rest

    def _begin(self) -> None:
        core = _FrameByFrame(self._denoiser, self.channels)
        inner_rate = self._denoiser.model.config.fbank.sample_rate
        self._enhancer = AnyRate(core, self._sample_rate, inner_rate, self.channels, ShortResampler)


def check(denoiser: Denoiser) -> None:
    """Refuse models that need the future, and settings that draw noise."""
    network = denoiser.model.config.network
    if not (network.causal and network.turn and network.phase):
        raise UsageError(
            "This model hears what is still to come, and a stream cannot; "
            f"choose the model '{STREAM}', or one that was trained with network.causal."
        )
    if not isinstance(denoiser.mode, DescentMode) or denoiser.mode.draws:
        raise UsageError("A stream takes the trained steps without noise; leave out the mode and the noise.")


def _one_thread() -> Any:
    """The matrix products are too small for several threads, which would only wait for each other."""
    return _libraries().limit(limits=1, user_api="blas")


@cache
def _libraries() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


class _FrameByFrame:
    """The stream at the model's rate.

    Frame t is centred on sample t * hop, as in `fbank`, and is enhanced when frame t + 1 is heard.
    """

    def __init__(self, denoiser: Denoiser, channels: int):
        model, mode = denoiser.model, denoiser.mode
        assert isinstance(mode, DescentMode)
        config = model.config.fbank
        self.hop, self.size, self.window = config.hop, config.window, array(model.fbank.window)
        self.gains = PastGain(channels, config.level, config.sample_rate)
        self.frames = Frames(model, mode.steps)
        self.state = np.zeros((channels, self.frames.size), np.float32)
        self.scale = np.full((mode.steps, 1), mode.scale, np.float32)
        self.strength = np.full(1, denoiser.strength, np.float32)
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
        enhanced, gain, self.state = self.frames(frame, self.state, self.scale, self.strength)
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
