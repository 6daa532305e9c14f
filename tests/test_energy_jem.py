"""The energies of a classifier: their relations, their additivity, their gradient."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from speechjem.energy.jem import JEM, energy_of
from speechjem.energy.tdnn import NetworkConfig, SlidingTDNN

CONFIG = NetworkConfig(bins=4, classes=3, channels=6, hidden=8, dilations=(1, 2))
REACH = 2 * CONFIG.context  # of a gradient: from the frame to a logit and back


def model() -> JEM:
    torch.manual_seed(0)
    jem = JEM(SlidingTDNN(CONFIG)).double()
    with torch.no_grad():
        for parameter in jem.parameters():  # away from linearity
            parameter.mul_(2)
    return jem


def frames(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def labels(*shape: int) -> Tensor:
    return torch.randint(CONFIG.classes, shape, generator=torch.Generator().manual_seed(2))


# Relations


def test_log_posterior_is_a_logit_less_the_logsumexp_of_all() -> None:
    jem, x = model(), frames(1, 5, 4)
    f = jem.logits(x)[0].tolist()
    expected = [[value - math.log(sum(math.exp(v) for v in row)) for value in row] for row in f]
    torch.testing.assert_close(jem.log_posterior(x)[0], torch.tensor(expected, dtype=torch.float64))


def test_joint_energy_is_the_negative_sum_of_the_labels_logits() -> None:
    jem, x, y = model(), frames(2, 5, 4), labels(2, 5)
    f = jem.logits(x)
    expected = [-sum(f[b, t, y[b, t]].item() for t in range(5)) for b in range(2)]
    assert jem.energy(x, y).tolist() == pytest.approx(expected)


def test_energy_of_the_frames_sums_the_joint_energies_over_all_labellings() -> None:
    """exp(-E(x)) = sum over y of exp(-E(x, y)), with all 27 labellings of three frames."""
    jem, x = model(), frames(1, 3, 4)
    total = sum(
        math.exp(-jem.energy(x, torch.tensor([y])).item()) for y in itertools.product(range(3), repeat=3)
    )
    assert jem.energy(x).item() == pytest.approx(-math.log(total))


def test_the_posterior_is_the_ratio_of_the_joint_and_the_marginal() -> None:
    """log p(y | x) = E(x) - E(x, y)."""
    jem, x, y = model(), frames(2, 5, 4), labels(2, 5)
    posterior = jem.log_posterior(x).gather(-1, y[..., None]).sum((1, 2))
    torch.testing.assert_close(jem.energy(x) - jem.energy(x, y), posterior)


def test_energy_of_logits_is_that_of_the_frames_they_belong_to() -> None:
    f = torch.tensor([[[0.0, math.log(3)], [math.log(2), math.log(5)]]])
    assert energy_of(f).item() == pytest.approx(-math.log(4) - math.log(7))
    assert energy_of(f, torch.tensor([[1, 0]])).item() == pytest.approx(-math.log(3) - math.log(2))


def test_large_logits_do_not_overflow() -> None:
    assert energy_of(torch.full((1, 2, 3), 1000.0)).item() == pytest.approx(-2 * (1000 + math.log(3)))


# Extensivity


def test_a_constant_signal_of_twice_the_length_adds_the_energy_of_what_is_added() -> None:
    jem = model()
    constant = frames(1, 1, 4)
    once, twice, thrice = (jem.energy(constant.expand(1, n, 4)).item() for n in (20, 40, 60))
    assert twice - once == pytest.approx(thrice - twice, rel=1e-10)
    frame = -jem.logits(constant.expand(1, 40, 4))[0, 20].logsumexp(-1).item()
    assert twice - once == pytest.approx(20 * frame, rel=1e-10)


def test_energies_of_events_further_apart_than_the_context_add_up() -> None:
    jem = model()
    background = frames(1, 60, 4)
    first, second, both = background.clone(), background.clone(), background.clone()
    first[:, 20:23] += 1.0
    second[:, 23 + REACH : 26 + REACH] -= 1.0
    both[:, 20:23] += 1.0
    both[:, 23 + REACH : 26 + REACH] -= 1.0
    e, e1, e2, e12 = (jem.energy(x).item() for x in (background, first, second, both))
    assert e12 - e == pytest.approx((e1 - e) + (e2 - e), rel=1e-10)
    assert abs(e1 - e) > 0.01
    assert abs(e2 - e) > 0.01


def test_the_gradient_at_a_frame_does_not_depend_on_the_length_of_the_recording() -> None:
    jem, x = model(), frames(1, 80, 4)
    short = jem.gradient(x[:, :40])
    torch.testing.assert_close(short[:, : 40 - REACH], jem.gradient(x)[:, : 40 - REACH], atol=1e-12, rtol=0)


# Gradient


@pytest.mark.parametrize("conditional", [False, True])
def test_the_gradient_is_that_of_central_differences(conditional: bool) -> None:
    jem, x = model(), frames(2, 6, 4)
    y = labels(2, 6) if conditional else None
    step = 1e-5
    expected = torch.zeros_like(x)
    for place in itertools.product(*map(range, x.shape)):
        up, down = x.clone(), x.clone()
        up[place] += step
        down[place] -= step
        expected[place] = (jem.energy(up, y).sum() - jem.energy(down, y).sum()).item() / (2 * step)
    torch.testing.assert_close(jem.gradient(x, y), expected, atol=1e-8, rtol=1e-7)


def test_the_gradient_comes_without_a_graph_and_leaves_the_weights_and_the_frames_alone() -> None:
    jem, x = model(), frames(1, 6, 4)
    gradient = jem.gradient(x)
    assert not gradient.requires_grad
    assert not x.requires_grad
    assert all(parameter.grad is None for parameter in jem.parameters())


def test_the_gradient_needs_no_gradient_mode() -> None:
    jem, x = model(), frames(1, 6, 4)
    with torch.no_grad():
        found = jem.gradient(x)
    torch.testing.assert_close(found, jem.gradient(x))


def test_the_gradient_of_a_quadratic_energy_is_linear() -> None:
    """A network whose only logit is -x^2 / 2 has the energy x^2 / 2, whose gradient is x."""

    class Quadratic(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return -x.square().sum(-1, keepdim=True) / 2

    x = frames(2, 5, 4)
    torch.testing.assert_close(JEM(Quadratic()).gradient(x), x)


# Precision


@pytest.mark.parametrize(
    ("given", "found"),
    [(torch.bfloat16, torch.float32), (torch.float32, torch.float32), (torch.float64, torch.float64)],
)
def test_logits_have_at_least_single_precision(given: torch.dtype, found: torch.dtype) -> None:
    assert model().to(given).logits(frames(1, 5, 4).to(given)).dtype == found


def test_guidance_adds_the_gradient_of_the_posterior():
    torch.manual_seed(0)
    jem = JEM(torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.SiLU(), torch.nn.Linear(5, 4)).double())
    x = torch.randn(2, 6, 3, dtype=torch.float64)
    labels = torch.randint(4, (2, 6))
    y = x.clone().requires_grad_()
    posterior = jem.log_posterior(y).gather(-1, labels[..., None]).sum()
    (wanted,) = torch.autograd.grad(jem.energy(y, labels).sum() - 1.5 * posterior, y)
    torch.testing.assert_close(jem.gradient(x, labels, guidance=1.5), wanted)
