"""Where chains of generation start: a Gaussian for every phone, joined to a path over time.

Class Gaussians instead of N(0, 1) are known from image JEMs (JEM++, Yang and Ji, ICCV 2021; SADA-JEM, Yang
et al., CVPR 2023). The means of a sequence of phones, smoothed over time, are a first guess of the
transitions; the energy does the rest. The deviation of a voice from the means is drawn once for an utterance,
plus a part that changes slowly, for a voice stays the same throughout.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Choices, of which no trial is recorded.
SMOOTH = 7  # frames of the transition from a phone to the next: 70 ms, about the length of a short phone
SLOW = 31  # frames over which the changing part of a voice is correlated: 310 ms, longer than a syllable
CHANGING = 0.5  # share of the variance that changes; the rest is drawn once an utterance
LONG = 8  # frames; in phones shorter than 80 ms the articulation is reduced
FEWEST = 100  # frames of a phone, a few more than bins: with fewer, the statistics of all speech stand in


class Starts(nn.Module):
    """A Gaussian of normalised frames, and a duration, for every phone.

    Args:
        phones: their number.
        bins: size of a frame.

    Attributes:
        mean: shape (phones, bins).
        factor: lower triangular L, the covariance is L L', shape (phones, bins, bins).
        seconds: median duration, shape (phones,).
    """

    mean: Tensor
    factor: Tensor
    seconds: Tensor

    def __init__(self, phones: int, bins: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(phones, bins))
        self.register_buffer("factor", torch.zeros(phones, bins, bins))
        self.factor.diagonal(dim1=1, dim2=2).fill_(1.0)
        self.register_buffer("seconds", torch.full((phones,), 0.1))

    def measure(self, utterances: Sequence[tuple[Tensor, Tensor]], frame_seconds: float) -> None:
        """Set means, covariances and durations from real speech.

        The Gaussians are measured on the middle halves of the phones that are at least as long as the median
        and as `LONG`: shorter ones are reduced. Without any, they stay N(0, 1).

        Args:
            utterances: normalised frames, shape (frames, bins), and the phone of each, shape (frames,).
            frame_seconds: distance of two frames.
        """
        phones, bins = self.mean.shape
        count, total = torch.zeros(phones).double(), torch.zeros(phones, bins).double()
        square = torch.zeros(phones, bins, bins).double()
        durations: list[list[int]] = [[] for _ in range(phones)]
        for _, labels in utterances:
            for phone, _, length in _runs(labels):
                durations[phone].append(length)
        median = [int(np.median(lengths)) if lengths else 0 for lengths in durations]
        for x, labels in utterances:
            steady = torch.zeros_like(labels, dtype=torch.bool)
            for phone, start, length in _runs(labels):
                if length >= max(LONG, median[phone]):
                    steady[start + length // 4 : start + length - length // 4] = True
            for phone in labels[steady].unique().tolist():
                frames = x[steady & (labels == phone)].double()
                count[phone] += len(frames)
                total[phone] += frames.sum(0)
                square[phone] += frames.T @ frames
        for phone, length in enumerate(median):
            if length:
                self.seconds[phone] = frame_seconds * length
        if count.sum() < FEWEST:
            return  # too little to tell: chains start from N(0, 1)
        rare = count < FEWEST
        for statistic in (count, total, square):
            statistic[rare] = statistic.sum(0)
        mean = total / count[:, None]
        covariance = square / count[:, None, None] - mean[:, :, None] * mean[:, None]
        covariance += 1e-3 * torch.eye(bins)  # frames of silence may not vary at all
        self.mean.copy_(mean)
        self.factor.copy_(torch.linalg.cholesky(covariance))

    def draw(
        self, labels: Tensor, count: int, generator: torch.Generator, temperature: float = 1.0
    ) -> Tensor:
        """Starts for chains over a sequence of phones.

        Args:
            labels: phone of every frame, shape (frames,).
            count: number of chains.
            generator: source of the deviations, on the CPU.
            temperature: factor on the deviations; 0 gives the smoothed means.

        Returns:
            Shape (count, frames, bins).
        """
        return self.draw_each(labels.expand(count, -1), generator, temperature)

    def draw_each(self, labels: Tensor, generator: torch.Generator, temperature: float = 1.0) -> Tensor:
        """Starts for chains that each have a sequence of their own.

        Args:
            labels: phone of every frame, shape (count, frames).
            generator, temperature: as in `draw`; the generator may be on the device of the Gaussians.

        Returns:
            Shape (count, frames, bins).
        """
        (count, frames), bins, at = labels.shape, self.mean.shape[1], generator.device
        lasting = torch.randn((count, 1, bins), generator=generator, device=at)
        changing = torch.randn((count, frames + SLOW - 1, bins), generator=generator, device=at)
        window = torch.hann_window(SLOW + 2, periodic=False, device=at)[1:-1]
        changing = _convolved(changing, window / window.square().sum().sqrt())
        deviation = (1 - CHANGING) ** 0.5 * lasting + CHANGING**0.5 * changing
        deviation, labels = deviation.to(self.mean.device), labels.to(self.mean.device)
        path = self.mean[labels]
        if temperature > 0:
            path = path + temperature * torch.einsum("ctij,ctj->cti", self.factor[labels], deviation)
        return _smoothed(path)

    def path(self, labels: Tensor) -> Tensor:
        """Smoothed means of sequences of phones, shape (batch, frames, bins).

        Args:
            labels: shape (batch, frames).
        """
        return _smoothed(self.mean[labels])


def _smoothed(path: Tensor) -> Tensor:
    """Each frame in the window of its neighbours, the ends held, shape (batch, frames, bins)."""
    window = torch.hann_window(SMOOTH + 2, periodic=False, device=path.device)[1:-1]
    edge = SMOOTH // 2
    held = torch.cat([path[:, :1].expand(-1, edge, -1), path, path[:, -1:].expand(-1, edge, -1)], 1)
    return _convolved(held, window / window.sum())


def _runs(labels: Tensor) -> list[tuple[int, int, int]]:
    """Phone, first frame and number of frames of every phone of an utterance."""
    phones, lengths = labels.unique_consecutive(return_counts=True)
    firsts = lengths.cumsum(0) - lengths
    return list(zip(phones.tolist(), firsts.tolist(), lengths.tolist(), strict=True))


def _convolved(x: Tensor, window: Tensor) -> Tensor:
    """x over time with a window, where all of it fits, shape (batch, frames - size + 1, bins)."""
    batch, frames, bins = x.shape
    rows = F.conv1d(x.transpose(1, 2).reshape(batch * bins, 1, frames), window[None, None])
    return rows.reshape(batch, bins, -1).transpose(1, 2)
