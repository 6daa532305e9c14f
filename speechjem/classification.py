"""Classification: phones over time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import logsumexp, softmax

from . import audio
from .audio.blocks import Blocks
from .errors import InputError
from .models import checkpoint
from .models.speech import SpeechModel
from .runtime.device import choose_device, own_modes

# A phone lasts 80 ms on average in LibriSpeech's alignments; the transition model says no more than that.
MEAN_SECONDS = 0.08


@dataclass(frozen=True)
class Segment:
    """A phone in time.

    Attributes:
        start, duration: in seconds.
        phone: ARPAbet name.
        probability: mean posterior of the phone over its frames.
    """

    start: float
    duration: float
    phone: str
    probability: float


@dataclass(frozen=True)
class Frames:
    """A recording as the model hears it, frame by frame.

    Attributes:
        log_mel: natural logarithm of the mel power, at the recording's own level, shape (frames, bins).
        logits: f(x), shape (frames, phones).
    """

    log_mel: np.ndarray
    logits: np.ndarray

    @property
    def posteriors(self) -> np.ndarray:
        """p(phone | frame), shape (frames, phones)."""
        posteriors: np.ndarray = softmax(self.logits, axis=1)
        return posteriors

    @property
    def energy(self) -> np.ndarray:
        """Share of every frame in E(x), -logsumexp f(x), shape (frames,)."""
        energy: np.ndarray = -logsumexp(self.logits, axis=1)
        return energy


class Classifier:
    """Says which phones a recording has, and when.

    Args:
        model: a loaded model, or the name of one (`checkpoint.locate`); the shipped model by default.
        device: 'auto', 'cpu', 'cuda' or 'mps'.
    """

    def __init__(self, model: SpeechModel | str | None = None, *, device: str = "auto"):
        self.device = choose_device(device)
        self.model = checkpoint.given(model, self.device)

    def posteriors(self, samples: np.ndarray, sample_rate: int) -> np.ndarray:
        """p(phone | frame), shape (frames, phones); see `frames`."""
        return self.frames(samples, sample_rate).posteriors

    @own_modes()
    def frames(self, samples: np.ndarray, sample_rate: int) -> Frames:
        """Log-mel, logits and what follows from them; a frame every 10 ms.

        Args:
            samples: array or tensor, shape (samples,) or (channels, samples); channels are averaged.
            sample_rate: in Hz.

        Raises:
            InputError: if there are no samples, channels come last, or some are not finite real numbers.
        """
        mono = audio.mono(audio.waveform(samples)).astype(np.float32)
        rate = self.model.config.fbank.sample_rate
        waveform = audio.resample(mono, sample_rate, rate)[None]
        if waveform.size == 0:
            raise InputError(
                f"A recording of less than a sample at {rate} Hz has no phones; give a longer one."
            )
        fbank, jem = self.model.fbank, self.model.jem
        level = fbank.level_gain(torch.from_numpy(waveform)).item()
        hop, context = self.model.config.fbank.hop, self.model.config.network.context + 2
        blocks, parts = Blocks(1, hop, context), []
        with torch.no_grad():
            for block in [*blocks.push(waveform), *blocks.flush()]:
                x = fbank(level * torch.from_numpy(block.samples).to(self.device))
                log_mel = fbank.denormalise(x) - 2 * math.log(level)
                last = None if block.last else block.size // hop
                parts.append(torch.cat([log_mel, jem.logits(x)], -1)[0, block.skip // hop :][:last].cpu())
        bins = self.model.config.fbank.bins
        return Frames(*np.split(torch.cat(parts).numpy(), [bins], axis=1))

    def __call__(self, samples: np.ndarray, sample_rate: int) -> list[Segment]:
        """The most likely sequence of phones, without gaps, from 0 to the end of the recording.

        Args and errors: see `frames`.
        """
        posteriors = self.posteriors(samples, sample_rate)
        path = _smooth(posteriors, self.model.fbank.frame_seconds)
        starts = np.flatnonzero(np.diff(path, prepend=-1))
        # Frames are centred on multiples of the hop, so a phone begins half a hop before its first frame.
        total = np.shape(samples)[-1] / sample_rate
        edges = np.clip((starts - 0.5) * self.model.fbank.frame_seconds, 0.0, total)
        edges = np.append(edges, total)
        segments = []
        for k, (first, last) in enumerate(zip(starts, [*starts[1:], len(path)], strict=True)):
            phone = int(path[first])
            probability = float(posteriors[first:last, phone].mean())
            name = self.model.config.phones[phone]
            segments.append(Segment(float(edges[k]), float(edges[k + 1] - edges[k]), name, probability))
        return segments


def classify(
    samples: np.ndarray, sample_rate: int, model: SpeechModel | str | None = None, *, device: str = "auto"
) -> list[Segment]:
    """Phones of one recording; see `Classifier`.

    Examples:
        >>> import numpy as np
        >>> [segment.phone for segment in classify(np.zeros(16000), 16000)]
        ['SIL']
    """
    return Classifier(model, device=device)(samples, sample_rate)


def _smooth(posteriors: np.ndarray, frame_seconds: float) -> np.ndarray:
    """Most likely path through the posteriors (Viterbi) when phones last `MEAN_SECONDS` on average."""
    stay = 1 - frame_seconds / MEAN_SECONDS
    change = (1 - stay) / (posteriors.shape[1] - 1)
    scores = np.log(np.maximum(posteriors.astype(np.float64), np.finfo(np.float64).tiny))
    total = scores[0]
    before = np.zeros(scores.shape, int)
    for t in range(1, len(scores)):
        # The best way into a phone is from itself, or from the best of all; that one may be itself.
        best = int(total.argmax())
        stays = total + np.log(stay) >= total[best] + np.log(change)
        before[t] = np.where(stays, np.arange(len(total)), best)
        total = np.maximum(total + np.log(stay), total[best] + np.log(change)) + scores[t]
    path = [int(total.argmax())]
    for t in range(len(scores) - 1, 0, -1):
        path.append(before[t, path[-1]])
    return np.array(path[::-1])
