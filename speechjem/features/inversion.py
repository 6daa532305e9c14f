"""Frames to waveform without phases, in two ways.

`griffin_lim` inverts the mel filterbank and finds the phase by torchaudio's fast Griffin-Lim algorithm
(Griffin and Lim, IEEE ASSP 32, 1984; Perraudin et al., WASPAA 2013).
`source_filter` shapes pulses and noise by the envelope of the frames, so that the pitch can be chosen (a
vocoder in the sense of Dudley 1939), also where mel bins are too wide to show harmonics.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy.fft import dct, idct
from torch import Tensor

from .fbank import Fbank, FbankConfig

# Tried on samples/clean.flac: distance of the log-mel frames of the result from those wanted.
ITERATIONS = 64  # of Griffin-Lim: median 0.26 dB; 0.31 with half as many, 0.22 with twice as many
MOMENTUM = 0.99  # of Perraudin et al.
UPDATES = 50  # of the power spectrum: RMS 0.04 dB; 0.3 with 5, 0.03 with 100
ENVELOPE = 24  # cepstra of the log-mel that are its envelope
VOICED_UP_TO = 4000.0  # Hz; above, a voice is more noise than pulses (Drugman and Stylianou, IEEE SPL 2014)
ANY = 120.0  # Hz, of pulses that are not heard


@torch.no_grad()
def griffin_lim(log_mel: np.ndarray, fbank: Fbank, seed: int = 0) -> np.ndarray:
    """A waveform whose log-mel power is near the one given.

    Args:
        log_mel: natural logarithm of the mel power, shape (frames, bins), not normalised.
        fbank: the features.
        seed: of the first phase.

    Returns:
        float32, shape ((frames - 1) * hop,), or one hop for a single frame.
    """
    from torchaudio.functional import griffinlim

    config = fbank.config
    magnitude = spectrum_of(torch.from_numpy(log_mel).to(fbank.mean.device), fbank).sqrt()
    # A single frame, and a waveform shorter than the window, need some room.
    room = max(0, math.ceil(config.window / config.hop) + 1 - len(magnitude))
    magnitude = F.pad(magnitude, (0, 0, 0, room))
    samples = max(1, len(log_mel) - 1) * config.hop
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        waveform: Tensor = griffinlim(
            magnitude.T, fbank.window, config.window, config.hop, config.window, power=1.0,
            n_iter=ITERATIONS, momentum=MOMENTUM, length=None, rand_init=True,
        )  # fmt: skip
    return F.pad(waveform, (0, samples))[:samples].cpu().numpy()


def spectrum_of(log_mel: Tensor, fbank: Fbank) -> Tensor:
    """Power spectrum whose mel power is the one given, by multiplicative updates that never turn negative.

    They lower the Kullback-Leibler divergence of the mel powers (Lee and Seung, NIPS 2000).

    Args:
        log_mel: shape (frames, bins).
        fbank: the features.

    Returns:
        Shape (frames, window // 2 + 1).
    """
    wanted = (log_mel.exp() - fbank.config.floor).clamp_min(0.0)
    power = (log_mel @ fbank.spread).exp()
    for _ in range(UPDATES):
        power = power * ((wanted / (power @ fbank.filters + 1e-9)) @ fbank.filters.T)
        power = power / (fbank.filters.sum(1) + 1e-9)
    return power


@torch.no_grad()
def source_filter(log_mel: np.ndarray, fbank: Fbank, pitch: np.ndarray, seed: int = 0) -> np.ndarray:
    """A waveform of pulses, where there is a pitch, and noise, with the envelope of the frames.

    The filter has the minimum phase of the envelope (Oppenheim and Schafer, Discrete-Time Signal Processing,
    chapter on the cepstrum), as that of a vocal tract.

    Args:
        log_mel: as in `griffin_lim`.
        fbank: the features.
        pitch: fundamental frequency in Hz, 0 where unvoiced, shape (frames,).
        seed: of the noise.

    Returns:
        float32, shape ((frames - 1) * hop,), or one hop for a single frame.
    """
    device, frames = fbank.mean.device, len(log_mel)
    samples = max(1, frames - 1) * fbank.config.hop
    noise = np.random.default_rng(seed).standard_normal(samples)
    harmonic, random = (
        fbank.stft(torch.from_numpy(x.astype(np.float32)).to(device))[:frames]
        for x in (_pulses(_of_samples(pitch, samples, fbank.config), fbank.config.sample_rate), noise)
    )
    share = torch.from_numpy(_share_of_pulses(pitch > 0, fbank.config)).to(device)
    source = share.sqrt() * harmonic + (1 - share).sqrt() * random
    return fbank.istft(source * _vocal_tract(log_mel, fbank).to(device), samples).cpu().numpy()


def _of_samples(pitch: np.ndarray, samples: int, config: FbankConfig) -> np.ndarray:
    """The pitch of every sample, interpolated over what is unvoiced."""
    voiced = pitch.nonzero()[0]
    if len(voiced) == 0:
        return np.full(samples, ANY)
    contour: np.ndarray = np.interp(np.arange(samples) / config.hop, voiced, pitch[voiced])
    return contour


def _vocal_tract(log_mel: np.ndarray, fbank: Fbank) -> Tensor:
    """The filter of every frame for a source of power 1, shape (frames, window // 2 + 1), complex."""
    config = fbank.config
    density = log_mel - np.log(fbank.filters.sum(0).cpu().numpy().clip(0.1))
    cepstra = dct(density, norm="ortho", axis=1)
    cepstra[:, ENVELOPE:] = 0
    envelope = torch.from_numpy(idct(cepstra, norm="ortho", axis=1)).float() @ fbank.spread.cpu()
    amplitude = 0.5 * (envelope - fbank.window.square().sum().log().cpu())
    # The cepstrum of a minimum phase response has no negative times.
    folded = torch.fft.irfft(amplitude, config.window)
    folded[:, 1 : config.window // 2] *= 2
    folded[:, config.window // 2 + 1 :] = 0
    response: Tensor = torch.fft.rfft(folded).exp()
    return response


def _pulses(pitch: np.ndarray, rate: int) -> np.ndarray:
    """All harmonics below the Nyquist frequency, of equal amplitude and power 1 in all (a Dirichlet kernel).

    Args:
        pitch: fundamental frequency of every sample in Hz.
        rate: in Hz.
    """
    phase = np.pi * np.cumsum(pitch) / rate
    count = np.floor(0.49 * rate / pitch)  # just below the Nyquist frequency, 0.5 * rate
    sine = np.sin(phase)
    near = np.abs(sine) < 1e-6
    kernel = np.where(near, 2 * count + 1, np.sin((2 * count + 1) * phase) / np.where(near, 1.0, sine))
    pulses: np.ndarray = (kernel - 1) / np.sqrt(2 * count)
    return pulses


def _share_of_pulses(voiced: np.ndarray, config: FbankConfig) -> np.ndarray:
    """Share of the power that is pulses, shape (frames, window // 2 + 1); voicing fades over 50 ms."""
    window = np.hanning(7)[1:-1]
    fading = np.convolve(np.pad(voiced.astype(float), 2, mode="edge"), window / window.sum(), "valid")
    frequency = np.linspace(0, config.sample_rate / 2, config.window // 2 + 1)
    treble = 1 / (1 + np.exp((frequency - VOICED_UP_TO) / 500))  # a transition of about 2 kHz, a choice
    return (fading[:, None] * treble).astype(np.float32)
