"""How long phones last, and how the pitch moves over them, by rule.

The rules are old ones of speech synthesis: phones have the durations of the training speech, those at the
end of a phrase are lengthened (Klatt, "Linguistic uses of segmental duration in English", JASA 1976); the
pitch falls over a phrase, has a bump on accented vowels (Fujisaki and Hirose, 1984), falls at the end of a
statement and rises at the end of a question. Some luck goes into both, so that no two utterances are alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..phones import SILENCE

VOWELS = frozenset("AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW".split())
PAUSE = 0.2  # seconds of silence at the ends of a text and at its punctuation
SHORTEST = 0.03  # seconds
SPREAD = 0.12  # standard deviation of the logarithm of durations
STRESSED = 1.1  # factor on the duration of an accented vowel
FINAL = 1.35  # factor on the last vowel of a phrase and what follows it
# Of the logarithm of the pitch, in standard deviations of the voice:
DECLINATION = 1.4  # from the start of a phrase to its end
ACCENT = 1.0  # height of a bump
LUCK = 0.3  # standard deviation of the height of a bump
FALL, RISE = -0.8, 2.2  # at the end of a statement and of a question
MOST = 3.0
BUMP, ENDING = 0.12, 0.3  # seconds: half of a bump at least, and of the end of a phrase


class Sound(NamedTuple):
    """A phone that is to be said.

    Attributes:
        phone: its name.
        accented: whether the pitch has a bump here.
        question: of a silence, whether the phrase before it is a question.
    """

    phone: str
    accented: bool = False
    question: bool = False


def durations(
    sounds: Sequence[Sound], usual: Sequence[float], rng: np.random.Generator, temperature: float = 1.0
) -> list[float]:
    """Seconds of every phone.

    Args:
        sounds: what is said.
        usual: seconds that each phone takes by itself; silences take `PAUSE` instead.
        rng: of the spread.
        temperature: factor on the spread.
    """
    final = [False] * len(sounds)
    for first, last in _phrases(sounds):
        vowels = [n for n in range(first, last) if sounds[n].phone in VOWELS]
        final[vowels[-1] if vowels else last - 1 : last] = [True] * (last - (vowels or [last - 1])[-1])
    found = []
    for sound, is_final, seconds in zip(sounds, final, usual, strict=True):
        factor = (FINAL if is_final else 1.0) * (STRESSED if sound.accented else 1.0)
        factor *= math.exp(temperature * SPREAD * rng.standard_normal())
        found.append(PAUSE if sound.phone == SILENCE else max(SHORTEST, factor * seconds))
    return found


def contour(
    sounds: Sequence[Sound],
    place: Tensor,
    voiced: Tensor,
    frame_seconds: float,
    rng: np.random.Generator,
    temperature: float = 1.0,
) -> Tensor:
    """Pitch in standard deviations of its logarithm from the voice's mean; its own mean is 0 where voiced.

    Args:
        sounds: what is said.
        place: which of these every frame has, shape (frames,).
        voiced: frames that have a pitch, shape (frames,).
        frame_seconds: distance of two frames.
        rng: of the heights of the accents.
        temperature: factor on their spread.

    Returns:
        Shape (frames,), float32.
    """
    height = np.zeros(len(place))
    for first, last in _phrases(sounds):
        inside = ((place >= first) & (place < last)).numpy().nonzero()[0]
        if len(inside) == 0:
            continue
        time = frame_seconds * (inside - inside[0])
        length = max(time[-1], frame_seconds)
        height[inside] += DECLINATION * (0.5 - time / length)
        question = last < len(sounds) and sounds[last].question
        ending = (1 - (length - time) / min(ENDING, length)).clip(0)
        height[inside] += (RISE if question else FALL) * ending**2
    for n, sound in enumerate(sounds):
        if sound.accented:
            height += (
                ACCENT * (1 + temperature * LUCK * rng.standard_normal()) * _bump(place == n, frame_seconds)
            )
    mean = height[voiced.numpy()].mean() if voiced.any() else 0.0
    return torch.from_numpy((height - mean).clip(-MOST, MOST)).float()


def draw_phones(bigrams: Tensor, silence: int, count: int, rng: np.random.Generator) -> list[int]:
    """A sequence of phones, each drawn by its probability after the one before.

    Args:
        bigrams: rows of probabilities, shape (phones, phones).
        silence: index of the silence, with which the sequence starts.
        count: length of the sequence.
        rng: of the draws.
    """
    probabilities = bigrams.double().cpu().numpy()
    drawn = [silence]
    while len(drawn) < count:
        row = probabilities[drawn[-1]]
        drawn.append(int(rng.choice(len(row), p=row / row.sum())))
    return drawn


def _bump(here: Tensor, frame_seconds: float) -> np.ndarray:
    """A raised cosine of height 1 around the middle of some frames."""
    inside = here.numpy().nonzero()[0]
    half = max(BUMP, 0.5 * frame_seconds * len(inside))
    distance = frame_seconds * np.abs(np.arange(len(here)) - inside.mean()) if len(inside) else np.inf
    bump: np.ndarray = 0.5 + 0.5 * np.cos(np.pi * np.minimum(distance / half, 1.0))
    return bump


def _phrases(sounds: Sequence[Sound]) -> list[tuple[int, int]]:
    """First and past-the-last place of the stretches between silences."""
    silent = [-1, *(n for n, s in enumerate(sounds) if s.phone == SILENCE), len(sounds)]
    return [(a + 1, b) for a, b in zip(silent, silent[1:], strict=False) if b > a + 1]
