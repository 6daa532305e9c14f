"""The two ways from phones to frames: trained steps along E(x | pitch, voice), or SGLD as in ST-JEM."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from scipy.fft import dct, idct
from torch import Tensor

from ..energy.jem import energy_of
from ..energy.langevin import LangevinConfig, sgld
from ..features.inversion import ENVELOPE
from ..models.speaking import HIGHEST, LOWEST
from ..models.speech import SpeechModel
from ..phones import SILENCE
from .voice import Voice

MODES = ("descent", "sgld")
AFTER = LangevinConfig(steps=4, step_size=0.1)  # the sampler after the trained steps, as in their training
CANDIDATES = 50  # voices, of which the one is taken whose pitch is nearest to the one asked for
FALL = 0.3  # share by which the pitch of the mode sgld falls over an utterance
# What is trained by squared errors moves less than speech does: with the pitch, the voice and the durations
# of 6 recordings held out, the deviation of the frames over time is .81 of the real one, and that of the
# cepstra from the fourth on .68.
SLOPES = 4  # cepstra that are the slope of the spectrum rather than its formants
VARIANCES = (1.1, 1.3)  # factors on the deviations of these and of the rest
LIVELINESS = (0.08, 0.35)  # of voices: least and most deviation of the logarithm of the pitch


class Chains(NamedTuple):
    """Some chains of frames.

    Attributes:
        states: their start, and where they are after every step, shape (count, frames, bins).
        energy: of a state, shape (count,).
        pitch: of what they become, in Hz, 0 where unvoiced, shape (count, frames); None if not known.
    """

    states: Iterator[Tensor]
    energy: Callable[[Tensor], Tensor]
    pitch: Tensor | None = None


def sampled(
    model: SpeechModel,
    start: Tensor,
    labels: Tensor | None,
    guidance: float,
    sampler: LangevinConfig,
    generator: torch.Generator,
    pitch: Tensor | None = None,
) -> Chains:
    """SGLD on E(x, y), or on E(x).

    Args:
        model: whose energy it is.
        start: shape (count, frames, bins).
        labels: phone of every frame, shape (count, frames), or None.
        guidance: weight of log p(y | x).
        sampler: its settings.
        generator: of its noise, on the device of the start.
        pitch: as `Chains` has it.
    """

    def states() -> Iterator[Tensor]:
        yield start
        yield from sgld(lambda x: model.jem.gradient(x, labels, guidance), start, sampler, generator)

    return Chains(states(), lambda x: model.jem.energy(x, labels), pitch)


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

    return Chains(states(), lambda x: energy_of(model.jem.logits(x, told)), pitch)


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


def falling(pitch: float, voiced: Tensor) -> Tensor:
    """A pitch in Hz that falls as in a statement, 0 where unvoiced, shape (frames,).

    A third in 3 s, by the declination of 't Hart, Collier and Cohen, A Perceptual Study of Intonation (1990),
    -11 / (t + 1.5) semitones a second.

    Args:
        pitch: its mean in Hz.
        voiced: shape (frames,).
    """
    line = pitch * (1 + FALL * (0.5 - torch.linspace(0, 1, len(voiced), device=voiced.device)))
    return torch.where(voiced, line, 0.0)


def as_lively_as_speech(log_mel: np.ndarray) -> np.ndarray:
    """Frames whose cepstra move more, about as much as those of speech, around the same mean.

    The global variance of Toda and Tokuda, IEICE Transactions E90-D, 2007, as a filter after generation.

    Args:
        log_mel: what the trained steps made, not normalised, shape (..., frames, bins).
    """
    cepstra = dct(log_mel, norm="ortho", axis=-1)
    mean = cepstra.mean(-2, keepdims=True)
    factor = np.ones(log_mel.shape[-1], log_mel.dtype)
    factor[1:SLOPES], factor[SLOPES:ENVELOPE] = VARIANCES
    lively: np.ndarray = idct(mean + factor * (cepstra - mean), norm="ortho", axis=-1)
    return lively
