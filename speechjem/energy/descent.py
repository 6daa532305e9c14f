"""Trained descent: a few steps along the energy whose sizes, and whose energy, are trained to denoise.

    x_{k+1} = x_k - a_k * grad E(x_k),    k = 0 .. K-1

a_k is a positive size for every value of a frame, learnt with the network by differentiating through the
steps. It is an extension of ours, not part of ST-JEM: the network stays a phone classifier, and the steps
stay Langevin steps without noise on its energy. The sizes that are learnt may be too large for the energy to
fall: then it gives the direction of a map, not a minimum. Unrolled energy minimisation has been trained
before, for instance by Belanger et al., "End-to-end learning for structured prediction energy networks"
(2017).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UsageError
from .jem import JEM


@dataclass(frozen=True)
class DescentConfig:
    """Attributes: steps: number of trained steps K."""

    steps: int = 3


class Descent(nn.Module):
    """The trained step sizes."""

    def __init__(self, config: DescentConfig, bins: int, fine: int = 0, turn: int = 0):
        super().__init__()
        self.config = config
        self.bins, self.fine, self.turn = bins, fine, turn
        # A choice: the gradient of an untrained energy is small, and AdamW moves a logarithm slowly, so that
        # sizes that start small are learnt late. The first step is to go furthest.
        start = torch.full((config.steps, bins), math.log(2.0))
        start[0] = math.log(3.0)
        self.log_size = nn.Parameter(start)
        if fine > 0:
            self.log_fine_size = nn.Parameter(torch.zeros(config.steps, fine + turn))

    def check(self, count: int) -> None:
        """Raise UsageError unless this many steps were trained."""
        if not 1 <= count <= self.config.steps:
            raise UsageError(
                f"This model was trained for 1 to {self.config.steps} descent steps, not {count}; "
                "choose a number in that range, or the mode 'prior'."
            )

    def steps(
        self,
        jem: JEM,
        x: Tensor,
        count: int,
        scale: float = 1.0,
        noise: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (x_{k+1}, logits of x_k) for each step, differentiable when gradients are enabled.

        Args:
            jem: the energy model.
            x: noisy frames, shape (batch, frames, bins), or as they are observed, with fine structure and
                phase relations, (batch, frames, bins + fine + phase). The phase relations do not move: what
                is yielded has bins + fine + turn values, and the turn starts at 0.
            count: number of steps, at most the number that was trained.
            scale: multiplies every step size.
            noise: standard deviation of normal noise added after each step; 0 in training.
            generator: source of that noise, on the device of x.

        Raises:
            UsageError: if more steps are asked for than were trained.
        """
        self.check(count)
        # The envelope alone is followed as in ST-JEM; with more, E is that given the noisy frames.
        observed = x.shape[-1] > self.bins
        conditions = [jem.network.observe(x)] if observed else []
        x = x[..., : self.bins + self.fine]
        if observed and self.turn > 0:
            x = F.pad(x, (0, self.turn))
        sizes = torch.cat([self.log_size, self.log_fine_size], 1) if observed else self.log_size
        for size in sizes[:count].exp():
            gradient, logits = jem.step(x, *conditions)
            x = x - scale * size * gradient
            if noise > 0:
                x = x + noise * torch.randn(x.shape, device=x.device, generator=generator)
            yield x, logits
