"""`StreamDenoiser` without torch."""

from __future__ import annotations

from ..audio.streams import Stream
from ..errors import UsageError
from . import graphs
from .denoiser import Denoiser, frame_engine

STREAM = "stream"


class StreamDenoiser(Stream):
    """Enhances a stream: push blocks of any size, get blocks back, flush at the end.

    Args:
        sample_rate: in Hz.
        channels: their number; each is enhanced by itself.
        denoiser: settings and model, which must be causal; by default the model `stream`, which is shipped.

    Raises:
        UsageError: for an impossible rate or number of channels, or a model that no stream can have.
    """

    def __init__(self, sample_rate: int, channels: int = 1, denoiser: Denoiser | None = None):
        denoiser = denoiser or Denoiser(STREAM)
        if denoiser.graph.format != graphs.FRAME:
            raise UsageError(
                f"This model hears what is still to come, and a stream cannot; choose the model '{STREAM}'."
            )
        super().__init__(frame_engine(denoiser), sample_rate, channels)
