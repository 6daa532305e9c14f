"""A user who checks types strictly; `make lint` sees that there is no error, and that mistakes are found."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import assert_type

import speechjem
from speechjem import (
    Denoiser,
    DenoiseTransform,
    StreamDenoiser,
    classify,
    denoise,
    generate,
    load_model,
    score,
)
from speechjem.classification import Segment
from speechjem.metrics import Score
from speechjem.models.speech import SpeechModel


def right(noisy: NDArray[np.float32]) -> None:
    model = load_model()
    assert_type(model, SpeechModel)
    assert_type(Denoiser(model, steps=2)(noisy, 16000), np.ndarray)
    assert_type(denoise(torch.from_numpy(noisy), 16000, strength=0.5, model="folder"), torch.Tensor)
    assert_type(StreamDenoiser(16000, 1).push(noisy[None]), np.ndarray)
    assert_type(DenoiseTransform().forward(torch.from_numpy(noisy)), torch.Tensor)
    assert_type(classify(noisy, 16000), list[Segment])
    assert_type(generate(["aa", "iy"], 0.2, pitch=120), np.ndarray)
    assert_type(score(noisy, noisy, 16000), dict[str, Score])
    assert_type(speechjem.__version__, str)


def wrong(noisy: NDArray[np.float32]) -> None:
    """Each comment would be an error if nothing needed it."""
    denoise(noisy, 16000, strenght=0.5)  # type: ignore[call-arg]
    denoise(noisy, 16000, strength="full")  # type: ignore[arg-type]
    generate("aa", pitch="low")  # type: ignore[arg-type]
    classify(noisy, "16 kHz")  # type: ignore[arg-type]
