"""Waveform to normalised log-mel frames, and the bookkeeping back to samples.

Frame t is centred on sample ``t * hop``; a waveform of n samples has ``n // hop + 1`` frames, and
the inverse transform gives n samples again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import SpeechjemError


@dataclass(frozen=True)
class FbankConfig:
    """Settings of the log-mel filterbank; they travel with the model.

    Attributes:
        sample_rate: in Hz; waveforms are full scale at 1.0 (not 32768 as in Kaldi).
        bins: number of mel bins.
        window: length of the periodic Hann window and of the FFT, in samples.
        hop: distance of two frames, in samples.
        low, high: edges of the first and of the last mel filter, in Hz.
        floor: added to the mel power before the logarithm.
        level: RMS level, in dB re full scale, that recordings are brought to before the analysis.
    """

    sample_rate: int = 16000
    bins: int = 80
    window: int = 512
    hop: int = 160
    low: float = 0.0
    high: float = 8000.0
    floor: float = 1e-6
    level: float = -26.0


def mel_filters(config: FbankConfig) -> Tensor:
    """Triangular HTK mel filters of torchaudio, shape (window // 2 + 1, bins)."""
    try:
        from torchaudio.functional import melscale_fbanks
    except OSError as error:
        raise SpeechjemError(
            "torchaudio does not fit the installed torch; install both from the same source, "
            "for instance with: pip install --force-reinstall torch torchaudio."
        ) from error
    filters: Tensor = melscale_fbanks(
        config.window // 2 + 1, config.low, config.high, config.bins, config.sample_rate, norm=None
    )
    return filters


class Fbank(nn.Module):
    """The features of a model: STFT, log-mel, per-bin mean and standard deviation.

    Shapes: waveforms (..., samples), spectra (..., frames, window // 2 + 1) complex,
    log-mel and normalised frames (..., frames, bins).
    """

    window: Tensor
    filters: Tensor
    spread: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, config: FbankConfig):
        super().__init__()
        self.config = config
        # These follow from the configuration, so they are not stored with the weights.
        with torch.device("cpu"):  # also in a model that is built without memory, on the device "meta"
            self.register_buffer("window", torch.hann_window(config.window), persistent=False)
            self.register_buffer("filters", mel_filters(config), persistent=False)
            self.register_buffer("spread", _spread(self.filters), persistent=False)
        self.register_buffer("mean", torch.zeros(config.bins))
        self.register_buffer("std", torch.ones(config.bins))

    def frames(self, samples: int) -> int:
        """Number of frames of a waveform of that many samples."""
        return samples // self.config.hop + 1

    def stft(self, waveform: Tensor) -> Tensor:
        """Short-time spectrum, zero-padded so that frame t is centred on sample t * hop."""
        flat = waveform.reshape(-1, waveform.shape[-1])
        spectrum = torch.stft(
            flat,
            self.config.window,
            self.config.hop,
            window=self.window,
            pad_mode="constant",
            return_complex=True,
        )
        return spectrum.transpose(-1, -2).reshape(*waveform.shape[:-1], -1, self.config.window // 2 + 1)

    def istft(self, spectrum: Tensor, samples: int) -> Tensor:
        """The waveform, exactly `samples` long, whose spectrum is nearest to the one given."""
        flat = spectrum.reshape(-1, *spectrum.shape[-2:]).transpose(-1, -2)
        waveform = torch.istft(flat, self.config.window, self.config.hop, window=self.window, length=samples)
        return waveform.reshape(*spectrum.shape[:-2], samples)

    def overlap_add(self, spectrum: Tensor, samples: int) -> Tensor:
        """`istft` for (batch, frames, frequencies), without checks that a GPU would have to wait for."""
        window, hop = self.config.window, self.config.hop
        frames = torch.fft.irfft(spectrum, window) * self.window
        size = (spectrum.shape[1] - 1) * hop + window
        weight = self.window.square()[None, :, None].expand(1, window, spectrum.shape[1])
        total, weight = (
            F.fold(part, (1, size), (1, window), stride=(1, hop))[:, 0, 0] for part in (frames.mT, weight)
        )
        inside = slice(window // 2, window // 2 + samples)
        return total[:, inside] / weight[:, inside].clamp_min(1e-8)

    def log_mel(self, spectrum: Tensor) -> Tensor:
        """Natural logarithm of the mel power of a complex spectrum, or of its power if it is real."""
        return torch.log(_power(spectrum) @ self.filters + self.config.floor)

    def fine(self, spectrum: Tensor, log_mel: Tensor) -> Tensor:
        """Fine structure: log amplitude of every STFT bin above or below the mel envelope.

        Shape (..., frames, window // 2 + 1), in nepers.
        """
        return 0.5 * (torch.log(_power(spectrum) + self.config.floor) - log_mel @ self.spread)

    def normalise(self, log_mel: Tensor) -> Tensor:
        """Log-mel to zero mean and unit standard deviation a bin."""
        return (log_mel - self.mean) / self.std

    def denormalise(self, x: Tensor) -> Tensor:
        """Inverse of `normalise`."""
        return x * self.std + self.mean

    def forward(self, waveform: Tensor) -> Tensor:
        """Normalised frames of a waveform."""
        return self.normalise(self.log_mel(self.stft(waveform)))

    def levelled(self, waveform: Tensor) -> Tensor:
        """Normalised frames of a waveform that is brought to the nominal level first."""
        frames: Tensor = self(waveform * self.level_gain(waveform))
        return frames

    def level_gain(self, waveform: Tensor) -> Tensor:
        """Factor that brings each waveform to the nominal level, shape (..., 1); 1 for silence."""
        return self.level_gain_of(waveform.square().mean(-1, keepdim=True))

    def level_gain_of(self, mean_square: Tensor) -> Tensor:
        """`level_gain` for a mean square already known, shape of `mean_square`."""
        # Bounded before the root, whose slope at zero would make the gradients of silence NaN.
        rms = mean_square.clamp_min(1e-18).sqrt()
        return torch.where(mean_square > 1e-18, 10 ** (self.config.level / 20) / rms, 1.0)

    @property
    def frame_seconds(self) -> float:
        """Distance of two frames in seconds."""
        return self.config.hop / self.config.sample_rate


def _power(spectrum: Tensor) -> Tensor:
    return spectrum.real.square() + spectrum.imag.square() if spectrum.is_complex() else spectrum


def _spread(filters: Tensor) -> Tensor:
    """Weights (bins, frequencies) that interpolate mel bins over frequency; they sum to one everywhere."""
    weights = filters + 1e-9 * filters.new_ones(filters.shape)
    # Where no filter reaches, the outermost one gets the weight 1.
    covered = (filters.sum(1) > 1e-6).nonzero()[:, 0]
    weights[: covered[0], 0], weights[covered[-1] + 1 :, -1] = 1.0, 1.0
    return (weights / weights.sum(1, keepdim=True)).T


def frames_for(seconds: float, config: FbankConfig) -> int:
    """Number of frames that lasts `seconds`, at least one."""
    return max(1, math.ceil(round(seconds * config.sample_rate / config.hop, 6)))
