"""Trained steps for generation: from the phones' means, a voice and a pitch to frames of natural speech.

    x_0     = means of the phones + offset of the voice + harmonics of the pitch
    x_{k+1} = x_k - a_k * grad E(x_k | x_0, harmonics, voicing, pitch, offset),    k = 0 .. K-1

An extension of ours, as `descent` is: the sizes a_k are trained with the network, to the frames that real
speech has for the same phones, pitch and voice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.fft import dct, idct
from torch import Tensor, nn

from ..energy.descent import DescentConfig
from ..energy.jem import JEM
from ..features.fbank import Fbank
from ..phones import PHONES, VOICED

LOWEST, HIGHEST = 55.0, 480.0  # Hz; outside, pitch counts as these
PITCHES = 192  # between them, evenly on a scale of logarithms
ENVELOPE = 14  # cepstra of the log-mel that are its envelope
MIDDLE, WIDTH = math.log(140.0), 0.4  # about the mean and the deviation of log pitch over speakers
SMOOTH = 41  # frames over which a pitch contour is smoothed
FEWEST = 10  # voices, below which nothing is known of how they differ


def told_size(bins: int) -> int:
    """Number of values a frame that `Speaking.conditions` has."""
    return 3 * bins + 2


class Speaking(nn.Module):
    """The trained step sizes, the harmonics of every pitch, and how voices differ.

    A voice is its offset, and the mean and the standard deviation of the logarithm of its pitch in Hz.

    Args:
        config: number of steps.
        bins: size of a frame.
        phones: names of the classes.

    Attributes:
        harmonics: normalised frames of pulses without their envelope, shape (pitches, bins).
        voiced: which phones are voiced, shape (phones,).
        voice: the mean of voices, shape (bins + 2,).
        voice_factor: lower triangular L, their covariance is L L', shape (bins + 2, bins + 2).
        bigrams: probability of each phone after each, shape (phones, phones).
    """

    harmonics: Tensor
    voiced: Tensor
    voice: Tensor
    voice_factor: Tensor
    bigrams: Tensor

    def __init__(self, config: DescentConfig, bins: int, phones: Sequence[str] = PHONES):
        super().__init__()
        self.register_buffer("voiced", torch.tensor([p in VOICED for p in phones]), persistent=False)
        self.config = config
        self.log_size = nn.Parameter(torch.full((config.steps, bins), math.log(2.0)))
        self.register_buffer("harmonics", torch.zeros(PITCHES, bins))
        self.register_buffer("voice", F.pad(torch.tensor([MIDDLE, 0.2]), (bins, 0)))
        self.register_buffer("voice_factor", torch.zeros(bins + 2, bins + 2))
        uniform = torch.full((len(phones), len(phones)), 1 / max(1, len(phones) - 1))
        uniform.diagonal().fill_(0.0)
        self.register_buffer("bigrams", uniform)

    def _load_from_state_dict(self, state: dict[str, Tensor], prefix: str, *others: Any) -> None:
        # Models of before the bigrams were stored.
        state.setdefault(f"{prefix}bigrams", self.bigrams)
        super()._load_from_state_dict(state, prefix, *others)

    @torch.no_grad()
    def measure(self, fbank: Fbank) -> None:
        """Set the harmonics to those that a filterbank shows, on the CPU."""
        rate, samples = fbank.config.sample_rate, 8 * fbank.config.window
        time = np.arange(samples) / rate
        for row, pitch in enumerate(np.geomspace(LOWEST, HIGHEST, PITCHES)):
            number = np.arange(1, int(0.99 * rate / 2 / pitch) + 1)[:, None]
            # Schroeder phases: the power is spread over time.
            pulses = np.cos(2 * np.pi * pitch * number * time + np.pi * number**2 / len(number)).sum(0)
            pulses *= 10 ** (fbank.config.level / 20) / np.sqrt(np.mean(pulses**2))
            log_mel = fbank.log_mel(fbank.stft(torch.tensor(pulses, dtype=torch.float32)))
            cepstra = dct(log_mel[3:-3].mean(0).numpy(), norm="ortho")
            cepstra[:ENVELOPE] = 0
            self.harmonics[row] = torch.from_numpy(idct(cepstra, norm="ortho")) / fbank.std

    def measure_voices(self, voices: Tensor) -> None:
        """Set the Gaussian of voices from those of some recordings (`voice_of`), shape (count, bins + 2).

        If there are too few, all voices stay the mean one.
        """
        if len(voices) < FEWEST:
            return
        deviations = voices.double() - voices.double().mean(0)
        covariance = deviations.T @ deviations / len(voices) + 1e-4 * torch.eye(voices.shape[1])
        self.voice.copy_(voices.mean(0))
        self.voice_factor.copy_(torch.linalg.cholesky(covariance))

    def measure_bigrams(self, utterances: Iterable[Tensor]) -> None:
        """Set the probabilities of phones after each other.

        Args:
            utterances: the phone of every frame of each, shape (frames,).
        """
        counts = torch.zeros_like(self.bigrams)
        for labels in utterances:
            phones = labels.to(counts.device).unique_consecutive()
            counts.index_put_((phones[:-1], phones[1:]), counts.new_ones(()), accumulate=True)
        self.bigrams.copy_(_probabilities(counts))

    def draw_voices(self, count: int, generator: torch.Generator, temperature: float = 1.0) -> Tensor:
        """Voices, shape (count, bins + 2).

        Args:
            count: their number.
            generator: source of the deviations, on the CPU.
            temperature: factor on the deviations; 0 gives the mean voice.
        """
        deviations = torch.randn((count, len(self.voice)), generator=generator).to(self.voice.device)
        return self.voice + temperature * deviations @ self.voice_factor.T

    def comb(self, pitch: Tensor) -> Tensor:
        """Harmonics of a pitch in Hz, shape (..., bins); nothing where it is 0.

        Args:
            pitch: shape (...).
        """
        place = (pitch.clamp(LOWEST, HIGHEST) / LOWEST).log() / math.log(HIGHEST / LOWEST) * (PITCHES - 1)
        below = place.long().clamp(0, PITCHES - 2)
        share = (place - below)[..., None]
        comb = torch.lerp(self.harmonics[below], self.harmonics[below + 1], share)
        return comb * (pitch > 0)[..., None]

    def conditions(
        self, means: Tensor, pitch: Tensor, offset: Tensor, speech: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Where the steps start, and what the energy is told.

        Args:
            means: of the phones over time (`starts.Starts.path`), shape (batch, frames, bins).
            pitch: in Hz, 0 where unvoiced, shape (batch, frames).
            offset: of the voice from the means, shape (batch, bins).
            speech: frames that are no silence, shape (batch, frames).

        Returns:
            x_0, shape (batch, frames, bins), and the conditions, (batch, frames, told_size(bins)).
        """
        comb, voiced = self.comb(pitch), (pitch > 0)[..., None].to(means.dtype)
        of_voice = offset[:, None].expand_as(means)
        x = means + speech[..., None] * of_voice + comb
        height = ((pitch.clamp(LOWEST, HIGHEST).log() - MIDDLE) / WIDTH)[..., None] * voiced
        return x, torch.cat([x, comb, voiced, height, of_voice], -1)

    def steps(self, jem: JEM, x: Tensor, told: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (x_{k+1}, logits of x_k) for each step, differentiable when gradients are enabled.

        Args:
            jem: the energy model.
            x: where they start, shape (batch, frames, bins).
            told: the network's `tell` of the conditions, shape (batch, frames, channels).
        """
        for size in self.log_size.exp():
            gradient, logits = jem.step(x, told)
            x = x - size * gradient
            yield x, logits


def _probabilities(counts: Tensor) -> Tensor:
    """Rows that sum to 1, of counts, shape (n, n); where nothing was counted, all others are as probable."""
    unknown = counts.sum(1, keepdim=True) == 0
    counts = torch.where(unknown, 1 - torch.eye(len(counts), device=counts.device), counts)
    return counts / counts.sum(1, keepdim=True)


def voice_offset(x: Tensor, means: Tensor, speech: Tensor) -> Tensor:
    """Mean deviation of frames of speech from the phones' means, shape (batch, bins); 0 without speech.

    Args:
        x, means: shape (batch, frames, bins).
        speech: shape (batch, frames).
    """
    weight = speech[..., None].to(x.dtype)
    return ((x - means) * weight).sum(1) / weight.sum(1).clamp_min(1)


def voice_of(x: Tensor, means: Tensor, speech: Tensor, pitch: Tensor) -> Tensor | None:
    """The voice of a recording (`Speaking`), shape (bins + 2,); None if nothing of it is voiced.

    Args:
        x, means: shape (frames, bins).
        speech: shape (frames,).
        pitch: in Hz, 0 where unvoiced, shape (frames,).
    """
    height = pitch[pitch > 0].log()
    if len(height) < 2:
        return None
    offset = voice_offset(x[None], means[None], speech[None])[0]
    return torch.cat([offset, height.mean()[None], height.std()[None]])


def smooth_contour(pitch: Tensor, voiced: Tensor) -> Tensor:
    """A contour without its details, and over the gaps of the voicing, in Hz; 0 where it is not voiced.

    Args:
        pitch: in Hz, 0 where unvoiced, shape (batch, frames).
        voiced: where the result shall be, shape (batch, frames).
    """
    known = (pitch > 0).to(pitch.dtype)
    window = torch.hann_window(SMOOTH + 2, periodic=False, device=pitch.device)[1:-1][None, None]
    rows = torch.stack([known * pitch.clamp_min(1).log(), known], 1).flatten(0, 1)[:, None]
    total, weight = F.conv1d(rows, window, padding=SMOOTH // 2).reshape(len(pitch), 2, -1).unbind(1)
    near = weight > 1e-3
    return torch.where(near & voiced, (total / weight.clamp_min(1e-3)).exp(), 0.0)
