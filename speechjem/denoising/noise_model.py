"""How speech and noise add up in log-mel frames: the energy of the noisy frames given the clean ones.

    y = log(exp(x) + exp(n)) + e,    e ~ N(0, 1 / weight)    (all in log-mel, x clean, y noisy, n noise)

Powers add because speech and noise are uncorrelated; e stands for their cross term. The noise is taken to be
stationary over the frames at hand. The model of the sum is that of vector Taylor series (Moreno et al.,
ICASSP 1996); joining it to a prior of speech is posterior sampling, with deep priors in arXiv 2309.10450.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..features.fbank import Fbank


class NoiseModel:
    """Energy of noisy frames given clean ones.

    Args:
        fbank: of which the frames are.
        noisy: normalised noisy frames, shape (batch, frames, bins). Their median over time in each bin is the
            estimate of the noise: most bins are without speech most of the time.
        weight: of the squared error; 0 leaves everything to the prior.
    """

    def __init__(self, fbank: Fbank, noisy: Tensor, weight: float):
        self.fbank = fbank
        self.noisy = fbank.denormalise(noisy)
        self.noise = self.noisy.median(dim=1, keepdim=True).values
        self.weight = weight

    def energy(self, x: Tensor) -> Tensor:
        """weight / 2 * squared error, shape (batch,), for frames x, shape (batch, frames, bins)."""
        expected = torch.logaddexp(self.fbank.denormalise(x), self.noise)
        return 0.5 * self.weight * (self.noisy - expected).square().sum((1, 2))

    def gradient(self, x: Tensor) -> Tensor:
        """Gradient of the energy with respect to x, shape of x."""
        clean = self.fbank.denormalise(x)
        expected = torch.logaddexp(clean, self.noise)
        share = torch.sigmoid(clean - self.noise)  # of speech in the power
        return self.weight * self.fbank.std * share * (expected - self.noisy)
