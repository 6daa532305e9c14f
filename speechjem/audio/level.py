"""The level of a recording, followed over time.

The network gets recordings at one nominal level. One gain for a whole recording would depend on its loudest
event: beside a bang, speech would be too soft to be recognised as speech, and a talker who moves away would
fade. So the gain follows the recording, slowly enough to be inaudible to the network, and is taken
back after the enhancement: the output has the level of the input.

The level at a time is the lower one of the levels before and after it. Each of these is the power that four
fifths of the blocks of `WINDOW` seconds do not exceed. An event of half a second does not move it. A change
of level moves it on the louder side, where a gain that is too high does less harm than one that is too low.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .rumble import Above

BLOCK = 0.05  # seconds
WINDOW = 3.0  # seconds
SHARE = 80  # percent of the blocks that lie below the level
SMOOTH = 0.5  # seconds over which the level moves
LOUDER = 2.0  # dB by which the level lies above the RMS of running speech
USUAL = -30.0  # dB re full scale: the level that is assumed before anything is known
RANGE = 46.0  # dB below the highest level of a recording down to which it is followed; below is silence
LOWEST = -66.0  # dB re full scale: the lowest level of a stream, whose highest level is not known


class Powers:
    """Mean squares of the blocks of a recording that comes piece by piece.

    Args:
        channels: their number.
        rate: sample rate in Hz.
    """

    def __init__(self, channels: int, rate: int):
        self.size = round(BLOCK * rate)
        self.kept = np.zeros((channels, 0), np.float32)
        self.powers = [np.zeros((channels, 0))]

    def push(self, samples: np.ndarray) -> None:
        """Take samples, shape (channels, any number)."""
        heard = np.concatenate([self.kept, samples], axis=1)
        whole = heard.shape[1] // self.size * self.size
        self.kept = heard[:, whole:]
        blocks = heard[:, :whole].reshape(len(heard), -1, self.size)
        self.powers.append(np.square(blocks, dtype=np.float64).mean(2))

    def flush(self) -> np.ndarray:
        """Mean squares of all blocks, at least one, shape (channels, blocks); the last may be shorter."""
        last = np.square(self.kept, dtype=np.float64).sum(1, keepdims=True) / max(1, self.kept.shape[1])
        known = np.concatenate(self.powers, axis=1)
        return np.concatenate([known, last], axis=1) if self.kept.shape[1] or not known.shape[1] else known


def follow(powers: np.ndarray) -> np.ndarray:
    """Level of every block in dB re full scale, shape (channels, blocks).

    Args:
        powers: as `Powers` gives them.
    """
    level = 10 * np.log10(np.maximum(powers, 1e-12))
    blocks = level.shape[1]
    window = min(round(WINDOW / BLOCK), blocks)
    shares = _shares(level, window)  # of the windows that begin at each block
    place = np.arange(blocks)
    before, after = (np.clip(start, 0, blocks - window) for start in (place - window + 1, place))
    lower = np.minimum(shares[:, before], shares[:, after])
    lower = np.maximum(lower, lower.max(axis=1, keepdims=True) - RANGE)
    taps = np.hanning(round(SMOOTH / BLOCK) + 3)[1:-1]
    padded = np.pad(lower, ((0, 0), (len(taps) // 2, len(taps) // 2)), "edge")
    return np.stack([np.convolve(row, taps / taps.sum(), "valid") for row in padded])


def _shares(level: np.ndarray, window: int) -> np.ndarray:
    """The level that `SHARE` percent of the blocks of each window do not exceed."""
    windows, place = sliding_window_view(level, window, axis=1), min(window * SHARE // 100, window - 1)
    starts = range(0, windows.shape[1], 4096)  # at once, all windows of hours would take much memory
    parts = [windows[:, start : start + 4096] for start in starts]
    return np.concatenate([np.partition(part, place, axis=2)[..., place] for part in parts], axis=1)


def follow_past(powers: np.ndarray, before: np.ndarray | None = None) -> np.ndarray:
    """`follow` without the future: the level that is known when each block begins.

    As long as less than `WINDOW` seconds were heard, four fifths of what was heard count. So the first second
    follows what it hears within some blocks, and later a bang does not move the level either.

    Args:
        powers: as `Powers` gives them, those of sound without rumble (`rumble.Above`).
        before: powers of earlier blocks, shape (channels, blocks). By default there are none, and the first
            block has the level `USUAL`.
    """
    known = powers if before is None else np.concatenate([before, powers], axis=1)
    level = (10 * np.log10(np.maximum(known, 1e-12))).clip(min=LOWEST)
    window, first = round(WINDOW / BLOCK), known.shape[1] - powers.shape[1]
    ends = range(first, known.shape[1])
    usual = np.full(len(level), USUAL)
    shares = [_share_of(level[:, max(0, end - window) : end]) if end > 0 else usual for end in ends]
    return np.stack(shares, axis=1)


def _share_of(levels: np.ndarray) -> np.ndarray:
    """The level that `SHARE` percent of the blocks do not exceed: (channels, blocks) -> (channels,)."""
    place = min(levels.shape[1] * SHARE // 100, levels.shape[1] - 1)
    found: np.ndarray = np.partition(levels, place, axis=1)[:, place]
    return found


class Curve:
    """The gain of every sample that brings a recording to a level.

    Args:
        levels: of its blocks, as `follow` gives them, shape (channels, blocks).
        target: RMS level of running speech, in dB re full scale.
        rate: sample rate in Hz.
    """

    def __init__(self, levels: np.ndarray, target: float, rate: int):
        self.channels = len(levels)
        self.gains = target + LOUDER - levels  # dB
        self.size = round(BLOCK * rate)
        self.place = 0  # of the next sample

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Take the next samples, shape (channels, any number), and give their gains, of the same shape."""
        self.place += samples.shape[1]
        return self.at(self.place - samples.shape[1], samples.shape[1])

    def at(self, start: int, count: int) -> np.ndarray:
        """Factors of `count` samples from sample `start` on, float32 (channels, count)."""
        place = (np.arange(start, start + count) + 0.5) / self.size - 0.5
        blocks = np.arange(self.gains.shape[1])
        decibels = np.stack([np.interp(place, blocks, row) for row in self.gains])
        factors: np.ndarray = (10 ** (decibels / 20)).astype(np.float32)
        return factors


def curve(samples: np.ndarray, target: float, rate: int) -> Curve:
    """The `Curve` of a whole recording, shape (channels, samples)."""
    powers = Powers(len(samples), rate)
    powers.push(samples)
    return Curve(follow(powers.flush()), target, rate)


def past_gain(samples: np.ndarray, target: float, rate: int, begun: bool = False) -> np.ndarray:
    """The gain of every sample of a recording that a stream knows at that time, float32 (channels, samples).

    Args:
        samples: shape (channels, samples).
        target: as in `Curve`.
        rate: sample rate in Hz.
        begun: whether sound of the same level came before.
    """
    powers = Powers(len(samples), rate)
    powers.push(Above(len(samples), rate).push(samples))
    found = powers.flush()
    levels = follow_past(found, found if begun else None)
    return ramp(np.concatenate([levels[:, :1], levels], axis=1), target, round(BLOCK * rate))[
        :, : samples.shape[1]
    ]


class PastGain:
    """`past_gain` of a recording that comes piece by piece, in bounded memory.

    Args:
        channels: their number.
        target: as in `Curve`.
        rate: sample rate in Hz.
    """

    def __init__(self, channels: int, target: float, rate: int):
        self.channels, self.target, self.size = channels, target, round(BLOCK * rate)
        self.above = Above(channels, rate)
        self.block = np.zeros((channels, self.size), np.float32)
        self.filled = 0  # samples of the block that were heard
        self.powers = np.zeros((channels, 0))  # of the last blocks, as many as the level remembers
        self.levels = np.full((channels, 2), USUAL)  # at the beginning and at the end of the block
        self.gains = ramp(self.levels, target, self.size)

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Take samples, shape (channels, any number), and give their gains, float32 of the same shape."""
        gains, place = np.empty_like(samples, np.float32), 0
        while place < samples.shape[1]:
            count = min(self.size - self.filled, samples.shape[1] - place)
            here, there = slice(self.filled, self.filled + count), slice(place, place + count)
            self.block[:, here], gains[:, there] = samples[:, there], self.gains[:, here]
            self.filled, place = self.filled + count, place + count
            if self.filled == self.size:
                self._next()
        return gains

    def _next(self) -> None:
        """Begin a block."""
        power = np.square(self.above.push(self.block), dtype=np.float64).mean(1, keepdims=True)
        self.powers = np.concatenate([self.powers, power], axis=1)[:, -round(WINDOW / BLOCK) :]
        level = follow_past(np.zeros_like(power), self.powers)
        self.levels = np.concatenate([self.levels[:, 1:], level], axis=1)
        self.gains, self.filled = ramp(self.levels, self.target, self.size), 0


def ramp(levels: np.ndarray, target: float, size: int) -> np.ndarray:
    """Gain of each sample of blocks; through a block it goes from one level to the next one.

    Args:
        levels: one before the blocks, and theirs from `follow_past`, shape (channels, 1 + blocks).
        target: as in `Curve`.
        size: samples of a block.

    Returns:
        Float32, shape (channels, blocks * size).
    """
    share = (np.arange(size) + 1) / size
    decibels = levels[:, :-1, None] + share * np.diff(levels, axis=1)[..., None]
    factors = 10 ** ((target + LOUDER - decibels) / 20)
    return factors.reshape(len(levels), -1).astype(np.float32)
