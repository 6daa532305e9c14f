"""Generated vowels and fricatives, measured by Praat and by their spectrum, which do not know the model.

    python recipes/mini_librispeech/local/generation_scores.py MODEL [--count 20]

Published means: Hillenbrand, Getty, Clark and Wheeler, "Acoustic characteristics of American English
vowels", JASA 97 (1995), men and women.
"""

import argparse
from pathlib import Path

import numpy as np
import parselmouth

from speechjem.generation import Generator

HILLENBRAND = {  # F1 and F2 in Hz of men, of women
    "iy": ((342, 2322), (437, 2761)),
    "ae": ((588, 1952), (669, 2349)),
    "aa": ((768, 1333), (936, 1551)),
    "uw": ((378, 997), (459, 1105)),
}
FRICATIVES = ("s", "sh")
SECONDS = 0.5


def formants(waveform: np.ndarray, rate: int) -> np.ndarray:
    """Median F1 and F2 in Hz over the middle of a waveform (Burg's method, 5 formants below 5.5 kHz)."""
    track = parselmouth.Sound(waveform.astype(np.float64), rate).to_formant_burg(maximum_formant=5500)
    times = np.linspace(0.2 * SECONDS, 0.8 * SECONDS, 30)
    return np.nanmedian([[track.get_value_at_time(k, t) for k in (1, 2)] for t in times], axis=0)


def centroid(waveform: np.ndarray, rate: int) -> float:
    """Power-weighted mean frequency above 1 kHz, in Hz: what is below is not the fricative's noise."""
    power = np.abs(np.fft.rfft(waveform)) ** 2
    frequency = np.fft.rfftfreq(len(waveform), 1 / rate)
    power[frequency < 1000] = 0
    return float(frequency @ power / power.sum())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    generator = Generator(str(arguments.model))
    rate = generator.sample_rate
    print("| vowel | F1 (Hz) | F2 (Hz) | men F1, F2 | women F1, F2 |\n|---|---|---|---|---|")
    for vowel, (men, women) in HILLENBRAND.items():
        sounds = generator(vowel, SECONDS, seed=arguments.seed, count=arguments.count)
        f = np.array([formants(sound, rate) for sound in sounds])
        mean, spread = f.mean(0), f.std(0)
        cells = [f"{m:.0f} ± {s:.0f}" for m, s in zip(mean, spread, strict=True)]
        print(f"| {vowel} | {cells[0]} | {cells[1]} | {men[0]}, {men[1]} | {women[0]}, {women[1]} |")
    print("\n| fricative | spectral centroid above 1 kHz (Hz) |\n|---|---|")
    for fricative in FRICATIVES:
        sounds = generator(fricative, SECONDS, seed=arguments.seed, count=arguments.count)
        values = [centroid(sound, rate) for sound in sounds]
        print(f"| {fricative} | {np.mean(values):.0f} ± {np.std(values):.0f} |")


if __name__ == "__main__":
    main()
