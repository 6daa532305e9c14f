"""Rumble: noise below the pitch of every voice.

Wind, traffic and handling put most of their power below 60 Hz, where no voice has its pitch, but where frames
of 32 ms cannot tell the two apart. A sharp high-pass before the analysis removes it, as telephones and voice
codecs do; it also keeps the level of the recording from being that of its rumble.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.fft import irfft, rfft

CUTOFF = 55.0  # Hz, where the filter is half way down
ATTENUATION = 40.0  # dB, far below it
SECONDS = 0.125  # length of the filter
ANSWER = 0.2  # seconds until the filter without delay has come to rest


def taps(rate: int, strength: float = 1.0) -> np.ndarray:
    """Symmetric high-pass filter, float32, an odd number of taps.

    Args:
        rate: sample rate in Hz.
        strength: 0 lets everything pass, 1 is the full attenuation; scales it in dB.
    """
    half = int(rate * SECONDS / 2)
    low = np.sinc(2 * CUTOFF / rate * np.arange(-half, half + 1)) * np.hamming(2 * half + 1)
    low /= low.sum()
    filtered: np.ndarray = -(1 - 10 ** (-ATTENUATION * strength / 20)) * low
    filtered[half] += 1.0
    return filtered.astype(np.float32)


class RumbleFilter:
    """`taps` on a recording that comes piece by piece; zero-phase: half a filter is kept back until `flush`.

    Args:
        channels: their number.
        rate: sample rate in Hz.
        strength: as in `taps`.
    """

    def __init__(self, channels: int, rate: int, strength: float = 1.0):
        self.taps = taps(rate, strength)[None]
        self.kept = np.zeros((channels, self.taps.shape[1] // 2), np.float32)

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Take samples, shape (channels, any number), and give those that are ready."""
        heard = np.concatenate([self.kept, samples], axis=1)
        ready = max(0, heard.shape[1] - self.taps.shape[1] + 1)
        self.kept = heard[:, ready:]
        if ready == 0:
            return heard[:, :0]
        return _filtered(heard, self.taps)

    def flush(self) -> np.ndarray:
        """The remaining samples: in all, as many come out as went in."""
        return self.push(np.zeros((len(self.kept), self.taps.shape[1] // 2), np.float32))


class Above:
    """A high-pass without delay, for measuring levels: the powers are right, the phases are not.

    A sharp filter without delay changes the phase of low voices. Listeners do not hear that, but it lowers
    every signal-to-noise ratio. So a stream measures its level through this filter, and leaves rumble to the
    gain.

    Args:
        channels: their number.
        rate: sample rate in Hz.
    """

    def __init__(self, channels: int, rate: int):
        self.sections = sections(rate)
        self.taps = _answer(rate)[None]
        self.kept = np.zeros((channels, self.taps.shape[1] - 1))

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Take samples, shape (channels, any number), and give as many."""
        if samples.shape[1] == 0:
            return samples
        heard = np.concatenate([self.kept, samples], axis=1)
        self.kept = heard[:, samples.shape[1] :]
        return _filtered(heard, self.taps)


def sections(rate: int) -> np.ndarray:
    """A Butterworth high-pass of order 4 as two sections, rows of b0 b1 b2 a0 a1 a2.

    The bilinear transform of its two pairs of poles, with the quality 1 / (2 cos of their angles).
    """
    rows = []
    for angle in (np.pi / 8, 3 * np.pi / 8):
        bent, damping = np.tan(np.pi * CUTOFF / rate), 2 * np.cos(angle)
        scale = 1 / (1 + damping * bent + bent**2)
        poles = 2 * (bent**2 - 1) * scale, (1 - damping * bent + bent**2) * scale
        rows.append([scale, -2 * scale, scale, 1.0, *poles])
    return np.array(rows)


@cache
def _answer(rate: int) -> np.ndarray:
    """The answer of `sections` to an impulse; what is cut off at its end lies below -200 dB."""
    signal = [1.0] + [0.0] * int(rate * ANSWER)
    for b0, b1, b2, _, a1, a2 in sections(rate).tolist():
        first = second = 0.0
        for place, sample in enumerate(signal):
            signal[place] = b0 * sample + first
            first = b1 * sample - a1 * signal[place] + second
            second = b2 * sample - a2 * signal[place]
    return np.array(signal)


def _filtered(heard: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """Samples through taps, from the first sample on that all taps reach."""
    size = _fast_size(heard.shape[1])
    filtered: np.ndarray = irfft(rfft(heard, size) * rfft(taps, size), size)
    # What wraps around ends before.
    return filtered[:, taps.shape[1] - 1 : heard.shape[1]].astype(np.float32)


def _fast_size(least: int) -> int:
    """A size of small factors, for a fast transform."""
    sizes = (odd << max(0, (-(-least // odd) - 1).bit_length()) for odd in (1, 3, 5, 9, 15))
    return min(sizes)


def removed(samples: np.ndarray, rate: int) -> np.ndarray:
    """A whole recording, shape (samples,), without its rumble."""
    rumble_filter = RumbleFilter(1, rate)
    return np.concatenate([rumble_filter.push(samples[None]), rumble_filter.flush()], axis=1).squeeze(0)
