"""The sliding network: lengths, shifts, what a logit sees, and its convolutions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from speechjem.energy.tdnn import NetworkConfig, SlidingTDNN, product, splice, unsplice

TINY = NetworkConfig(bins=5, classes=3, channels=6, hidden=8, dilations=(1, 2))


def network(config: NetworkConfig = TINY) -> SlidingTDNN:
    torch.manual_seed(0)
    return SlidingTDNN(config).double()


def frames(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@settings(max_examples=30)
@given(st.integers(1, 200), st.integers(1, 3))
def test_there_is_a_logit_vector_for_every_frame(count: int, batch: int) -> None:
    assert network()(frames(batch, count, 5)).shape == (batch, count, 3)


@pytest.mark.parametrize(
    "config",
    [
        TINY,
        NetworkConfig(bins=2, classes=2, channels=8, hidden=8),
        NetworkConfig(bins=2, classes=2, channels=4, hidden=4, dilations=()),
    ],
    ids=["tiny", "default dilations", "no block"],
)
def test_a_frame_reaches_the_logits_within_the_context_and_no_other(config: NetworkConfig) -> None:
    middle = 2 * config.context
    x = frames(1, 2 * middle + 1, config.bins)
    perturbed = x.clone()
    perturbed[0, middle] += 1.0
    model = network(config)
    changed = (model(perturbed) - model(x)).abs().amax(-1)[0] > 0
    expected = range(middle - config.context, middle + config.context + 1)
    assert changed.nonzero()[:, 0].tolist() == list(expected)


def test_the_default_context_is_64_frames() -> None:
    assert NetworkConfig().context == 64


@pytest.mark.parametrize("shift", [1, 3, 10])
def test_a_shifted_input_gives_shifted_logits_away_from_the_edges(shift: int) -> None:
    x = frames(2, 40, 5)
    model = network()
    whole, later = model(x), model(x[:, shift:])
    context = TINY.context
    torch.testing.assert_close(later[:, context:], whole[:, shift + context :], atol=1e-12, rtol=0)


def test_the_recordings_of_a_batch_do_not_touch_each_other() -> None:
    x = frames(3, 20, 5)
    model = network()
    torch.testing.assert_close(model(x)[1:2], model(x[1:2]), atol=1e-12, rtol=0)


@pytest.mark.parametrize("dilation", [1, 2, 7])
@pytest.mark.parametrize("count", [1, 2, 5, 30])
def test_splice_and_linear_are_a_dilated_convolution(dilation: int, count: int) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(3 * 5, 4).double()
    x = frames(2, count, 5)
    kernel = torch.stack(linear.weight.split(5, dim=1), dim=-1)  # (out, in, tap)
    expected = F.conv1d(x.mT, kernel, linear.bias, padding=dilation, dilation=dilation).mT
    torch.testing.assert_close(linear(splice(x, dilation)), expected, atol=1e-12, rtol=0)


def test_the_default_size_is_between_one_and_three_million_parameters() -> None:
    assert 1e6 < sum(p.numel() for p in SlidingTDNN(NetworkConfig()).parameters()) < 3e6


def test_the_gradient_has_no_jumps_along_a_line() -> None:
    """Between points ten times as dense it changes ten times less; at a kink it would change as much."""
    model = network()
    start, direction = frames(2, 1, 6, 5)

    def largest_change(points: int) -> float:
        line = torch.linspace(-3, 3, points, dtype=torch.float64)[:, None, None]
        x = (start + line * direction).requires_grad_()
        (gradient,) = torch.autograd.grad(model(x).sum(), x)
        return gradient.diff(dim=0).abs().max().item()

    assert largest_change(301) / largest_change(3001) == pytest.approx(10, rel=0.05)


def test_an_untrained_network_keeps_the_scale_of_normalised_frames() -> None:
    logits = network(NetworkConfig())(frames(1, 200, 80))
    assert 0.01 < logits.std().item() < 3


@pytest.mark.parametrize(("more", "phase"), [(0, 0), (7, 0), (7, 6)])
def test_the_written_out_gradient_is_that_of_automatic_differentiation(more, phase):
    torch.manual_seed(0)
    config = NetworkConfig(bins=5, classes=4, channels=6, hidden=8, dilations=(1, 3), fine=7, phase=phase)
    network = SlidingTDNN(config).double()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.4)
    x = torch.randn(2, 9, 5 + more, dtype=torch.float64, requires_grad=True)
    frames = torch.randn(2, 9, 12 + phase, dtype=torch.float64)
    observed = network.observe(frames).detach() if more else None
    energy = -network(x, observed).logsumexp(-1).sum()
    (expected,) = torch.autograd.grad(energy, x)
    gradient, logits = network.energy_gradient(x, observed)
    torch.testing.assert_close(gradient, expected)
    torch.testing.assert_close(logits, network(x, observed))


def test_unsplice_is_the_adjoint_of_splice():
    torch.manual_seed(0)
    x, y = torch.randn(2, 7, 3, dtype=torch.float64), torch.randn(2, 7, 9, dtype=torch.float64)
    for dilation in (1, 2, 6):
        torch.testing.assert_close((splice(x, dilation) * y).sum(), (x * unsplice(y, dilation)).sum())


def test_a_new_network_does_not_hear_fine_structure_and_phase_yet():
    network = SlidingTDNN(NetworkConfig(fine=9, phase=6))
    x = torch.randn(1, 20, 95)
    torch.testing.assert_close(network(x[..., :89], network.observe(x)), network(x[..., :80]))


@pytest.mark.parametrize("frames", [1, 63, 64, 65, 200])
def test_products_in_inference_are_those_of_training(frames):
    x, weight, bias = torch.randn(2, frames, 7), torch.randn(5, 7), torch.randn(5)
    with torch.no_grad():
        padded = product(x, weight, bias)
    torch.testing.assert_close(padded, x @ weight.T + bias)
