"""Networks that give a logit vector for every frame."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class NetworkConfig:
    """Size of a sliding time-delay network.

    Attributes:
        bins: size of an input frame.
        classes: number of logits a frame.
        channels: width of the residual stream.
        hidden: width inside a block.
        dilations: one residual block each; a block sees the frames t - d, t and t + d.
    """

    bins: int = 80
    classes: int = 40
    channels: int = 256
    hidden: int = 384
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32)

    @property
    def context(self) -> int:
        """Frames on either side that a logit depends on."""
        return 1 + sum(self.dilations)


def splice(x: Tensor, dilation: int) -> Tensor:
    """Put the frames t - d, t and t + d side by side, zeros beyond the ends.

    Shape: (batch, frames, channels) -> (batch, frames, 3 * channels). A `Linear` over the result is
    a dilated convolution; as one matrix product it runs several times faster on a CPU than `Conv1d`.
    """
    padded = F.pad(x, (0, 0, dilation, dilation))
    frames = x.shape[1]
    return torch.cat([padded[:, :frames], x, padded[:, 2 * dilation :]], dim=-1)


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
        return x + self.narrow(F.silu(self.widen(splice(x, self.dilation))))


class SlidingTDNN(nn.Module):
    """Time-delay network (Waibel et al. 1989) that slides over a recording of any length.

    It has no normalisation layers and a smooth activation, because its gradient with respect to the
    input is what denoising and generation follow.

    Shape: (batch, frames, bins) -> (batch, frames, classes).
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

    def forward(self, x: Tensor) -> Tensor:
        x = self.input(splice(x, 1))
        for block in self.blocks:
            x = block(x)
        return self.output(F.silu(x))
