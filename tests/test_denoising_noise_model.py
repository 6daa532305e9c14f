"""The noise model: its gradient, and what it pulls where."""

from __future__ import annotations

import pytest
import torch

from speechjem.denoising.noise_model import NoiseModel
from speechjem.features.fbank import Fbank, FbankConfig


@pytest.fixture
def fbank():
    fbank = Fbank(FbankConfig(bins=6)).double()
    fbank.mean.copy_(torch.linspace(-3, 1, 6))
    fbank.std.copy_(torch.linspace(1, 2, 6))
    return fbank


def frames(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_the_gradient_is_that_of_the_energy(fbank):
    observation = NoiseModel(fbank, frames(2, 30, 6), 1.7)
    x = frames(2, 30, 6, seed=1).requires_grad_()
    (expected,) = torch.autograd.grad(observation.energy(x).sum(), x)
    torch.testing.assert_close(observation.gradient(x), expected)


def test_speech_and_noise_that_add_up_to_what_was_observed_cost_nothing(fbank):
    clean, noise = frames(1, 31, 6), frames(1, 1, 6, seed=1)
    clean[:, 10:] = -40  # so that the median over time is the noise
    noisy = torch.log(fbank.denormalise(clean).exp() + fbank.denormalise(noise).exp())
    observation = NoiseModel(fbank, fbank.normalise(noisy), 1.0)
    torch.testing.assert_close(
        observation.energy(clean), torch.zeros(1, dtype=torch.float64), atol=1e-9, rtol=0
    )


def test_loud_speech_is_held_and_what_is_far_below_the_noise_is_free(fbank):
    noisy = torch.zeros(1, 101, 6, dtype=torch.float64)
    noisy[:, :20] = 8.0  # speech, far above the noise of all other frames
    observation = NoiseModel(fbank, noisy, 1.0)
    lowered = noisy.clone()
    lowered[:, :20] -= 1.0
    lowered[:, 20:] -= 10.0
    gradient = observation.gradient(lowered)
    assert (gradient[:, :20] < -0.9 * fbank.std**2).all()  # back up, at nearly full weight
    assert (gradient[:, 20:].abs() < 1e-3).all()


def test_no_weight_is_no_force(fbank):
    assert not NoiseModel(fbank, frames(1, 20, 6), 0.0).gradient(frames(1, 20, 6, seed=1)).any()
