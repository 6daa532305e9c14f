"""Rumble: noise below the pitch of every voice.

Wind, traffic and handling put most of their power below 60 Hz, where no voice has its pitch, but where frames
of 32 ms cannot tell the two apart. A sharp high-pass before the analysis removes it, as telephones and voice
codecs do; it also keeps the level of the recording from being that of its rumble.
"""

from __future__ import annotations

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft  # scipy.signal would cost 30 MB of memory

CUTOFF = 55.0  # Hz, where the filter is half way down
ATTENUATION = 40.0  # dB, far below it
SECONDS = 0.125  # length of the filter


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
        size = next_fast_len(heard.shape[1], real=True)
        filtered: np.ndarray = irfft(rfft(heard, size) * rfft(self.taps, size), size)
        # What wraps around ends before the first sample that all taps reach.
        return filtered[:, self.taps.shape[1] - 1 : heard.shape[1]].astype(np.float32)

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
        from scipy.signal import butter

        self.sections = butter(4, CUTOFF, "highpass", fs=rate, output="sos")
        self.state = np.zeros((len(self.sections), channels, 2))

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Take samples, shape (channels, any number), and give as many."""
        from scipy.signal import sosfilt

        if samples.shape[1] == 0:
            return samples
        filtered, self.state = sosfilt(self.sections, samples, axis=1, zi=self.state)
        return np.asarray(filtered, np.float32)


def removed(samples: np.ndarray, rate: int) -> np.ndarray:
    """A whole recording, shape (samples,), without its rumble."""
    rumble_filter = RumbleFilter(1, rate)
    return np.concatenate([rumble_filter.push(samples[None]), rumble_filter.flush()], axis=1).squeeze(0)
