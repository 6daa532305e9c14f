"""The steps of a causal model, frame by frame, with what the next frames need as state.

It is `path.SignalPath` with `energy.causal`, written for one frame a channel. These products are so small
that calling torch would cost more than they do, so they are NumPy's. The state never grows.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit
from torch import Tensor

from ..features.phase import LAGS
from ..models.speech import RESAMPLED, SpeechModel

Frames = tuple[np.ndarray, np.ndarray]
"""The gain of a frame's spectrum, and its turn in radians, both (channels, window // 2 + 1)."""


def array(tensor: Tensor) -> np.ndarray:
    """Weights as NumPy's, in single precision."""
    return np.ascontiguousarray(tensor.detach().cpu().float().numpy())


class Observer:
    """What a causal network hears of a spectrum that comes frame by frame, as `SpeechModel.observe`.

    Args:
        model: causal.
        channels: their number.
    """

    def __init__(self, model: SpeechModel, channels: int):
        fbank, network = model.fbank, model.jem.network
        config, sizes = fbank.config, model.config.network
        self.floor, self.size = np.float32(config.floor), sizes.bins + sizes.fine
        self.edge = int(RESAMPLED * (config.window // 2 + 1))
        self.filters, self.spread = array(fbank.filters), array(fbank.spread)
        self.mean, self.scale = array(fbank.mean), 1 / array(fbank.std)
        weights = [network.observed.weight, network.observed_phase.weight] if sizes.phase else []
        self.weight = np.concatenate([array(w.T) for w in weights or [network.observed.weight]])
        self.low = sizes.phase // (2 * len(LAGS))
        bins = np.arange(self.low)
        self.turns = np.stack(
            [np.exp(-2j * np.pi / config.window * (lag * config.hop * bins % config.window)) for lag in LAGS]
        ).astype(np.complex64)
        self.frames = np.zeros((channels, 3, self.size), np.float32)  # the newest comes last
        self.units = np.zeros((channels, 4, self.low), np.complex64)  # of phase, and two frames more

    def push(self, spectrum: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Take the spectrum of a frame, and say what is heard of the frame before it.

        Args:
            spectrum: complex, shape (channels, window // 2 + 1); None when there are no more.

        Returns:
            Its frame, shape (channels, bins + fine), and what the network is given as observed.
        """
        for kept in (self.frames, self.units):
            kept[:, :-1] = kept[:, 1:]
            kept[:, -1] = 0
        if spectrum is not None:
            self._hear(spectrum)
        here = self.units[:, 2]
        parts = [self.frames.reshape(len(here), -1)]
        for lag, turn in zip(LAGS, self.turns, strict=True):
            relation = here * (self.units[:, 2 - lag].conj() * turn)
            parts += [relation.real, relation.imag]
        return self.frames[:, 1], np.concatenate(parts, axis=1) @ self.weight

    def _hear(self, spectrum: np.ndarray) -> None:
        clear = spectrum.copy()
        count = clear.shape[1] - self.edge
        clear[:, self.edge :] = clear[:, self.edge - count : self.edge][:, ::-1]
        power = clear.real**2 + clear.imag**2
        log_mel = np.log(power @ self.filters + self.floor)
        bins = log_mel.shape[1]
        power += self.floor
        self.frames[:, 2, :bins] = (log_mel - self.mean) * self.scale
        self.frames[:, 2, bins:] = 0.5 * (np.log(power) - log_mel @ self.spread)
        self.units[:, 3] = clear[:, : self.low] / np.sqrt(power[:, : self.low])


class Stepper:
    """The steps of a causal model on its energy, frame by frame, as `energy.causal` and `Descent` take them.

    Args:
        model: causal.
        channels: their number.
        steps: how many are taken.
        scale: multiplies every step size.
    """

    def __init__(self, model: SpeechModel, channels: int, steps: int, scale: float = 1.0):
        network, sizes = model.jem.network, model.config.network
        blocks, width = list(network.blocks), sizes.channels
        self.bins, self.turn, self.steps, self.channels = sizes.bins, sizes.turn, steps, channels
        self.envelope, self.enter_bias = array(network.input.weight.T), array(network.input.bias)
        # The rows of frame t come last.
        self.enter = np.concatenate([self.envelope[-self.bins :], array(network.fine.weight.T)])
        widen = [array(block.widen.weight.T) for block in blocks]
        self.before = np.stack([weight[: 2 * width] for weight in widen])
        self.now = [np.ascontiguousarray(weight[2 * width :]) for weight in widen]
        self.narrow = [array(block.narrow.weight.T) for block in blocks]
        self.widen_bias = np.stack([array(block.widen.bias) for block in blocks])[:, None]
        self.narrow_bias = [array(block.narrow.bias) for block in blocks]
        self.output, self.output_bias = array(network.output.weight.T), array(network.output.bias)
        sizes_of_steps = [model.descent.log_size, model.descent.log_fine_size]
        self.sizes = scale * np.exp(np.concatenate([array(size) for size in sizes_of_steps], axis=1))
        # Frames t - 2 d and t - d of what enters each block, for all steps in a row: one product for all.
        self.dilations = np.array(sizes.dilations)
        self.length = 2 * int(self.dilations.max())
        self.kept = np.zeros((len(blocks), self.length, steps * channels, width), np.float32)
        self.envelopes = np.zeros((2, steps * channels, self.bins), np.float32)
        self.time = 0

    def push(self, frame: np.ndarray, observed: np.ndarray) -> np.ndarray:
        """Move the next frame, shape (channels, bins + fine); gives (channels, bins + fine + turn).

        Args:
            frame, observed: as `Observer` gives them.
        """
        blocks, rows = np.arange(len(self.dilations)), self.steps * self.channels
        taps = [self.kept[blocks, (self.time - n * self.dilations) % self.length] for n in (2, 1)]
        inside = np.concatenate(taps, axis=2) @ self.before + self.widen_bias
        entered = self.envelopes.transpose(1, 0, 2).reshape(rows, -1) @ self.envelope[: 2 * self.bins]
        entered += self.enter_bias
        x = np.concatenate([frame, np.zeros((len(frame), self.turn), np.float32)], axis=1)
        self.envelopes[0] = self.envelopes[1]
        for step in range(self.steps):
            row = slice(step * self.channels, (step + 1) * self.channels)
            self.envelopes[1, row] = x[:, : self.bins]
            gradient = self._gradient(x, entered[row] + observed, inside[:, row], row)
            x = x - self.sizes[step] * gradient
        self.time = (self.time + 1) % self.length
        return x

    def _gradient(self, x: np.ndarray, hidden: np.ndarray, inside: np.ndarray, row: slice) -> np.ndarray:
        """Gradient of the energy of this frame.

        Args:
            x: the frame.
            hidden: what the past and the observed frames bring to the first layer.
            inside: what the past brings to the hidden layer of each block; is overwritten.
            row: of the state.
        """
        hidden, slopes = hidden + x @ self.enter, []
        for block, (now, narrow) in enumerate(zip(self.now, self.narrow, strict=True)):
            self.kept[block, self.time, row] = hidden
            active, slope = _silu(inside[block] + hidden @ now)
            slopes.append(slope)
            hidden = hidden + active @ narrow
            hidden += self.narrow_bias[block]
        active, slope = _silu(hidden)
        logits = active @ self.output + self.output_bias
        share = np.exp(logits - logits.max(1, keepdims=True))
        gradient = (-share / share.sum(1, keepdims=True)) @ self.output.T * slope
        for now, narrow, slope in zip(self.now[::-1], self.narrow[::-1], slopes[::-1], strict=True):
            gradient = gradient + (gradient @ narrow.T * slope) @ now.T
        moving: np.ndarray = gradient @ self.enter.T
        return moving


def _silu(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x * sigmoid(x), and its slope."""
    gate = expit(x)
    active = x * gate
    return active, gate + active - active * gate


class Gain:
    """Gain and turn of a spectrum from the movement of its frame: `SpeechModel.gain` and `turned`."""

    def __init__(self, model: SpeechModel, strength: float):
        self.half, self.spread = 0.5 * array(model.fbank.std), array(model.fbank.spread)
        self.strength, self.bins = strength, model.config.network.bins
        self.end = self.bins + model.config.network.fine

    def __call__(self, x: np.ndarray, frame: np.ndarray) -> Frames:
        moved = x[:, : self.end] - frame
        gain = np.exp(np.clip(self.half * moved[:, : self.bins], -12, 0)) @ self.spread
        gain *= np.exp(np.clip(moved[:, self.bins :], -3, 3))
        gain = np.minimum(gain, 1)
        if self.strength != 1:
            gain **= self.strength
        return gain, self.strength * x[:, self.end :]
