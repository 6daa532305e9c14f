"""What trains the steps of generation: to arrive at real frames, along an energy that is low there.

Real pitch and voices have details that no rule makes. So they are told exactly at times only.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..energy.langevin import sample
from ..energy.losses import Objective
from ..models.speaking import smooth_contour, voice_offset
from ..models.speech import SpeechModel
from ..phones import SILENCE
from .settings import SpeakConfig

NAMES = ("loss_speak", "loss_speak_classify", "loss_speak_energy")
SMOOTHED = 0.4  # share of excerpts whose pitch is told as a smooth contour
BY_RULE = 0.25  # of those that are told that all voiced phones, and no others, are voiced
NOBODY = 0.1  # of those that are told no voice
INEXACT = 0.15  # standard deviation of a voice that is told from the real one


def losses(
    model: SpeechModel,
    x: Tensor,
    labels: Tensor,
    pitch: Tensor,
    config: SpeakConfig,
    objective: Objective,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """The losses of `NAMES`, weighted among each other.

    Args:
        model: with `speaking`.
        x: normalised frames, shape (batch, frames, bins).
        labels, pitch: of these, the latter in Hz and 0 where unvoiced, shape (batch, frames).
        config: settings.
        objective: one of `losses.OBJECTIVES`.
        generator: on the device of x.
    """
    assert model.speaking is not None
    with torch.autocast(x.device.type, enabled=False):  # half precision would put the pitch off by percents
        start, conditions = _told(model, x, labels, pitch, generator)
    told = model.jem.network.tell(conditions)
    steps = list(model.speaking.steps(model.jem, start, told))
    entropies = [F.cross_entropy(logits.flatten(0, 1), labels.flatten()) for _, logits in steps]
    y = steps[-1][0].float()
    sampled = _sampled(model, y.detach(), told.detach(), config, generator)
    rows = torch.cat([x, sampled])
    logits = model.jem.logits(rows, torch.cat([told, told]))[:, config.stride // 2 :: config.stride]
    real, fake = (part.flatten(0, 1) for part in logits.chunk(2))
    known = labels[:, config.stride // 2 :: config.stride].flatten()
    return {
        "loss_speak": _distance(y, x, config),
        "loss_speak_classify": config.classify * torch.stack(entropies).mean(),
        "loss_speak_energy": config.energy * objective(real, known, fake),
    }


def _distance(y: Tensor, x: Tensor, config: SpeakConfig) -> Tensor:
    error = y - x
    changes = error.diff(dim=1).abs().mean() + error.diff(dim=2).abs().mean()
    spread = _spread(y, x) + _spread(y.diff(dim=2), x.diff(dim=2))
    return error.square().mean() + config.changes * changes + config.spread * spread


def _spread(y: Tensor, x: Tensor) -> Tensor:
    """Squared difference of the standard deviations over time."""
    of_y, of_x = ((z.var(1) + 1e-4).sqrt() for z in (y, x))  # the root of 0 has no slope
    return (of_y - of_x).square().mean()


def _told(
    model: SpeechModel, x: Tensor, labels: Tensor, pitch: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Start and conditions (`Speaking.conditions`) of real frames, some of them inexact."""
    assert model.speaking is not None
    batch, bins = len(x), x.shape[-1]
    luck = torch.rand((3, batch, 1), device=x.device, generator=generator)
    names = model.config.phones
    by_rule = model.speaking.voiced[labels]
    voiced = torch.where(luck[0] < BY_RULE, by_rule, pitch > 0)
    contour = smooth_contour(pitch, voiced)
    pitch = torch.where((luck[0] < BY_RULE) | (luck[1] < SMOOTHED), contour, pitch)
    speech, means = labels != names.index(SILENCE), model.starts.path(labels)
    offset = voice_offset(x, means, speech)
    offset = offset + INEXACT * torch.randn((batch, bins), device=x.device, generator=generator)
    offset = torch.where(luck[2] < NOBODY, 0.0, offset)
    return model.speaking.conditions(means, pitch, offset, speech)


def _sampled(
    model: SpeechModel, x: Tensor, told: Tensor, config: SpeakConfig, generator: torch.Generator
) -> Tensor:
    """Where a sampler of E(x | told) goes from the ends of the trained steps."""

    def gradient(x: Tensor) -> Tensor:
        with torch.no_grad():
            return model.jem.step(x, told)[0].float()

    return sample(gradient, x, config.langevin, generator).float()
