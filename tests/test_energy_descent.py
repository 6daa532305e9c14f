"""The trained descent: one step by hand, its gradients, its limits."""

import pytest
import torch
from torch import nn

from speechjem.energy.descent import Descent, DescentConfig
from speechjem.energy.jem import JEM, energy_of
from speechjem.energy.tdnn import NetworkConfig, SlidingTDNN
from speechjem.errors import UsageError


@pytest.fixture
def parts():
    torch.manual_seed(0)
    network = SlidingTDNN(
        NetworkConfig(bins=3, classes=4, channels=5, hidden=6, dilations=(1, 2), fine=2, phase=3)
    )
    for parameter in network.parameters():  # some start at zero
        nn.init.normal_(parameter, std=0.5)
    jem = JEM(network).double()
    descent = Descent(DescentConfig(steps=3), bins=3, fine=2).double()
    return jem, descent, torch.randn(2, 6, 3, dtype=torch.float64)


def last(jem, descent, x, count=3, **settings):
    return list(descent.steps(jem, x, count, **settings))[-1][0]


def test_a_step_is_the_size_times_the_energy_gradient(parts):
    jem, descent, x = parts
    (state, logits), *_ = descent.steps(jem, x, 1, scale=0.5)
    torch.testing.assert_close(state, x - 0.5 * descent.log_size[0].exp() * jem.gradient(x))
    torch.testing.assert_close(logits, jem.logits(x))


def test_with_fine_structure_and_phase_the_energy_is_conditioned_on_the_first_frames(parts):
    jem, descent, _ = parts
    x = torch.randn(2, 6, 8, dtype=torch.float64)
    first, second = (state for state, _ in descent.steps(jem, x, 2))
    sizes = torch.cat([descent.log_size, descent.log_fine_size], 1).exp()
    for number, (before, after) in enumerate([(x[..., :5], first), (first, second)]):
        before = before.detach().requires_grad_()
        energy = energy_of(jem.logits(before, jem.network.observe(x).detach())).sum()
        (gradient,) = torch.autograd.grad(energy, before)
        torch.testing.assert_close(after, before - sizes[number] * gradient)


def test_small_steps_lower_the_energy(parts):
    jem, descent, x = parts
    states = [x, *(state for state, _ in descent.steps(jem, x, 3, scale=0.05))]
    energies = torch.stack([jem.energy(state) for state in states])
    assert (energies.diff(dim=0) < 0).all()


def test_gradients_through_the_steps_against_finite_differences(parts):
    jem, descent, x = parts
    target = torch.zeros_like(x)
    parameters = [descent.log_size, jem.network.input.weight, jem.network.output.bias]

    def loss():
        return (last(jem, descent, x) - target).square().sum()

    gradients = torch.autograd.grad(loss(), parameters)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        place = (0,) * parameter.dim()
        value = parameter.data[place].clone()
        sides = []
        for shift in (1e-5, -1e-5):
            parameter.data[place] = value + shift
            sides.append(loss().item())
        parameter.data[place] = value
        assert gradient[place].item() == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-4, abs=1e-7)


def test_without_gradients_no_graph_is_kept(parts):
    jem, descent, x = parts
    with torch.no_grad():
        states = [state for state, _ in descent.steps(jem, x, 3)]
    torch.testing.assert_close(states[-1].detach(), last(jem, descent, x).detach())
    with pytest.raises(RuntimeError):
        states[-1].sum().backward()


def test_noise_comes_from_the_generator(parts):
    jem, descent, x = parts
    states = [
        last(jem, descent, x, 2, noise=0.1, generator=torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    ]
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])
    quiet = last(jem, descent, x, 1)
    noisy = last(jem, descent, x, 1, noise=0.1, generator=torch.Generator().manual_seed(0))
    assert (noisy - quiet).std().item() == pytest.approx(0.1, rel=0.4)


@pytest.mark.parametrize("count", [0, 4])
def test_only_trained_steps_can_be_taken(parts, count):
    with pytest.raises(UsageError, match="1 to 3"):
        parts[1].check(count)
