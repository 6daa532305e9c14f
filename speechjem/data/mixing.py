"""Noise of many kinds, and clean speech mixed with it.

All functions take the random generator that they draw from, and one-dimensional float arrays.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.fft import next_fast_len

Crop = Callable[[np.random.Generator, int], np.ndarray]


def rms(x: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


def _filtered(x: np.ndarray, response: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """x through a zero-phase filter given by its gain over the relative frequency 0..1 (Nyquist)."""
    size = next_fast_len(len(x), real=True)
    spectrum = np.fft.rfft(x, size)
    gain = response(np.linspace(0.0, 1.0, len(spectrum)))
    return np.fft.irfft(spectrum * gain, size)[: len(x)].astype(np.float32)


def equalise(rng: np.random.Generator, x: np.ndarray, depth: float) -> np.ndarray:
    """Colour x by a smooth random curve of up to +-depth dB, as microphones and rooms do."""
    points = rng.uniform(-depth, depth, 6)
    places = np.linspace(0.0, 1.0, 6) ** 2  # denser at low frequencies

    def response(frequency: np.ndarray) -> np.ndarray:
        return 10 ** (np.interp(frequency, places, points) / 20)

    return _filtered(x, response)


def coloured(rng: np.random.Generator, length: int) -> np.ndarray:
    """Stationary noise whose power falls by 0 to 8 dB an octave, with random bumps."""
    slope = rng.uniform(0.0, 1.3)
    white = rng.standard_normal(length).astype(np.float32)
    return equalise(rng, _filtered(white, lambda f: 1 / np.maximum(f, 0.005) ** slope), 8.0)


def speech_shaped(rng: np.random.Generator, speech: np.ndarray, length: int) -> np.ndarray:
    """Stationary noise with the long-term spectrum of some speech."""
    spectrum = np.abs(np.fft.rfft(speech, 1024 * max(1, len(speech) // 1024)))
    smooth = spectrum[: len(spectrum) // 128 * 128].reshape(128, -1).mean(1)
    white = rng.standard_normal(length).astype(np.float32)
    return _filtered(white, lambda f: np.interp(f, np.linspace(0, 1, 128), smooth / max(smooth.max(), 1e-9)))


def babble(rng: np.random.Generator, speech: Crop, length: int) -> np.ndarray:
    """Two to nine voices at once, some nearer than others."""
    voices = [speech(rng, length) for _ in range(rng.integers(2, 10))]
    return sum(
        (10 ** (rng.uniform(-8, 0) / 20) * v / max(rms(v), 1e-6) for v in voices), np.zeros(length)
    ).astype(np.float32)


def modulate(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    """Let the level of x wander by up to 20 dB at 0.5 to 8 changes a second (at 16 kHz)."""
    knots = max(2, int(len(x) / 16000 * rng.uniform(0.5, 8.0)) + 2)
    curve = np.interp(np.linspace(0, knots - 1, len(x)), np.arange(knots), rng.uniform(-20, 0, knots))
    return (x * 10 ** (curve / 20)).astype(np.float32)


def noise(rng: np.random.Generator, recorded: Crop, speech: Crop, length: int) -> np.ndarray:
    """One noise: recorded (60 %), babble (15 %), coloured or speech-shaped (25 %), at times modulated."""
    kind = rng.random()
    if kind < 0.6:
        x = equalise(rng, recorded(rng, length), 6.0)
    elif kind < 0.75:
        x = babble(rng, speech, length)
    elif kind < 0.9:
        x = coloured(rng, length)
    else:
        x = speech_shaped(rng, speech(rng, length), length)
    return modulate(rng, x) if kind >= 0.75 and rng.random() < 0.4 else x


def noises(rng: np.random.Generator, recorded: Crop, speech: Crop, length: int) -> np.ndarray:
    """One noise or, one time in four, two at once; RMS 1 (silence stays silence)."""
    total = np.zeros(length, np.float32)
    for _ in range(1 + (rng.random() < 0.25)):
        x = noise(rng, recorded, speech, length)
        total += 10 ** (rng.uniform(-6, 0) / 20) * x / max(rms(x), 1e-6)
    return total / max(rms(total), 1e-6)


def mix(
    clean: np.ndarray, noise: np.ndarray, speech_rms: float, snr: float, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Clean and noisy speech at a signal-to-noise ratio and level.

    Args:
        clean: excerpt of a recording.
        noise: RMS 1, same length.
        speech_rms: RMS of the whole recording, so that an excerpt of a pause does not count as weak speech.
        snr: in dB.
        level: RMS of the mixture in dB re full scale.

    Returns:
        The clean excerpt and the mixture, both scaled alike.
    """
    noise_rms = speech_rms * 10 ** (-snr / 20)
    scale = 10 ** (level / 20) / max(np.hypot(speech_rms, noise_rms), 1e-9)
    return (scale * clean).astype(np.float32), (scale * (clean + noise_rms * noise)).astype(np.float32)
