"""A small neural vocoder: log-mel frames to a spectrum, and an inverse STFT as its last layer.

After Vocos (Siuzdak, ICLR 2024, arXiv 2306.00814), with fewer channels and blocks (1.5 M parameters), and
trained without discriminators.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from speechjem.features.fbank import Fbank
from speechjem.runtime.atomic import replace_file

CHANNELS, HIDDEN, BLOCKS, REACH = 224, 672, 4, 7


class Block(nn.Module):
    """ConvNeXt: each channel over time, then all channels of each frame."""

    def __init__(self) -> None:
        super().__init__()
        self.over_time = nn.Conv1d(CHANNELS, CHANNELS, REACH, padding=REACH // 2, groups=CHANNELS)
        self.over_channels = nn.Sequential(
            nn.LayerNorm(CHANNELS), nn.Linear(CHANNELS, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, CHANNELS)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.over_channels(self.over_time(x.transpose(1, 2)).transpose(1, 2))


class Vocoder(nn.Module):
    """Frames to waveform.

    Args:
        fbank: the features, whose spectrum is given back.
    """

    def __init__(self, fbank: Fbank):
        super().__init__()
        self.fbank = fbank
        self.enter = nn.Conv1d(fbank.config.bins, CHANNELS, REACH, padding=REACH // 2)
        self.blocks = nn.Sequential(*(Block() for _ in range(BLOCKS)))
        self.leave = nn.Sequential(
            nn.LayerNorm(CHANNELS), nn.Linear(CHANNELS, 3 * (fbank.config.window // 2 + 1))
        )

    def spectrum(self, log_mel: Tensor) -> Tensor:
        """Complex spectrum, (batch, frames, frequencies), of log-mel frames, (batch, frames, bins)."""
        x = self.enter(self.fbank.normalise(log_mel).transpose(1, 2)).transpose(1, 2)
        log_magnitude, *direction = self.leave(self.blocks(x)).chunk(3, -1)
        # What the network adds to the envelope; the phase is the angle of a vector that it gives.
        magnitude = (0.5 * log_mel @ self.fbank.spread + log_magnitude.clamp(-8, 4)).exp()
        length = (direction[0].square() + direction[1].square() + 1e-8).sqrt()
        return torch.complex(magnitude * direction[0] / length, magnitude * direction[1] / length)

    def forward(self, log_mel: Tensor) -> Tensor:
        """Waveforms, shape (batch, (frames - 1) * hop)."""
        return self.fbank.istft(self.spectrum(log_mel), (log_mel.shape[1] - 1) * self.fbank.config.hop)


def save(vocoder: Vocoder, path: Path) -> None:
    replace_file(path, lambda partial: save_file(vocoder.state_dict(), partial))


def load(path: Path, fbank: Fbank) -> Vocoder:
    vocoder = Vocoder(fbank)
    vocoder.load_state_dict(load_file(path))
    return vocoder.eval()
