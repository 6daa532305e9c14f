"""Phase relations of a tone against theory."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from speechjem.features import phase
from speechjem.features.fbank import Fbank, FbankConfig

HOP, WINDOW, RATE = 160, 512, 16000
BINS = 50
SIZE = 2 * len(phase.LAGS) * BINS


def tone(frequency: float, level: float = 0.5) -> tuple[torch.Tensor, torch.Tensor]:
    time = torch.arange(RATE, dtype=torch.float64) / RATE
    waveform = level * torch.sin(2 * math.pi * frequency * time + 0.7)
    spectrum = Fbank(FbankConfig()).stft(waveform.float()[None])
    return spectrum.real, spectrum.imag


def relations(spectrum: tuple[torch.Tensor, torch.Tensor]) -> dict[int, torch.Tensor]:
    """Complex relations by lag."""
    parts = phase.relations(spectrum, SIZE, HOP, WINDOW, 1e-6).chunk(2 * len(phase.LAGS), -1)
    return {lag: torch.complex(parts[2 * n], parts[2 * n + 1])[0] for n, lag in enumerate(phase.LAGS)}


@pytest.mark.parametrize("offset", [-12.0, 0.0, 9.0])
def test_a_tone_turns_by_its_distance_from_the_middle_of_the_bin(offset):
    frequency = 20 * RATE / WINDOW + offset
    for lag, relation in relations(tone(frequency)).items():
        expected = np.exp(2j * np.pi * offset * lag * HOP / RATE)
        got = relation[10:-10, 20].numpy()
        np.testing.assert_allclose(got, np.full_like(got, expected), atol=1e-3)


def test_nothing_is_known_beyond_the_ends_or_in_silence():
    relation = relations(tone(1000.0))
    assert not relation[2][:2].any()
    assert not relation[-1][-1:].any()
    silent = torch.zeros(1, 10, 257)
    assert not phase.relations((silent, silent), SIZE, HOP, WINDOW, 1e-6).any()
    faint = relations(tone(1000.0, 1e-7))
    assert max(part.abs().max() for part in faint.values()) < 0.01
