"""Networks that give a logit vector for every frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Slope = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class NetworkConfig:
    """Size of a sliding time-delay network.

    Attributes:
        bins: size of an input frame.
        classes: number of logits a frame.
        channels: width of the residual stream.
        hidden: width inside a block.
        dilations: one residual block each; a block sees the frames t - d, t and t + d.
        fine: size of the fine structure that frames may carry beside the envelope; 0 for a network
            that knows the envelope only.
        turn: size of the phase by which the spectrum is turned, beside the fine structure, or 0.
        phase: size of the phase relations (`phase`) that are observed beside the fine structure, or 0.
        told: size of what generation tells the network beside the frames (`speaking`), or 0.
        causal: whether a block sees the frames t - 2 d, t - d and t instead (`causal`), for streams.
    """

    bins: int = 80
    classes: int = 40
    channels: int = 256
    hidden: int = 384
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    fine: int = 0
    turn: int = 0
    phase: int = 0
    told: int = 0
    causal: bool = False

    @property
    def context(self) -> int:
        """Frames on either side that a logit depends on."""
        return (1 + self.causal) * (1 + sum(self.dilations))


def splice(x: Tensor, dilation: int) -> Tensor:
    """Put the frames t - d, t and t + d side by side, zeros beyond the ends.

    Shape: (batch, frames, channels) -> (batch, frames, 3 * channels). A `Linear` over the result is
    a dilated convolution; as one matrix product it runs several times faster on a CPU than `Conv1d`.
    """
    return cast(Tensor, _Splice.apply(x, dilation)) if _learns(x) else _spliced(x, dilation)


def unsplice(x: Tensor, dilation: int) -> Tensor:
    """Adjoint of `splice`: what each frame sent to its neighbours comes back to it and is added up.

    Shape: (batch, frames, 3 * channels) -> (batch, frames, channels).
    """
    return cast(Tensor, _Unsplice.apply(x, dilation)) if _learns(x) else _unspliced(x, dilation)


def sloped(gradient: Tensor, x: Tensor) -> Tensor:
    """A gradient with respect to F.silu(x) as one with respect to x."""
    if _learns(gradient) or _learns(x):
        return cast(Tensor, _Sloped.apply(gradient, x))
    if torch.compiler.is_exporting():
        gate = torch.sigmoid(x)
        return gradient * (gate * (1 + x * (1 - gate)))
    return cast(Tensor, torch.ops.aten.silu_backward(gradient.to(x.dtype), x))


def _learns(x: Tensor) -> bool:
    return x.requires_grad and torch.is_grad_enabled() and not torch.compiler.is_exporting()


def _spliced(x: Tensor, dilation: int) -> Tensor:
    padded = F.pad(x, (0, 0, dilation, dilation))
    frames = x.shape[1]
    return torch.cat([padded[:, :frames], x, padded[:, 2 * dilation :]], dim=-1)


def _unspliced(x: Tensor, dilation: int) -> Tensor:
    before, here, after = x.chunk(3, dim=-1)
    if torch.compiler.is_exporting():
        frames = x.shape[1]
        before = F.pad(before, (0, 0, 0, dilation))[:, dilation:]
        return before + here + F.pad(after, (0, 0, dilation, 0))[:, :frames]
    total = here.clone()
    total[:, :-dilation] += before[:, dilation:]
    total[:, dilation:] += after[:, :-dilation]
    return total


# Autograd's own backward passes of the slices and of the slope go over memory three times as often.
class _Splice(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dilation: int) -> Tensor:
        ctx.dilation = dilation
        return _spliced(x, dilation)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return unsplice(gradient, ctx.dilation), None


class _Unsplice(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dilation: int) -> Tensor:
        ctx.dilation = dilation
        return _unspliced(x, dilation)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return splice(gradient, ctx.dilation), None


class _Sloped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gradient: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(gradient, x)
        return cast(Tensor, torch.ops.aten.silu_backward(gradient.to(x.dtype), x))

    @staticmethod
    def backward(ctx: Any, change: Tensor) -> tuple[Tensor, Tensor]:
        gradient, x = ctx.saved_tensors
        gate = torch.sigmoid(x)
        bent = gate * (1 - gate) * (2 + x * (1 - 2 * gate))  # second derivative of F.silu
        return torch.ops.aten.silu_backward(change, x), change * gradient * bent


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`F.linear`, in inference with the frames padded to a multiple of 64.

    The matrix library makes a new kernel for every number of frames, which for a short recording takes as
    long as the product itself; so there are fewer numbers to make one for.

    Shape: (batch, frames, inputs) -> (batch, frames, outputs).
    """
    if torch.is_grad_enabled() or torch.compiler.is_exporting():
        return F.linear(x, weight, bias)
    frames = x.shape[1]
    return F.linear(F.pad(x, (0, 0, 0, -frames % 64)), weight, bias)[:, :frames]


def pulled_back(x: Tensor, weight: Tensor) -> Tensor:
    """`product` with the transposed weight, for a gradient.

    Shape: (batch, frames, outputs) -> (batch, frames, inputs).
    """
    if torch.is_grad_enabled() or torch.compiler.is_exporting():
        return x @ weight
    frames = x.shape[1]
    return (F.pad(x, (0, 0, 0, -frames % 64)) @ weight)[:, :frames]


class Block(nn.Module):
    """Residual block: splice, widen, smooth activation, narrow."""

    def __init__(self, channels: int, hidden: int, dilation: int, depth: int):
        super().__init__()
        self.dilation = dilation
        self.widen = nn.Linear(3 * channels, hidden)
        self.narrow = nn.Linear(hidden, channels)
        # There are no normalisation layers: start each block small, so that their sum keeps its scale.
        with torch.no_grad():
            self.narrow.weight.mul_(depth**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.narrow(F.silu(self.widen(splice(x, self.dilation))))
        return x + change


class SlidingTDNN(nn.Module):
    """Time-delay network (Waibel et al. 1989) that slides over a recording of any length.

    It has no normalisation layers and a smooth activation, because its gradient with respect to the
    input is what denoising and generation follow.

    A frame is a log-mel envelope, or that, the fine structure of the spectrum and its turn side by side. What
    was observed may be given as well: the noisy frames of a recording and their phase relations.
    Without these, the network is one of the envelope alone.

    Shape: (batch, frames, bins) or (batch, frames, bins + fine + turn) -> (batch, frames, classes).
    """

    def __init__(self, config: NetworkConfig):
        super().__init__()
        self.config = config
        self.input = nn.Linear(3 * config.bins, config.channels)
        self.blocks = nn.ModuleList(
            Block(config.channels, config.hidden, dilation, len(config.dilations))
            for dilation in config.dilations
        )
        self.output = nn.Linear(config.channels, config.classes)
        if config.fine > 0:
            self.fine = _silent_linear(3 * (config.fine + config.turn), config.channels)
            self.observed = _silent_linear(3 * (config.bins + config.fine), config.channels)
        if config.phase > 0:
            self.observed_phase = _silent_linear(config.phase, config.channels)
        if config.told > 0:
            self.told = _silent_linear(3 * config.told, config.channels)

    def observe(self, frames: Tensor) -> Tensor:
        """What `forward` takes as observed, (batch, frames, channels).

        Args:
            frames: shape (batch, frames, bins + fine + phase).
        """
        size = self.config.bins + self.config.fine
        hidden = product(splice(frames[..., :size], 1), self.observed.weight)
        return (
            hidden + product(frames[..., size:], self.observed_phase.weight)
            if self.config.phase > 0
            else hidden
        )

    def tell(self, conditions: Tensor) -> Tensor:
        """What `forward` takes as observed when speech is generated, (batch, frames, channels).

        Args:
            conditions: shape (batch, frames, told).
        """
        return product(splice(conditions, 1), self.told.weight)

    def _enter(self, x: Tensor, observed: Tensor | None) -> Tensor:
        bins = self.config.bins
        hidden = product(splice(x[..., :bins], 1), self.input.weight, self.input.bias)
        if x.shape[-1] > bins:
            hidden = hidden + product(splice(x[..., bins:], 1), self.fine.weight)
        return hidden if observed is None else hidden + observed

    def forward(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        hidden = self._enter(x, observed)
        for block in self.blocks:
            hidden = block(hidden)
        logits: Tensor = self.output(F.silu(hidden))
        return logits

    def energy_gradient(
        self, x: Tensor, observed: Tensor | None = None, slope: Slope | None = None
    ) -> tuple[Tensor, Tensor]:
        """Gradient of an energy, summed over frames, with respect to x; and the logits.

        The backward pass is written out as a forward one, so that it can be exported, streamed, and
        differentiated once more by ordinary backpropagation.

        Args:
            x: shape (batch, frames, bins) or (batch, frames, bins + fine + turn).
            observed: as in `forward`.
            slope: gradient of the energy with respect to the logits; by default that of
                -logsumexp f(x | observed).
        """
        hidden, insides = self._enter(x, observed), []
        blocks = [cast(Block, block) for block in self.blocks]
        for block in blocks:
            insides.append(product(splice(hidden, block.dilation), block.widen.weight, block.widen.bias))
            hidden = hidden + product(F.silu(insides[-1]), block.narrow.weight, block.narrow.bias)
        logits = product(F.silu(hidden), self.output.weight, self.output.bias)
        down = -logits.softmax(-1) if slope is None else slope(logits).to(logits.dtype)
        gradient = sloped(pulled_back(down, self.output.weight), hidden)
        for block, inside in zip(reversed(blocks), reversed(insides), strict=True):
            back = sloped(pulled_back(gradient, block.narrow.weight), inside)
            gradient = gradient + unsplice(pulled_back(back, block.widen.weight), block.dilation)
        parts = [self.input] if x.shape[-1] == self.config.bins else [self.input, self.fine]
        return torch.cat([unsplice(pulled_back(gradient, part.weight), 1) for part in parts], -1), logits


def _silent_linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer without bias that starts at zero, so that it changes nothing until it is trained."""
    layer = nn.Linear(inputs, outputs, bias=False)
    nn.init.zeros_(layer.weight)
    return layer
