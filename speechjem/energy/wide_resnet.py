"""A network of images: the wide residual network of Zagoruyko and Komodakis (BMVC 2016, arXiv 1605.07146)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..runtime.config import check_bounds

SLOPE = 0.2  # of the leaky rectifier below zero, as in ST-JEM
WIDTHS = (16, 32, 64)  # channels of the three groups, times the width


@dataclass(frozen=True)
class WideResNetConfig:
    """Size of a wide residual network WRN-depth-width.

    Attributes:
        depth: 6 n + 4, for n blocks a group.
        width: factor on the channels.
    """

    depth: int = 28
    width: int = 10

    def __post_init__(self) -> None:
        if self.depth < 10 or (self.depth - 4) % 6:
            raise ValueError(f"setting 'depth' must be 10, 16, 22, 28, ..., not {self.depth}")
        check_bounds(self, depth=(10, 1000), width=(1, 100))


class WideBlock(nn.Module):
    """Two 3 x 3 convolutions, each after its activation, beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int, blocks: int):
        super().__init__()
        self.first = _convolution(inputs, outputs, 3, stride)
        self.second = _convolution(outputs, outputs, 3)
        # Without normalisation layers, each block starts small, so that their sum keeps its scale.
        with torch.no_grad():
            self.second.weight.mul_(blocks**-0.5)
        changes = inputs != outputs or stride > 1
        self.shortcut = _convolution(inputs, outputs, 1, stride) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        active = F.leaky_relu(x, SLOPE)
        moved: Tensor = self.second(F.leaky_relu(self.first(active), SLOPE))
        return moved + (x if self.shortcut is None else self.shortcut(active))


class WideResNet(nn.Module):
    """WRN-depth-width with biases and leaky rectifiers, and without batch normalisation.

    Batch normalisation would make the energy of an image depend on the others of its batch.

    Shape: (batch, channels, height, width) -> (batch, 1, classes); to `jem.JEM` an image is one frame.

    Args:
        config: size.
        channels: of an image, 1 or 3.
        classes: number of logits.
    """

    def __init__(self, config: WideResNetConfig, channels: int, classes: int):
        super().__init__()
        count = (config.depth - 4) // 6
        self.input = _convolution(channels, WIDTHS[0], 3)
        blocks, inputs = [], WIDTHS[0]
        for group, width in enumerate(WIDTHS):
            for number in range(count):
                stride = 2 if group > 0 and number == 0 else 1
                blocks.append(WideBlock(inputs, config.width * width, stride, len(WIDTHS) * count))
                inputs = config.width * width
        self.blocks = nn.Sequential(*blocks)
        self.output = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.leaky_relu(self.blocks(self.input(x)), SLOPE)
        # Energies of examples are compared with each other: half precision would be too coarse for them.
        with torch.autocast(x.device.type, enabled=False):
            logits: Tensor = self.output(hidden.to(self.output.weight.dtype).mean((2, 3)))
        return logits.unsqueeze(1)


def _convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size of the image but for the stride, with He's initialisation."""
    layer = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2)
    nn.init.kaiming_normal_(layer.weight, SLOPE)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
