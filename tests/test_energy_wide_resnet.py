"""The network of images: its published size, and what batch normalisation would break."""

import pytest
import torch

from speechjem.energy.jem import JEM
from speechjem.energy.wide_resnet import WideResNet, WideResNetConfig


def test_wrn_28_10_has_the_published_number_of_parameters():
    with torch.device("meta"):
        network = WideResNet(WideResNetConfig(28, 10), 3, 10)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert round(count / 1e6, 1) == 36.5  # table 4 of arXiv 1605.07146


@pytest.mark.parametrize(("depth", "convolutions"), [(10, 7 + 3), (16, 13 + 3), (28, 25 + 3)])
def test_the_depth_counts_convolutions_and_the_output(depth, convolutions):
    network = WideResNet(WideResNetConfig(depth, 2), 3, 10)
    found = [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert len(found) == convolutions  # three of them are the shortcuts


@pytest.mark.parametrize(("channels", "size", "classes"), [(1, 8, 10), (1, 28, 10), (3, 32, 100)])
def test_an_image_is_one_frame(channels, size, classes):
    jem = JEM(WideResNet(WideResNetConfig(10, 1), channels, classes))
    x = torch.randn(3, channels, size, size)
    labels = torch.tensor([[0], [1], [2]])
    logits = jem.logits(x)
    assert logits.shape == (3, 1, classes)
    torch.testing.assert_close(jem.energy(x), -logits[:, 0].logsumexp(1))
    torch.testing.assert_close(jem.energy(x, labels), -logits[[0, 1, 2], 0, [0, 1, 2]])


def test_the_gradient_is_that_of_finite_differences():
    torch.manual_seed(0)
    jem = JEM(WideResNet(WideResNetConfig(10, 1), 1, 4).double())
    x, direction = torch.randn(2, 2, 1, 8, 8, dtype=torch.float64)
    labels, step = torch.tensor([[1], [3]]), 1e-6
    slope = (jem.energy(x + step * direction, labels) - jem.energy(x - step * direction, labels)) / (2 * step)
    torch.testing.assert_close(
        (jem.gradient(x, labels) * direction).sum((1, 2, 3)), slope, rtol=1e-5, atol=1e-8
    )


def test_the_energy_of_an_image_does_not_depend_on_its_batch():
    jem = JEM(WideResNet(WideResNetConfig(10, 1), 3, 10))
    x = torch.randn(5, 3, 16, 16)
    torch.testing.assert_close(jem.energy(x)[:2], jem.energy(x[:2]))


@pytest.mark.parametrize("depth", [10, 28])
def test_activations_keep_their_scale_without_normalisation(depth):
    torch.manual_seed(0)
    network = WideResNet(WideResNetConfig(depth, 2), 3, 10)
    scale = network.blocks(network.input(torch.randn(8, 3, 32, 32))).std().item()
    assert 0.3 < scale < 5


def test_energies_are_compared_in_single_precision():
    jem = JEM(WideResNet(WideResNetConfig(10, 1), 1, 10))
    with torch.autocast("cpu", torch.bfloat16):
        logits = jem.logits(torch.randn(4, 1, 8, 8))
    assert (logits != logits.bfloat16()).any()


@pytest.mark.parametrize(("depth", "width"), [(4, 1), (11, 1), (27, 1), (28, 0)])
def test_an_impossible_size_is_refused(depth, width):
    with pytest.raises(ValueError, match="setting '(depth|width)'"):
        WideResNetConfig(depth, width)
