"""Training on images: ST-JEM as in the paper, and no other loss; `loop` has the loop around it."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ..data import images
from ..data.images import ImageBatches, Images
from ..energy.langevin import uniform
from ..errors import UsageError
from ..models.images import ImageModel, ImageModelConfig
from ..runtime import distributed
from ..runtime.device import choose_device
from . import loop
from .settings import ImageTrainConfig


class ImageTrainer(loop.Trainer[ImageModel]):
    """The state of a training on images, and the losses of one update.

    Args:
        config: settings.
        data: the training images.
        device: to train on.
        workers: processes that draw batches ahead.
    """

    config: ImageTrainConfig

    def __init__(
        self,
        config: ImageTrainConfig,
        data: Images,
        device: torch.device | None = None,
        workers: int = 0,
    ):
        torch.manual_seed(config.seed)
        _, channels, height, width = data.pixels.shape
        if height != width:
            raise UsageError(f"Images must be square, not {height} x {width}.")
        shape = ImageModelConfig(data.classes, channels, height, config.network, config.generate)
        model = ImageModel(shape).to(device or "cpu")
        super().__init__(
            config,
            model,
            ImageBatches(data, config.batch, config.seed, config.augment),
            [torch.optim.AdamW(model.parameters(), config.learning_rate, weight_decay=config.weight_decay)],
            len(data.classes),
            shape.shape,
            uniform(shape.shape),
            workers,
        )

    def _losses(self, batch: tuple[Tensor, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        config = self.config
        x, labels = batch
        sampled = (
            self._sample(self._choose_chains(labels)) if config.energy.weight > 0 else x[:0].to(self.device)
        )
        x, labels = (part.to(self.device, non_blocking=True) for part in (x, labels))
        logits = self.model.jem.logits(torch.cat([x, sampled]))[:, 0]
        real, fake = logits[: len(x)], logits[len(x) :]
        losses = {"loss_classify": config.classify * F.cross_entropy(real, labels)}
        metrics = {
            "accuracy": (real.argmax(1) == labels).float().mean(),
            "max_logit": logits.abs().max(),
        }
        if config.energy.weight > 0:
            loss, more = self._objective(real, labels, fake)
            losses["loss_energy"] = config.energy.weight * loss
            metrics |= more
        return losses, metrics


def train(
    config: ImageTrainConfig,
    out: Path,
    *,
    data: Images | None = None,
    device: str = "cpu",
    workers: int = 0,
    progress: bool = True,
) -> ImageModel:
    """Train, or resume a training that was interrupted; see `loop.run` for what it writes.

    Args:
        config: settings; `config.data` says which images, and how many of them are held out.
        out: folder of this training; if it has a checkpoint of the same settings, training resumes.
        data: images already in memory, instead of `config.data`.
        device: to train on, as in `device.choose_device`; several processes take a GPU each.
        workers: processes that draw batches ahead.
        progress: draw a live progress bar on stderr.

    Returns:
        The averaged model.

    Raises:
        DivergenceError: when training cannot go on; checkpoint.pt is the last good state.
        KeyboardInterrupt: when a signal ended it early.
        InputError: if the images cannot be read.
    """
    place = distributed.own_device(choose_device(device))
    if data is None:
        data = images.read(config.data.name, config.data.folder, "train")
    count = len(data) - config.data.held_out
    learnt, held_out = data[:count], data[count:]

    def validate(model: ImageModel) -> dict[str, float]:
        return {"held_out_accuracy": accuracy(model, held_out)}

    return loop.run(
        lambda: ImageTrainer(config, learnt, place, workers),
        out,
        validate if len(held_out) else None,
        place,
        progress,
    )


def accuracy(model: ImageModel, data: Images) -> float:
    """Share of images whose most probable class is the right one."""
    device = next(model.parameters()).device
    predicted = model.logits(images.to_unit(data.pixels).to(device)).argmax(1).cpu().numpy()
    return float((predicted == data.labels).mean())
