"""Held-out speech as the model's frames."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from speechjem.data.kaldi import read_directory
from speechjem.models.speech import SpeechModel

sys.path.append(str(Path(__file__).parents[2] / "steps"))
import common


def frames_of(model: SpeechModel, samples: np.ndarray) -> Tensor:
    """Normalised frames of a waveform at the model's rate and its own level, shape (frames, bins)."""
    waveform = torch.from_numpy(np.asarray(samples, np.float32))[None]
    return model.fbank.levelled(waveform)[0]


def utterances(model: SpeechModel, data: Path, speakers: list[str]) -> Iterator[tuple[Tensor, Tensor]]:
    """Frames and phones, shapes (frames, bins) and (frames,), of the aligned utterances of some speakers."""
    for utterance in read_directory(data):
        if utterance.speaker in speakers and utterance.alignment is not None:
            loaded = utterance.read()
            rate = model.config.fbank.sample_rate
            x = frames_of(model, common.mono(loaded, rate))
            times = np.arange(len(x)) * model.fbank.frame_seconds
            yield x, torch.from_numpy(utterance.alignment.at(times))
