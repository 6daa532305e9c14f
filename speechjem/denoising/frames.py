"""One frame of a stream: what a causal model makes of the next samples, with all it remembers as its state.

    frame, state --window, DFT--> what is observed of the frame before
                 --K descent steps on its own energy--> gain and turn of its spectrum
                 --inverse DFT, window--> enhanced, next state

It is `path.SignalPath` with `energy.causal`, for one frame a channel. The products are so small that to call
torch for each would cost more than they do, so this is NumPy; and the same lines, called with the values of
`tracing`, write the ONNX graph. What does not depend on the steps is merged into one product. The transforms
are matrix products, too: ONNX has no inverse of half a spectrum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from ..energy.tdnn import Block
    from ..models.speech import SpeechModel


@singledispatch
def split(x: Any, sizes: Sequence[int]) -> list[Any]:
    """Columns of an array, so many each."""
    ends = np.cumsum(sizes).tolist()
    return [x[:, end - size : end] for end, size in zip(ends, sizes, strict=True)]


@singledispatch
def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return 0.5 + 0.5 * np.tanh(0.5 * x)  # which no x takes beyond the largest number


@singledispatch
def softmax(x: Any) -> Any:
    """exp(x), with a sum of 1 over the columns."""
    shares = np.exp(x - x.max(1, keepdims=True))
    return shares / shares.sum(1, keepdims=True)


def beside(parts: Sequence[Any]) -> Any:
    """Columns of several arrays in one."""
    return np.concatenate(parts, axis=1)


@dataclass(frozen=True)
class _Block:
    """The matrices of a residual block, inputs first.

    Attributes:
        before: of the frames t - 2 d and t - d.
        now: of frame t.
        inside, bias: of the hidden layer, and of what comes out.
        narrow: of what comes out.
    """

    before: np.ndarray
    now: np.ndarray
    inside: np.ndarray
    narrow: np.ndarray
    bias: np.ndarray

    @classmethod
    def of(cls, block: Block) -> _Block:
        widen, narrow = block.widen, array(block.narrow.weight.T)
        before, now = np.split(array(widen.weight.T), [2 * narrow.shape[1]])
        return cls(before, now, array(widen.bias), narrow, array(block.narrow.bias))


class Frames:
    """The frame before the newest one, enhanced.

    A frame that has samples which are not finite is none: the end of a recording, or a gap.

    Args:
        model: causal, with fine structure, turn and phase relations.
        steps: how many are taken.

    Attributes:
        size: of the state, a channel.
    """

    def __init__(self, model: SpeechModel, steps: int):
        from ..features.phase import LAGS
        from ..models.speech import RESAMPLED

        fbank, network, sizes = model.fbank, model.jem.network, model.config.network
        self.steps, self.bins, self.fine, self.width = steps, sizes.bins, sizes.fine, sizes.channels
        self.low = sizes.phase // (2 * len(LAGS))
        self.analysis, self.synthesis = _transforms(array(fbank.window))
        edge = int(RESAMPLED * self.fine)
        self.mirrored = np.array([*range(edge), *range(edge - 1, 2 * edge - self.fine - 1, -1)])
        self.floor, self.filters, self.spread = fbank.config.floor, array(fbank.filters), array(fbank.spread)
        self.mean, self.scale, self.half = array(fbank.mean), 1 / array(fbank.std), 0.5 * array(fbank.std)
        self.envelope, now = np.split(array(network.input.weight.T), [2 * self.bins])
        self.enter, self.enter_bias = _below(now, array(network.fine.weight.T)), array(network.input.bias)
        # Frame t enters as it was observed; what the steps move it by comes on top.
        observed, seen = array(network.observed.weight.T).copy(), self.bins + self.fine
        observed[seen : 2 * seen] += self.enter[:seen]
        self.observe = _below(observed, _turned(array(network.observed_phase.weight.T), model))
        self.blocks = [_Block.of(block) for block in network.blocks]
        self.output, self.output_bias = array(network.output.weight.T), array(network.output.bias)
        self.downhill = -self.output.T
        logs = [array(model.descent.log_size), array(model.descent.log_fine_size)]
        self.sizes = np.exp(beside(logs))[:steps]
        # Begun; two frames; the phases of three; a spectrum; the envelopes of two frames a step; and for each
        # block and step what entered it 2 d frames ago, later, d frames ago, and later.
        self.parts = [1, seen, seen, 6 * self.low, 2 * self.fine, steps * self.bins, steps * self.bins]
        for dilation in sizes.dilations:
            self.parts += 2 * [steps * self.width, (dilation - 1) * steps * self.width]
        self.size = sum(self.parts)

    def __call__(self, frame: Any, state: Any, scale: Any, strength: Any) -> tuple[Any, Any, Any]:
        """Hear a frame, and enhance the one before.

        Args:
            frame: the newest samples, of nominal level, shape (channels, window).
            state: shape (channels, size), zeros at the start.
            scale: factor on the size of each step, shape (steps,).
            strength: as in `Denoiser`, shape (1,).

        Returns:
            The windowed frame before, shape (channels, window), to be added where it came from and divided by
            the sum of the squared windows; the mean of its gain in the upper half of the band, shape
            (channels, 1); the next state.
        """
        begun, two_before, before, units, spectrum, *kept = split(state, self.parts)
        newest, heard, observed, unit = self._hear(frame)
        inputs = [two_before, before, observed, *self._relations(units, unit)]
        base = beside(inputs) @ self.observe + self.enter_bias
        sizes = scale.reshape(-1, 1) * self.sizes
        delta, entered = self._descend(base, before[:, : self.bins], self._past(kept), sizes)
        enhanced, gain = self._apply(spectrum, delta, strength)
        common = [np.maximum(begun, heard), before, observed, units[:, 2 * self.low :], unit, newest]
        # Before the first frame there is nothing, as beyond the edges of a whole recording.
        width = [self.steps * self.bins, *len(self.blocks) * [self.steps * self.width]]
        envelope, *through = split(beside(entered) * begun, width)
        after = [kept[1], envelope]
        for number, hidden in enumerate(through):
            after += [*kept[3 + 4 * number : 6 + 4 * number], hidden]
        return enhanced, gain, beside([*common, *after])

    def _hear(self, frame: Any) -> tuple[Any, Any, Any, Any]:
        """The spectrum of a frame, whether it is one, its log-mel and fine structure, its phases."""
        spectrum = frame @ self.analysis
        # The sine of 0 Hz is 0, and so is its product with any samples but those that are not finite.
        absent = np.isnan(spectrum[:, self.fine : self.fine + 1])
        spectrum, heard = np.where(absent, _ZERO, spectrum), np.where(absent, _ZERO, _ONE)
        squares = spectrum * spectrum
        power = (squares[:, : self.fine] + squares[:, self.fine :])[:, self.mirrored]
        log_mel = np.log(power @ self.filters + self.floor)
        power = power + self.floor
        fine = 0.5 * (np.log(power) - log_mel @ self.spread)
        observed = beside([(log_mel - self.mean) * self.scale, fine]) * heard
        size = np.sqrt(power[:, : self.low])
        units = [spectrum[:, n : n + self.low] / size for n in (0, self.fine)]
        return spectrum, heard, observed, beside(units)

    def _relations(self, units: Any, newest: Any) -> list[Any]:
        """Phases of frame t, the last but one, times the conjugate ones of its neighbours (`LAGS`)."""
        *others, real, imaginary = split(units, 6 * [self.low])
        others += split(newest, 2 * [self.low])
        real, imaginary = beside(3 * [real]), beside(3 * [imaginary])
        there, aside = beside(others[0::2]), beside(others[1::2])
        return [real * there + imaginary * aside, imaginary * there - real * aside]

    def _past(self, kept: Sequence[Any]) -> list[list[Any]]:
        """What frames before t bring to the first layer and to the inside of each block, for every step."""
        products = [_rows(kept[:2], self.bins) @ self.envelope]
        for number, block in enumerate(self.blocks):
            taps = _rows([kept[2 + 4 * number], kept[4 + 4 * number]], self.width)
            products.append(taps @ block.before + block.inside)
        sizes = [self.width] + [len(block.narrow) for block in self.blocks]
        parts = split(beside(products).reshape(-1, self.steps * sum(sizes)), self.steps * sizes)
        return [parts[n * len(sizes) : (n + 1) * len(sizes)] for n in range(self.steps)]

    def _descend(self, base: Any, envelope: Any, past: list[list[Any]], sizes: Any) -> tuple[Any, list[Any]]:
        """How far all steps together move frame t; and what enters each layer with a past, at every step."""
        delta, entered = None, []
        for step, (first, *insides) in enumerate(past):
            hidden, here = base + first, envelope
            if delta is not None:
                hidden, here = delta @ self.enter + hidden, envelope + delta[:, : self.bins]
            gradient, through = self._gradient(hidden, insides)
            entered.append([here, *through])
            move = gradient * sizes[step : step + 1]
            delta = -move if delta is None else delta - move
        return delta, [part for parts in zip(*entered, strict=True) for part in parts]

    def _gradient(self, hidden: Any, insides: list[Any]) -> tuple[Any, list[Any]]:
        """Gradient of the energy of frame t, and what enters each block."""
        through, values = [], []
        for block, inside in zip(self.blocks, insides, strict=True):
            through.append(hidden)
            values.append(hidden @ block.now + inside)
            hidden = hidden + (values[-1] * sigmoid(values[-1]) @ block.narrow + block.bias)
        logits = hidden * sigmoid(hidden) @ self.output + self.output_bias
        *slopes, last = _slopes(
            [*values, hidden], [len(block.narrow) for block in self.blocks] + [self.width]
        )
        gradient = softmax(logits) @ self.downhill * last
        for block, slope in zip(reversed(self.blocks), reversed(slopes), strict=True):
            gradient = gradient @ block.narrow.T * slope @ block.now.T + gradient
        return gradient @ self.enter.T, through

    def _apply(self, spectrum: Any, delta: Any, strength: Any) -> tuple[Any, Any]:
        """`SpeechModel.gain` and `turned`, and the inverse DFT."""
        envelope, fine, turn = split(delta, [self.bins, self.fine, self.fine])
        gain = np.exp(np.clip(self.half * envelope, -12, 0)) @ self.spread
        gain = np.minimum(gain * np.exp(np.clip(fine, -3, 3)), 1) ** strength
        angle = strength * turn
        here, aside = gain * np.cos(angle), gain * np.sin(angle)
        real, imaginary = split(spectrum, 2 * [self.fine])
        turned = beside([real * here - imaginary * aside, real * aside + imaginary * here])
        return turned @ self.synthesis, gain[:, self.fine // 2 :].mean(1, keepdims=True)


def array(tensor: Tensor) -> np.ndarray:
    """Weights as NumPy's, in single precision."""
    return np.ascontiguousarray(tensor.detach().cpu().float().numpy())


def _below(*parts: np.ndarray) -> np.ndarray:
    return np.concatenate(parts)


def _rows(parts: Sequence[Any], size: int) -> Any:
    """Parts that hold so many values for every step, one step a row and side by side."""
    return beside([part.reshape(-1, size) for part in parts])


def _slopes(values: list[Any], sizes: list[int]) -> list[Any]:
    """Slopes of x * sigmoid(x) at values of different sizes, in one go."""
    x = beside(values)
    gate = sigmoid(x)
    return split(gate * (1 + x - x * gate), sizes)


def _transforms(window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The windowed DFT, (samples, real and imaginary parts), and its windowed inverse."""
    waves = np.fft.rfft(np.eye(len(window))) * window[:, None]
    units = np.eye(len(window) // 2 + 1)
    inverse = _below(np.fft.irfft(units), np.fft.irfft(1j * units)) * window
    return beside([waves.real, waves.imag]).astype(np.float32), inverse.astype(np.float32)


def _turned(weight: np.ndarray, model: SpeechModel) -> np.ndarray:
    """Weights of phase relations that are not yet turned by what their frequency turns them."""
    from ..features.phase import LAGS

    config = model.config.fbank
    parts = weight.reshape(len(LAGS), 2, -1, weight.shape[1])
    cycle = np.array(LAGS)[:, None] * config.hop * np.arange(parts.shape[2]) % config.window
    turned = (parts[:, 0] + 1j * parts[:, 1]) * np.exp(2j * np.pi / config.window * cycle)[..., None]
    return _below(*turned.real, *turned.imag).astype(np.float32)


_ZERO, _ONE = np.zeros(1, np.float32), np.ones(1, np.float32)
