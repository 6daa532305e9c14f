"""Noise of many kinds, and clean speech mixed with it.

All functions take the random generator that they draw from, and one-dimensional float arrays. The synthetic
noises assume a sample rate of 16 kHz. Their ranges, and the shares in `noise` and `noises`, are choices: they
span what everyday noise has, more than half of the noise is recorded, and no trial compared others.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.fft import next_fast_len

RATE = 16000  # Hz

Crop = Callable[[np.random.Generator, int], np.ndarray]


def rms(x: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


def filtered(x: np.ndarray, response: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
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
        gain: np.ndarray = 10 ** (np.interp(frequency, places, points) / 20)
        return gain

    return filtered(x, response)


def coloured(rng: np.random.Generator, length: int) -> np.ndarray:
    """Stationary noise whose power falls by 0 to 8 dB an octave, with random bumps."""
    slope = rng.uniform(0.0, 1.3)
    white = rng.standard_normal(length).astype(np.float32)
    return equalise(rng, filtered(white, lambda f: 1 / np.maximum(f, 0.005) ** slope), 8.0)


def speech_shaped(rng: np.random.Generator, speech: np.ndarray, length: int) -> np.ndarray:
    """Stationary noise with the long-term spectrum of some speech."""
    spectrum = np.abs(np.fft.rfft(speech, 1024 * max(1, len(speech) // 1024)))
    smooth = spectrum[: len(spectrum) // 128 * 128].reshape(128, -1).mean(1)
    white = rng.standard_normal(length).astype(np.float32)
    return filtered(white, lambda f: np.interp(f, np.linspace(0, 1, 128), smooth / max(smooth.max(), 1e-9)))


def babble(rng: np.random.Generator, speech: Crop, length: int) -> np.ndarray:
    """Two to twelve voices at once, with levels that differ by up to 8 dB."""
    voices = [speech(rng, length) for _ in range(rng.integers(2, 13))]
    return sum(
        (10 ** (rng.uniform(-8, 0) / 20) * v / max(rms(v), 1e-6) for v in voices), np.zeros(length)
    ).astype(np.float32)


def hum(rng: np.random.Generator, length: int) -> np.ndarray:
    """A machine: harmonics of 40 to 400 Hz whose pitch drifts by up to 5 %, in some broadband noise."""
    time = np.arange(length) / RATE
    drift = 0.05 * rng.uniform() * np.sin(2 * np.pi * (rng.uniform(0.05, 1.0) * time + rng.uniform()))
    phase = 2 * np.pi * np.cumsum(rng.uniform(40, 400) * (1 + drift)) / RATE
    weights = rng.uniform(size=rng.integers(3, 25))
    weights /= np.arange(1, len(weights) + 1) ** rng.uniform(0, 1.5)
    tones = sum(
        (w * np.sin(n * phase + rng.uniform(0, 2 * np.pi)) for n, w in enumerate(weights, 1)),
        np.zeros(length),
    )
    noise = coloured(rng, length)
    return (tones / max(rms(tones), 1e-6) + rng.uniform(0, 0.5) * noise / max(rms(noise), 1e-6)).astype(
        np.float32
    )


def impulses(rng: np.random.Generator, length: int) -> np.ndarray:
    """Clicks, keys, knocks and dishes: 1 to 15 short resonances a second, of very different levels."""
    total = np.zeros(length + RATE, np.float32)
    for start in rng.integers(0, length, 1 + rng.poisson(rng.uniform(1, 15) * length / RATE)):
        duration = int(RATE * 10 ** rng.uniform(-2.7, -0.7))
        envelope = np.exp(-6 * np.arange(duration) / duration)
        ring = np.sin(2 * np.pi * rng.uniform(100, 6000) * np.arange(duration) / RATE)
        sound = envelope * (rng.uniform() * ring + rng.uniform() * rng.standard_normal(duration))
        total[start : start + duration] += 10 ** (rng.uniform(-20, 0) / 20) * sound
    return total[:length]


def music(rng: np.random.Generator, length: int) -> np.ndarray:
    """Chords of 1 to 4 harmonic notes, 1 to 6 of them a second, on the equal-tempered scale."""
    total = np.zeros(length, np.float32)
    beat = int(RATE / rng.uniform(1, 6))
    brightness, decay = rng.uniform(0.5, 2.5), rng.uniform(0.5, 6)
    for start in range(-int(rng.integers(beat)), length, beat):
        time = np.arange(min(3 * beat, length - start)) / RATE
        for note in rng.integers(-24, 24, rng.integers(1, 5)):
            pitch = 440 * 2 ** (note / 12)
            harmonics = np.arange(1, min(12, int(8000 / pitch)) + 1)
            tone = (
                np.sin(2 * np.pi * pitch * np.outer(harmonics, time)) / harmonics[:, None] ** brightness
            ).sum(0)
            tone *= np.exp(-decay * time) * np.minimum(1, time / 0.01)
            total[max(start, 0) : start + len(time)] += tone[max(-start, 0) :]
    return total


def modulate(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    """Vary the level of x by up to 20 dB, 0.5 to 8 times a second."""
    knots = max(2, int(len(x) / RATE * rng.uniform(0.5, 8.0)) + 2)
    curve = np.interp(np.linspace(0, knots - 1, len(x)), np.arange(knots), rng.uniform(-20, 0, knots))
    return (x * 10 ** (curve / 20)).astype(np.float32)


def noise(rng: np.random.Generator, recorded: Crop, speech: Crop, length: int) -> np.ndarray:
    """One noise: recorded (60 %), babble (12 %), or synthetic (28 %, 40 % of it modulated)."""
    kind = rng.random()
    if kind < 0.6:
        return equalise(rng, recorded(rng, length), 6.0)
    if kind < 0.72:
        return babble(rng, speech, length)
    if kind < 0.8:
        x = coloured(rng, length)
    elif kind < 0.86:
        x = speech_shaped(rng, speech(rng, length), length)
    else:
        make = (hum, impulses, music)[rng.integers(3)]
        x = equalise(rng, make(rng, length), 6.0)
    return modulate(rng, x) if rng.random() < 0.4 else x


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
        speech_rms: RMS of the whole recording, so that a pause is not taken for soft speech.
        snr: in dB.
        level: RMS of the mixture in dB re full scale.

    Returns:
        The clean excerpt and the mixture, both scaled alike.
    """
    noise_rms = speech_rms * 10 ** (-snr / 20)
    scale = 10 ** (level / 20) / max(np.hypot(speech_rms, noise_rms), 1e-9)
    return (scale * clean).astype(np.float32), (scale * (clean + noise_rms * noise)).astype(np.float32)
