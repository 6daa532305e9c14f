"""Sample rates and channels: whole waveforms, and waveforms that come in pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import soxr

from ..errors import UsageError


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
    """
    if min(source_rate, target_rate) <= 0:
        raise UsageError(f"Cannot resample from {source_rate} to {target_rate} Hz; give positive rates.")
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
    if source_rate == target_rate:
        yield from chunks
        return
    stream = None
    for chunk in chunks:
        if stream is None:
            stream = soxr.ResampleStream(source_rate, target_rate, len(chunk), "float32", "HQ")
        yield stream.resample_chunk(np.ascontiguousarray(chunk.T, np.float32)).T
    if stream is not None:
        yield stream.resample_chunk(np.zeros((0, len(chunk)), np.float32), last=True).T


def mono(samples: np.ndarray) -> np.ndarray:
    """Average the channels.

    Args:
        samples: shape (channels, samples).

    Returns:
        Shape (samples,).
    """
    mean: np.ndarray = samples.mean(axis=0)
    return mean
