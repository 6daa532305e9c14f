"""Add synthetic noise to a clean recording at a chosen signal-to-noise ratio.

    python make_noisy.py clean.flac noisy.flac --snr 5 --seed 0

The speech is left at its own level; the noise is a mix of pink noise, slowly modulated noise with the
long-term spectrum of the recording itself, mains hum with harmonics, and sparse short clicks.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse

import numpy as np
import soundfile
from scipy import signal

SHARES = {"pink": 0.38, "speech": 0.45, "hum": 0.15, "clicks": 0.02}  # of the noise power


def unit_power(x: np.ndarray) -> np.ndarray:
    """Scale `x` to a mean power of 1."""
    return x / np.sqrt(np.mean(x**2))


def shaped_noise(n: int, magnitude: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise of `n` samples with the given magnitude response, (n // 2 + 1,)."""
    return np.fft.irfft(np.fft.rfft(rng.standard_normal(n)) * magnitude, n)


def pink_noise(n: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Noise whose power falls as 1/f from 40 Hz up, and is flat below."""
    frequency = np.fft.rfftfreq(n, 1 / sample_rate)
    return shaped_noise(n, 1 / np.sqrt(np.maximum(frequency, 40.0)), rng)


def speech_noise(clean: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Noise with the long-term spectrum of `clean`, its level swaying slowly (below 2 Hz)."""
    n = len(clean)
    frequency, power = signal.welch(clean, sample_rate, nperseg=min(512, n))
    magnitude = np.sqrt(np.interp(np.fft.rfftfreq(n, 1 / sample_rate), frequency, power))
    slow = np.fft.rfftfreq(n, 1 / sample_rate) < 2.0
    sway = unit_power(shaped_noise(n, slow.astype(float), rng))
    return shaped_noise(n, magnitude, rng) * np.exp(0.4 * sway)


def mains_hum(n: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """A 50 Hz hum with harmonics up to 550 Hz, each of random phase."""
    time = np.arange(n) / sample_rate
    hum = np.zeros(n)
    for k in range(1, 12):
        hum += np.sin(2 * np.pi * 50.0 * k * time + rng.uniform(0, 2 * np.pi)) / k
    return hum


def clicks(n: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """About two clicks a second, each a burst of noise that dies away within 2 ms."""
    times = rng.integers(0, n, size=max(1, round(2 * n / sample_rate)))
    length = max(2, round(0.002 * sample_rate))
    burst_envelope = np.exp(-5 * np.arange(length) / length)
    out = np.zeros(n + length)
    for start in times:
        out[start : start + length] += rng.standard_normal(length) * burst_envelope
    return out[:n]


def make_noise(clean: np.ndarray, sample_rate: int, seed: int) -> np.ndarray:
    """The mix of all four noises, as long as `clean`."""
    rng, n = np.random.default_rng(seed), len(clean)
    parts = {
        "pink": pink_noise(n, sample_rate, rng),
        "speech": speech_noise(clean, sample_rate, rng),
        "hum": mains_hum(n, sample_rate, rng),
        "clicks": clicks(n, sample_rate, rng),
    }
    return sum(np.sqrt(SHARES[name]) * unit_power(part) for name, part in parts.items())


def add_noise(clean: np.ndarray, sample_rate: int, snr: float, seed: int) -> np.ndarray:
    """`clean` plus noise at `snr` dB: power of the speech over power of the noise, over the whole file."""
    noise = unit_power(make_noise(clean, sample_rate, seed))
    return clean + noise * np.sqrt(np.mean(clean**2) / 10 ** (snr / 10))


def main() -> None:
    parser = argparse.ArgumentParser(description="Add synthetic noise to a clean mono recording.")
    parser.add_argument("clean", metavar="CLEAN", help="clean recording, mono")
    parser.add_argument("out", metavar="OUT", help="noisy recording to write, 16-bit")
    parser.add_argument("--snr", type=float, default=5.0, help="signal-to-noise ratio in dB (default 5)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the noise (default 0)")
    args = parser.parse_args()
    clean, sample_rate = soundfile.read(args.clean)
    if clean.ndim != 1 or not np.any(clean):
        parser.error(f"{args.clean} must hold one channel of sound that is not all silence")
    noisy = add_noise(clean, sample_rate, args.snr, args.seed)
    if np.abs(noisy).max() >= 1.0:
        parser.error("the sum would clip: give a quieter recording or a higher --snr")
    soundfile.write(args.out, noisy, sample_rate, subtype="PCM_16")


if __name__ == "__main__":
    main()
