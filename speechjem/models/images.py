"""A model of images: a wide residual network read as an energy model, which classifies and generates."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from ..energy.jem import JEM
from ..energy.langevin import LangevinConfig, sample, uniform
from ..energy.wide_resnet import WideResNet, WideResNetConfig

BATCH = 256  # images at once where no gradient is kept


@dataclass(frozen=True)
class ImageModelConfig:
    """Everything the config.json of a model of images holds.

    Attributes:
        classes: names of the logits, in order.
        channels: 1 for grey, 3 for red, green and blue.
        size: height and width of an image.
        network: size of the network.
        generate: sampler settings of generation.
    """

    classes: tuple[str, ...]
    channels: int = 3
    size: int = 32
    network: WideResNetConfig = field(default_factory=WideResNetConfig)
    generate: LangevinConfig = field(default_factory=LangevinConfig)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of an image: channels, height and width."""
        return self.channels, self.size, self.size


class ImageModel(nn.Module):
    """One network that classifies and generates images, whose values are -1 to 1.

    Attributes:
        jem: logits, posteriors and energies; an image is one frame, (batch, channels, height, width) in, and
            (batch, 1, classes) out.
    """

    def __init__(self, config: ImageModelConfig):
        super().__init__()
        self.config = config
        # A CPU multiplies the matrices of a convolution faster when the channels lie side by side.
        network = WideResNet(config.network, config.channels, len(config.classes))
        self.jem = JEM(network.to(memory_format=torch.channels_last))

    @torch.no_grad()
    def logits(self, x: Tensor) -> Tensor:
        """Logits of many images, shape (batch, classes)."""
        return torch.cat([self.jem.logits(part)[:, 0] for part in x.split(BATCH)])

    def generate(
        self, labels: Tensor, generator: torch.Generator, settings: LangevinConfig | None = None
    ) -> Tensor:
        """Images of the classes asked for: SGLD on E(x, y) from U(-1, 1).

        Args:
            labels: class of each, shape (count,).
            generator: source of all randomness, on the device of the model.
            settings: of the sampler; the model's own by default.

        Returns:
            Shape (count, channels, height, width), in -1 to 1.
        """
        made = []
        for part in labels.to(generator.device).split(BATCH):
            gradient = partial(self.jem.gradient, labels=part[:, None])
            start = uniform(self.config.shape)(part, generator)
            made.append(sample(gradient, start, settings or self.config.generate, generator))
        return torch.cat(made).clamp(-1, 1)
