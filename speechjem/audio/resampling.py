"""Sample rates and channels: whole waveforms, and waveforms that come in pieces."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import soxr
from numpy.lib.stride_tricks import sliding_window_view

from ..errors import UsageError
from .waveform import MOST_CHANNELS, as_array, check_shape

CROSSINGS = 32  # zero crossings of `ShortResampler` on either side, periods of the lower rate: 2 ms at 16 kHz
CUTOFF = 0.95  # share of the lower band; with BETA a choice: all of speech, and no aliasing that is heard
BETA = 7.0  # of the Kaiser window, 70 dB


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


class ShortResampler:
    """`Resampler` for streams: soxr's filters keep 37 ms back and more, this one 2 ms at 16 kHz.

    A sinc in a Kaiser window (Smith and Gossett, ICASSP 1984), symmetric, so that nothing comes late where
    all samples that it spans are known. It is less steep than soxr's: it falls from 89 % of the lower band
    on, by 70 dB at 102 %.

    Args:
        source_rate, target_rate: in Hz.
        channels: their number.
    """

    def __init__(self, source_rate: int, target_rate: int, channels: int):
        shared = math.gcd(source_rate, target_rate)
        self.up, self.down = target_rate // shared, source_rate // shared
        low = min(source_rate, target_rate)
        self.side = math.ceil(CROSSINGS * source_rate / low)  # samples that are heard on either side
        self.delay = self.side / source_rate  # seconds that an output waits for
        self.taps = _short_taps(self.side, self.up, low / source_rate)
        self.heard = self.given = 0  # samples
        self.first = self._needed(0)  # sample that `kept` begins with
        self.kept = np.zeros((channels, -self.first), np.float32)

    def push(self, samples: np.ndarray, last: bool = False) -> np.ndarray:
        """As `Resampler.push`."""
        after = np.zeros((len(self.kept), self.side if last else 0))
        self.kept = np.concatenate([self.kept, samples, after], axis=1, dtype=np.float32)
        self.heard += samples.shape[1] + after.shape[1]
        ready = max(self.given, -(-(self.heard - self.side) * self.up // self.down))
        outputs = np.arange(self.given, ready)
        made = np.zeros((len(self.kept), len(outputs)), np.float32)
        if len(outputs):
            windows = sliding_window_view(self.kept, self.taps.shape[1], axis=1)
            taps = self.taps[outputs * self.down % self.up]
            np.einsum("cnt,nt->cn", windows[:, self._needed(outputs) - self.first], taps, out=made)
        self.given = ready
        first = self._needed(ready)
        self.kept, self.first = self.kept[:, first - self.first :], first
        return made

    def _needed(self, output: Any) -> Any:
        """The first of the samples that an output, or each of several, is made of."""
        return output * self.down // self.up - self.side


def _short_taps(side: int, up: int, share: float) -> np.ndarray:
    """Taps for each place of an output between two samples, shape (up, 2 * side + 1)."""
    places = np.arange(up)[:, None] / up - np.arange(-side, side + 1)
    time = places * share  # in samples of the lower rate
    taps = np.sinc(CUTOFF * time) * np.i0(BETA * np.sqrt(np.clip(1 - (time / CROSSINGS) ** 2, 0, None)))
    taps[np.abs(places) > side] = 0
    found: np.ndarray = (taps / taps.sum(1, keepdims=True)).astype(np.float32)  # a constant stays what it is
    return found


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
