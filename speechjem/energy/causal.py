"""A network for streams, whose steps need nothing of what is still to come.

A logit of frame t hears the frames before it and t itself, so its energies are those of each frame given
the past, E(x) = sum_t E_t(x_t | x_<t), as in an autoregressive model. A step moves each frame down the energy
of its own frame,

    x_t <- x_t - a * d E_t / d x_t,

as a pseudo-likelihood (Besag, The Statistician 24, 1975) takes each variable given the others. The terms
d E_s / d x_t of later frames s > t, which the gradient of the sum would have, are left out: these need the
future. What is left runs through the taps of frame t only, so that a step can be taken frame by frame, with
the activations of the last frames as its state, and costs less than the full gradient.

What was observed does not move, so there one frame more than the current one may be heard.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .tdnn import Block, NetworkConfig, SlidingTDNN, Slope, _silent_linear, product, pulled_back, sloped

AHEAD = 1  # frames of what was observed that are heard beyond the current one


def past(x: Tensor, dilation: int) -> Tensor:
    """Put the frames t - 2 d, t - d and t side by side, zeros before the start.

    Shape: (batch, frames, channels) -> (batch, frames, 3 * channels).
    """
    padded = F.pad(x, (0, 0, 2 * dilation, 0))
    frames = x.shape[1]
    return torch.cat([padded[:, :frames], padded[:, dilation : dilation + frames], x], dim=-1)


def now(weight: Tensor) -> Tensor:
    """The part of a matrix over `past` frames that is multiplied with frame t."""
    return weight[:, -(weight.shape[1] // 3) :]


class CausalTDNN(SlidingTDNN):
    """`SlidingTDNN` over the past, with the gradient of each frame's own energy.

    The fine structure and the turn are those of frame t only; the envelope is heard with its past.

    Shape: as `SlidingTDNN`.
    """

    def __init__(self, config: NetworkConfig):
        super().__init__(config)
        if config.fine > 0:
            self.fine = _silent_linear(config.fine + config.turn, config.channels)

    def observe(self, frames: Tensor) -> Tensor:
        """As `SlidingTDNN.observe`; a frame hears the one before, itself and the `AHEAD` one after."""
        return super().observe(frames)

    def tell(self, conditions: Tensor) -> Tensor:
        """As `SlidingTDNN.tell`, without the future."""
        return product(past(conditions, 1), self.told.weight)

    def _enter(self, x: Tensor, observed: Tensor | None) -> Tensor:
        bins = self.config.bins
        hidden = product(past(x[..., :bins], 1), self.input.weight, self.input.bias)
        if x.shape[-1] > bins:
            hidden = hidden + product(x[..., bins:], self.fine.weight)
        return hidden if observed is None else hidden + observed

    def _through(self, hidden: Tensor) -> tuple[Tensor, list[Tensor]]:
        """What comes out of the last block, and what is inside of all."""
        insides = []
        for block in self._blocks():
            insides.append(product(past(hidden, block.dilation), block.widen.weight, block.widen.bias))
            hidden = hidden + product(F.silu(insides[-1]), block.narrow.weight, block.narrow.bias)
        return hidden, insides

    def _blocks(self) -> list[Block]:
        return [cast(Block, block) for block in self.blocks]

    def forward(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        hidden, _ = self._through(self._enter(x, observed))
        return product(F.silu(hidden), self.output.weight, self.output.bias)

    def energy_gradient(
        self, x: Tensor, observed: Tensor | None = None, slope: Slope | None = None
    ) -> tuple[Tensor, Tensor]:
        """Gradient of the energy of each frame with respect to that frame; and the logits.

        It is differentiable, as that of `SlidingTDNN`.

        Args:
            x, observed, slope: as in `SlidingTDNN.energy_gradient`.
        """
        hidden, insides = self._through(self._enter(x, observed))
        logits = product(F.silu(hidden), self.output.weight, self.output.bias)
        down = -logits.softmax(-1) if slope is None else slope(logits).to(logits.dtype)
        gradient = sloped(pulled_back(down, self.output.weight), hidden)
        for block, inside in zip(reversed(self._blocks()), reversed(insides), strict=True):
            back = sloped(pulled_back(gradient, block.narrow.weight), inside)
            gradient = gradient + pulled_back(back, now(block.widen.weight))
        parts = [pulled_back(gradient, now(self.input.weight))]
        if x.shape[-1] > self.config.bins:
            parts.append(pulled_back(gradient, self.fine.weight))
        return torch.cat(parts, -1), logits


def network_of(config: NetworkConfig) -> nn.Module:
    """The network of a configuration."""
    return CausalTDNN(config) if config.causal else SlidingTDNN(config)
