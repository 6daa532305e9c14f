"""The two ways from phones to frames: trained steps along E(x | pitch, voice), or SGLD as in ST-JEM."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ..energy.jem import energy_of
from ..energy.langevin import LangevinConfig, sgld
from ..models.speaking import HIGHEST, LOWEST
from ..models.speech import SpeechModel
from ..phones import SILENCE
from .voice import Voice

MODES = ("descent", "sgld")
AFTER = LangevinConfig(steps=4, step_size=0.1)  # the sampler after the trained steps, as in their training
CANDIDATES = 50  # voices, of which the one is taken whose pitch is nearest to the one asked for
LIVELINESS = (0.08, 0.35)  # of voices: least and most deviation of the logarithm of the pitch


class Chains(NamedTuple):
    """The start of some chains and their states after every step, and the energy of a state."""

    states: Iterator[Tensor]
    energy: Callable[[Tensor], Tensor]


def sampled(
    model: SpeechModel,
    start: Tensor,
    labels: Tensor | None,
    guidance: float,
    sampler: LangevinConfig,
    generator: torch.Generator,
) -> Chains:
    """SGLD on E(x, y), or on E(x).

    Args:
        model: whose energy it is.
        start: shape (count, frames, bins).
        labels: phone of every frame, shape (count, frames), or None.
        guidance: weight of log p(y | x).
        sampler: its settings.
        generator: of its noise, on the device of the start.
    """

    def states() -> Iterator[Tensor]:
        yield start
        yield from sgld(lambda x: model.jem.gradient(x, labels, guidance), start, sampler, generator)

    return Chains(states(), lambda x: model.jem.energy(x, labels))


def spoken(
    model: SpeechModel,
    labels: Tensor,
    pitch: Tensor,
    voices: Tensor,
    sampler: LangevinConfig,
    generator: torch.Generator,
) -> Chains:
    """The trained steps from the means of phones, a voice and a pitch, then SGLD on the same energy.

    Args:
        model: with `speaking`.
        labels: phone of every frame, shape (frames,).
        pitch: in Hz, 0 where unvoiced, shape (count, frames).
        voices: as `Speaking` has them, shape (count, bins + 2).
        sampler: settings of SGLD.
        generator: of its noise, on the device of the model.
    """
    assert model.speaking is not None
    speaking = model.speaking
    rows = labels.expand(len(pitch), -1)
    speech = rows != model.config.phones.index(SILENCE)
    start, conditions = speaking.conditions(model.starts.path(rows), pitch, voices[:, :-2], speech)
    told = model.jem.network.tell(conditions)

    def states() -> Iterator[Tensor]:
        x = start
        yield x
        for x, _ in speaking.steps(model.jem, start, told):
            yield x
        yield from sgld(lambda x: model.jem.step(x, told)[0], x, sampler, generator)

    return Chains(states(), lambda x: energy_of(model.jem.logits(x, told)))


def voices(
    model: SpeechModel, count: int, seed: int, temperature: float, like: Voice | None, pitch: float | None
) -> Tensor:
    """Voices to speak with, shape (count, bins + 2), on the CPU.

    Args:
        model: with `speaking`.
        count: number of voices.
        seed: of their deviations from the mean one.
        temperature: factor on these.
        like: all are this one.
        pitch: in Hz; None leaves that of the voice.
    """
    assert model.speaking is not None
    mean = model.speaking.voice
    if like is not None:
        liveliness = mean[-1].item() if like.liveliness is None else like.liveliness
        chosen = torch.cat([like.offset, torch.tensor([mean[-2].item(), liveliness])]).repeat(count, 1)
    else:
        generator = torch.Generator().manual_seed(seed)
        # A pitch goes with a vocal tract: of several voices, that with the nearest pitch.
        candidates = CANDIDATES if pitch is not None else 1
        drawn = model.speaking.draw_voices(candidates * count, generator, temperature).cpu()
        drawn = drawn.reshape(count, candidates, -1)
        distance = (drawn[..., -2] - torch.tensor(pitch or 1.0).log()).abs()
        chosen = drawn[torch.arange(count), distance.argmin(1)]
    if pitch is not None:
        chosen[:, -2] = torch.tensor(pitch).log()
    chosen[:, -1] = chosen[:, -1].clamp(*LIVELINESS)
    return chosen


def pitch_of(contours: Tensor, voices: Tensor, voiced: Tensor) -> Tensor:
    """Pitch in Hz, 0 where unvoiced, shape (count, frames).

    Args:
        contours: in standard deviations from the mean (`prosody.contour`), shape (count, frames).
        voices: as `voices` gives them.
        voiced: shape (frames,).
    """
    height = voices[:, -2:-1] + voices[:, -1:] * contours
    return torch.where(voiced, height.exp().clamp(LOWEST, HIGHEST), 0.0)
