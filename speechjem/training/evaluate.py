"""Measure a model on held-out speech: phone accuracy, confusion, and enhancement."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from .. import metrics
from ..data import mixing
from ..data.dataset import Corpus
from ..data.recording import Recording
from ..denoising.denoiser import Denoiser
from ..models.speech import SpeechModel


def confusion(model: SpeechModel, recordings: Sequence[Recording]) -> np.ndarray:
    """Frame confusion counts of aligned recordings, true phones in rows, shape (phones, phones)."""
    classes = len(model.config.phones)
    counts = np.zeros((classes, classes), np.int64)
    for recording in recordings:
        if recording.alignment is None:
            continue
        predicted = log_posterior(model, recording.waveform).argmax(-1)
        times = np.arange(len(predicted)) * model.fbank.frame_seconds
        np.add.at(counts, (recording.alignment.at(times), predicted), 1)
    return counts


def accuracy(counts: np.ndarray) -> float:
    """Share of frames on the diagonal of a confusion matrix."""
    return float(np.trace(counts) / counts.sum())


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error (Naeini et al., AAAI 2015).

    The distance of mean confidence and accuracy in bins of confidence, weighted by their sizes.

    Args:
        confidence: largest posterior of every example, shape (n,).
        right: whether its class is right, shape (n,).
        bins: number of bins of equal width.
    """
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    return float(np.abs(np.bincount(place, confidence - right)).sum() / len(right))


@torch.no_grad()
def log_posterior(model: SpeechModel, samples: np.ndarray) -> np.ndarray:
    """log p(phone | frame) of a waveform at the model's rate, shape (frames, phones)."""
    waveform = torch.from_numpy(np.asarray(samples, np.float32))[None].to(model.fbank.mean.device)
    x = model.fbank.levelled(waveform)
    return model.jem.log_posterior(x)[0].cpu().numpy()


class DenoiseProbe:
    """A small fixed set of held-out speech in held-out noise, on which a training is validated.

    Args:
        corpus: where speech and noise are taken from.
        count: number of excerpts of 4 s.
        seed: of the choice; SNRs are 0, 5, 10 and 15 dB in turn.
    """

    def __init__(self, corpus: Corpus, count: int = 16, seed: int = 0):
        rng = np.random.default_rng(seed)
        rate = corpus.sample_rate
        self.pairs = []
        for number in range(count):
            recording = corpus.held_out[int(rng.integers(len(corpus.held_out)))]
            clean = recording.waveform[: 4 * rate]
            if corpus.held_out_noise:
                source = corpus.held_out_noise[number % len(corpus.held_out_noise)]
                noise = np.resize(source.samples, len(clean)).astype(np.float32)
            else:
                noise = mixing.coloured(rng, len(clean))
            noise /= max(mixing.rms(noise), 1e-6)
            self.pairs.append(mixing.mix(clean, noise, recording.rms, 5.0 * (number % 4), -26.0))
        self.sample_rate = rate

    def scores(self, model: SpeechModel, mode: str = "descent") -> dict[str, float]:
        """Mean improvement of PESQ-WB, ESTOI and SI-SDR (dB) by a mode of the denoiser, where it is."""
        denoiser = Denoiser(model, mode=mode, device=model.fbank.mean.device.type)
        gains: dict[str, list[float]] = {"pesq_wb": [], "estoi": [], "si_sdr": []}
        for clean, noisy in self.pairs:
            before = metrics.score(clean, noisy, self.sample_rate)
            after = metrics.score(clean, denoiser(noisy, self.sample_rate), self.sample_rate)
            for name, values in gains.items():
                low, high = before[name].value, after[name].value
                if low is not None and high is not None:
                    values.append(high - low)
        return {f"{name}_gain": float(np.mean(values)) for name, values in gains.items() if values}
