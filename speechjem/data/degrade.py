"""What rooms, microphones and lines do to speech, for training.

All functions take the random generator that they draw from, and one-dimensional float arrays at a sample
rate in Hz. Reverberation and band limits are part of the target: the denoiser leaves them as they are.
Clipping and coarse quantisation are not. The ranges are choices that span ordinary rooms, telephone lines,
resamplers and recorders; no trial compared others.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import fftconvolve, istft, stft

from .mixing import filtered


def room(rng: np.random.Generator, rate: int) -> np.ndarray:
    """Synthetic impulse response: direct sound at sample 0, then noise that decays exponentially.

    Reverberation time 0.1 to 0.8 s, direct-to-reverberant ratio 3 to 20 dB, first reflection after 2 to
    20 ms. The tail has less treble than the direct sound, for air and walls absorb it.
    """
    decay = rng.uniform(0.1, 0.8)
    time = np.arange(int(decay * rate)) / rate
    tail = rng.standard_normal(len(time)) * 10 ** (-3 * time / decay)
    tail[time < rng.uniform(0.002, 0.02)] = 0.0
    tail = filtered(tail, lambda f: 1 / (1 + (f / rng.uniform(0.2, 0.8)) ** 2))
    tail *= 10 ** (-rng.uniform(3, 20) / 20) / max(np.sqrt(np.sum(tail**2)), 1e-9)
    tail[0] = 1.0
    return tail.astype(np.float32)


def reverberate(x: np.ndarray, response: np.ndarray) -> np.ndarray:
    """x in a room, as long as x."""
    heard: np.ndarray = fftconvolve(x, response)[: len(x)]
    return heard.astype(np.float32)


def limit_band(rng: np.random.Generator, *signals: np.ndarray, rate: int) -> list[np.ndarray]:
    """All signals through one line: low-pass at 3 to 7 kHz, half the time high-pass at up to 400 Hz."""
    nyquist = rate / 2
    high = rng.uniform(3000, 7000) / nyquist
    low = rng.uniform(50, 400) / nyquist if rng.random() < 0.5 else 0.0

    def response(frequency: np.ndarray) -> np.ndarray:
        gain: np.ndarray = 1 / np.sqrt(1 + (frequency / high) ** 24)
        gain /= np.sqrt(1 + (low / np.maximum(frequency, 1e-4)) ** 6)
        return gain

    return [filtered(x, response) for x in signals]


def slope(rng: np.random.Generator, *signals: np.ndarray, rate: int) -> list[np.ndarray]:
    """All signals through one resampling filter: low-pass at 87 to 100 % of the band, more or less sharp."""
    edge, steepness = rng.uniform(0.87, 1.0), 2 * np.exp(rng.uniform(np.log(10), np.log(100)))

    def response(frequency: np.ndarray) -> np.ndarray:
        gain: np.ndarray = 1 / np.sqrt(1 + (frequency / edge) ** steepness)
        return gain

    return [filtered(x, response) for x in signals]


def clip(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    """Cut off the highest 0.1 to 2 % of the samples, as an overdriven input does."""
    top = np.quantile(np.abs(x), 1 - 10 ** rng.uniform(-3, -1.7))
    return x.clip(-top, top) if top > 0 else x


def mu_law(x: np.ndarray) -> np.ndarray:
    """8-bit mu-law (the companding of ITU-T G.711, mu = 255), and back.

    torchaudio's has 256 levels and none of them is 0: it would turn digital silence into a constant.
    """
    mu = 255.0
    companded = np.sign(x) * np.log1p(mu * np.abs(x).clip(max=1)) / np.log1p(mu)
    rounded = np.round(companded * 127) / 127
    expanded: np.ndarray = np.sign(rounded) * np.expm1(np.abs(rounded) * np.log1p(mu)) / mu
    return expanded.astype(np.float32)


def whisper(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    """x whispered: noise with the spectral envelope of x and its level.

    The envelope has 30 cepstra, up to 1.9 ms at 16 kHz: shorter than the period of a voice below 530 Hz.
    """
    size, kept = 512, 30
    _, _, spectrum = stft(x, nperseg=size, noverlap=3 * size // 4)
    cepstrum = np.fft.irfft(np.log(np.abs(spectrum) + 1e-5), axis=0)
    cepstrum[kept : size - kept + 1] = 0
    envelope = np.exp(np.fft.rfft(cepstrum, axis=0).real)
    _, _, breath = stft(rng.standard_normal(len(x)), nperseg=size, noverlap=3 * size // 4)
    _, whispered = istft(envelope * breath / np.abs(breath).mean(), nperseg=size, noverlap=3 * size // 4)
    whispered = whispered[: len(x)] * np.sqrt(np.mean(x**2) / max(np.mean(whispered**2), 1e-12))
    quiet: np.ndarray = whispered.astype(np.float32)
    return quiet


def step(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both signals, 5 to 40 dB softer before or after a random time, as when talkers change."""
    place, softer = int(rng.uniform(0.1, 0.9) * len(x)), 10 ** (-rng.uniform(5, 40) / 20)
    gain = np.ones(len(x), np.float32)
    gain[place:] = softer
    gain = gain[::-1] if rng.random() < 0.5 else gain
    return gain * x, gain * y


def bang(rng: np.random.Generator, length: int, rate: int) -> np.ndarray:
    """A burst of noise of 20 to 400 ms, decaying by up to 43 dB; peak about 1."""
    burst = rng.standard_normal(int(rng.uniform(0.02, 0.4) * rate)).astype(np.float32)
    burst = filtered(burst, lambda f: 1 / (1 + (f / rng.uniform(0.05, 1.0)) ** 2))
    burst *= np.exp(-rng.uniform(0, 5) * np.linspace(0, 1, len(burst), dtype=np.float32))
    burst /= max(float(np.abs(burst).max()), 1e-9)
    sound = np.zeros(length, np.float32)
    start = int(rng.integers(0, max(1, length - len(burst))))
    sound[start : start + len(burst)] = burst[: length - start]
    return sound
