"""A classifier read as an energy model (Grathwohl et al., "Your classifier is secretly an energy based
model and you should treat it like one", ICLR 2020, arXiv 1912.03263).

With logits f(x)_t[c] for every frame t and class c:

    log p(y | x)_t = log softmax f(x)_t
    E(x)           = - sum_t logsumexp_c f(x)_t[c]
    E(x, y)        = - sum_t f(x)_t[y_t]

The energies are extensive: sums over frames, so that the gradient at a frame does not depend on the
length of the recording.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class JEM(nn.Module):
    """Joint energy model around any network that maps (batch, frames, bins) to (batch, frames, classes).

    An image counts as one frame: (batch, channels, height, width) to (batch, 1, classes).
    """

    # A module; one that is followed by `step` has an `energy_gradient` of its own.
    network: Any

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def logits(self, x: Tensor, *conditions: Tensor) -> Tensor:
        """f(x), shape (batch, frames, classes), in at least single precision.

        Conditions, if the network takes any, make it f(x | conditions).
        """
        return _at_least_single(self.network(x, *conditions))

    def log_posterior(self, x: Tensor) -> Tensor:
        """log p(y | x) for every frame, shape (batch, frames, classes)."""
        return self.logits(x).log_softmax(-1)

    def energy(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """E(x), or E(x, y) when labels are given, shape (batch,).

        Args:
            x: normalised frames, shape (batch, frames, bins).
            labels: class of every frame, shape (batch, frames), integers.
        """
        return energy_of(self.logits(x), labels)

    def step(self, x: Tensor, *conditions: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient of E(x | conditions), and the logits, both differentiable; for networks that write it out.

        Args:
            x, conditions: as in `logits`.
        """
        gradient, logits = self.network.energy_gradient(x, *conditions)
        return gradient, _at_least_single(logits)

    def gradient(self, x: Tensor, labels: Tensor | None = None, guidance: float = 0.0) -> Tensor:
        """Gradient of the energy with respect to x, shape of x; no graph is kept.

        Args:
            x, labels: as in `energy`; where a label is -1, a frame follows E(x).
            guidance: adds -guidance * sum_t log p(y_t | x) to E(x, y), which keeps out what other
                classes like as well; needs labels.
        """

        def slope(logits: Tensor) -> Tensor:
            return logit_gradient(logits, labels, guidance)

        if hasattr(self.network, "energy_gradient"):
            with torch.no_grad():
                return _at_least_single(self.network.energy_gradient(x, slope=slope)[0])
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            logits = self.logits(x)
        (gradient,) = torch.autograd.grad(logits, x, slope(logits.detach()))
        return gradient


def _at_least_single(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


def logit_gradient(logits: Tensor, labels: Tensor | None = None, guidance: float = 0.0) -> Tensor:
    """Gradient of the energy of `JEM.gradient` with respect to the logits, shape of the logits.

    Args:
        logits: shape (batch, frames, classes).
        labels: class of every frame, shape (batch, frames) or (batch, 1), -1 where a frame follows E(x); None
            follows E(x) everywhere.
        guidance: as in `JEM.gradient`.
    """
    marginal = _at_least_single(logits).softmax(-1)
    if labels is None:
        return -marginal
    classes = labels.expand(logits.shape[:-1])[..., None]
    wanted = torch.zeros_like(marginal).scatter_(-1, classes.clamp_min(0), 1.0)
    return -torch.where(classes < 0, marginal, (1 + guidance) * wanted - guidance * marginal)


def energy_of(logits: Tensor, labels: Tensor | None = None) -> Tensor:
    """The energy that belongs to logits already computed; shapes as in `JEM.energy`."""
    if labels is None:
        return -logits.logsumexp(-1).sum(-1)
    return -logits.gather(-1, labels.unsqueeze(-1)).squeeze(-1).sum(-1)
