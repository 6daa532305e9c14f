"""Denoising of streams, with a fixed delay and bounded memory."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import numpy as np

from ..audio.streams import FrameEngine, Stream
from ..errors import UsageError
from ..models.checkpoint import STREAM
from .denoiser import Denoiser
from .frames import Frames
from .modes import DescentMode


class StreamDenoiser(Stream):
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
        denoiser = denoiser or Denoiser(STREAM, device="cpu", precision="float32")
        super().__init__(engine(denoiser), sample_rate, channels)

    def push(self, samples: np.ndarray) -> np.ndarray:
        with _one_thread():
            return super().push(samples)

    def flush(self) -> np.ndarray:
        with _one_thread():
            return super().flush()


def engine(denoiser: Denoiser) -> FrameEngine:
    """What a denoiser does frame by frame; raises UsageError if no stream can have it."""
    check(denoiser)
    model, mode, config = denoiser.model, denoiser.mode, denoiser.model.config.fbank
    assert isinstance(mode, DescentMode)
    frames = Frames(model, mode.steps)
    scale = np.full(mode.steps, mode.scale, np.float32)
    enhance = partial(frames, scale=scale, strength=np.full(1, denoiser.strength, np.float32))
    return FrameEngine(config.sample_rate, config.window, config.hop, config.level, frames.size, enhance)


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
