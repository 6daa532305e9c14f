"""Generated vowels and fricatives, measured by Praat and by their spectrum, which do not know the model.

    python recipes/mini_librispeech/local/generation_scores.py MODEL --labelled CORPUS/train-clean-5

With --labelled, 200 real vowels of the corpus are measured in the same way.

Published means: Hillenbrand, Getty, Clark and Wheeler, "Acoustic characteristics of American English
vowels", JASA 97 (1995), men and women.
"""

import argparse
from pathlib import Path

import numpy as np
import parselmouth

from speechjem import audio, phones
from speechjem.data.kaldi import read_directory
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
    times = np.linspace(0.2, 0.8, 30) * len(waveform) / rate
    return np.nanmedian([[track.get_value_at_time(k, t) for k in (1, 2)] for t in times], axis=0)


def centroid(waveform: np.ndarray, rate: int) -> float:
    """Power-weighted mean frequency above 1 kHz, in Hz: what is below is not the fricative's noise."""
    power = np.abs(np.fft.rfft(waveform)) ** 2
    frequency = np.fft.rfftfreq(len(waveform), 1 / rate)
    power[frequency < 1000] = 0
    return float(frequency @ power / power.sum())


def real_vowels(directory: Path, vowel: str, count: int = 200) -> list[tuple[np.ndarray, int]]:
    """Vowels of at least 0.1 s from a corpus, spread over its utterances, and their sample rate."""
    utterances = [u for u in read_directory(directory) if u.alignment is not None]
    rng, found = np.random.default_rng(0), []
    for place in rng.permutation(len(utterances)):
        recording, alignment = audio.read(utterances[place].audio), utterances[place].alignment
        long = alignment.ends - alignment.starts >= 0.1
        chosen = np.flatnonzero(long & (alignment.labels == phones.index(vowel)))
        for k in chosen[:2]:
            edges = slice(
                *(round(t * recording.sample_rate) for t in (alignment.starts[k], alignment.ends[k]))
            )
            found.append((recording.samples[0, edges], recording.sample_rate))
        if len(found) >= count:
            break
    return found[:count]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--labelled", type=Path)
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

    if arguments.labelled is not None:
        print("\n| real vowel | median F1 (Hz) | median F2 (Hz) |\n|---|---|---|")
        for vowel in HILLENBRAND:
            f = np.median([formants(*real) for real in real_vowels(arguments.labelled, vowel)], axis=0)
            print(f"| {vowel} | {f[0]:.0f} | {f[1]:.0f} |")


if __name__ == "__main__":
    main()
