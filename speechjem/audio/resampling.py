"""Sample rates and channels: whole waveforms, and waveforms that come in pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import soxr

from ..errors import UsageError
from .waveform import MOST_CHANNELS, as_array, check_shape


def resample(samples: np.ndarray, source_rate: float, target_rate: float) -> np.ndarray:
    """Change the sample rate (soxr, quality HQ: linear phase, no delay).

    Args:
        samples: shape (channels, samples) or (samples,).
        source_rate: in Hz.
        target_rate: in Hz.

    Returns:
        float32, the same shape but for round(samples * target_rate / source_rate) samples; the
        input itself where the rates are equal.

    Raises:
        UsageError: a rate is not positive.
        InputError: channels and samples are exchanged, or they are no real numbers.
    """
    if min(source_rate, target_rate) <= 0:
        raise UsageError(f"Cannot resample from {source_rate} to {target_rate} Hz; give positive rates.")
    samples = as_array(samples)
    check_shape(samples.shape)
    if source_rate == target_rate:
        return samples
    count = round(samples.shape[-1] * target_rate / source_rate)
    resampled = soxr.resample(samples.T.astype(np.float32), source_rate, target_rate, quality="HQ").T
    # soxr rounds the length in its own way and may be a sample off.
    result = np.zeros((*samples.shape[:-1], count), np.float32)
    shared = min(count, resampled.shape[-1])
    result[..., :shared] = resampled[..., :shared]
    return result


def resample_chunks(
    chunks: Iterable[np.ndarray], source_rate: float, target_rate: float
) -> Iterator[np.ndarray]:
    """`resample` for a waveform that comes in pieces; the sum of the lengths may be a sample off.

    Args:
        chunks: consecutive pieces, each of shape (channels, samples).
        source_rate, target_rate: in Hz.
    """
    resampler = None
    for chunk in chunks:
        if len(chunk) > MOST_CHANNELS:
            check_shape(chunk.shape)
        if source_rate == target_rate:
            yield chunk
            continue
        resampler = resampler or Resampler(source_rate, target_rate, len(chunk))
        yield resampler.push(chunk)
    if resampler:
        yield resampler.push(chunk[:, :0], last=True)


class Resampler:
    """A waveform that comes in pieces, at another rate.

    Each channel has a stream of soxr by itself. With interleaved channels libsoxr reads as many pointers from
    the output before it sees that there are none: beyond its end, where there are many channels and less than
    two samples, and the process may die.

    Args:
        source_rate, target_rate: in Hz.
        channels: their number.
    """

    def __init__(self, source_rate: float, target_rate: float, channels: int):
        self._streams = [
            soxr.ResampleStream(source_rate, target_rate, 1, "float32", "HQ") for _ in range(channels)
        ]

    def push(self, samples: np.ndarray, last: bool = False) -> np.ndarray:
        """Take samples, shape (channels, samples), and give those that are ready; the rest with the last."""
        rows = np.ascontiguousarray(samples, np.float32)
        pairs = zip(self._streams, rows, strict=True)
        return np.stack([stream.resample_chunk(row, last=last) for stream, row in pairs])


def mono(samples: np.ndarray) -> np.ndarray:
    """Average the channels.

    Args:
        samples: shape (channels, samples).

    Returns:
        Shape (samples,).
    """
    samples = as_array(samples)
    check_shape(samples.shape)
    mean: np.ndarray = np.atleast_2d(samples).mean(axis=0)
    return mean
