"""Speech that training sees little of, made from clean recordings: how much of it the denoiser spoils.

python recipes/denoise/local/unusual.py MODEL CLEAN_FOLDER [--count 20] [--seed 0]

Every recording is changed as the row says, and denoised. PESQ-WB and ESTOI compare the output with the
changed recording; of a bang, only what lies more than 0.1 s before and after it. Muted are frames of 10 ms
within 40 dB of the loudest whose level falls by more than 20 dB.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from speechjem import audio, metrics
from speechjem.audio import rumble
from speechjem.data import degrade
from speechjem.denoising.denoiser import Denoiser

sys.path.append(str(Path(__file__).parents[2] / "steps"))
import common

RATE = 16000
FRAME = 160  # samples
Change = Callable[[np.random.Generator, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""What is to be heard of a recording, and what the denoiser is given."""


def same(change: Callable[[np.random.Generator, np.ndarray], np.ndarray]) -> Change:
    """A change that belongs to the speech."""

    def changed(rng: np.random.Generator, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        y = change(rng, x)
        return y, y

    return changed


def bang(rng: np.random.Generator, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """0.3 s of noise, 45 dB above the speech, in the middle."""
    noise, start = np.zeros_like(x), len(x) // 2
    noise[start : start + 3 * RATE // 10] = rng.standard_normal(min(3 * RATE // 10, len(x) - start))
    return x, x + 10 ** (45 / 20) * np.sqrt(np.mean(x**2)) * noise


def softer(_: np.random.Generator, x: np.ndarray) -> np.ndarray:
    """The second half 35 dB softer."""
    return np.concatenate([x[: len(x) // 2], 10 ** (-35 / 20) * x[len(x) // 2 :]])


CHANGES: dict[str, Change] = {
    "none": same(lambda _, x: x),
    "a bang of +45 dB": bang,
    "second half at -35 dB": same(softer),
    "speed x 1.3": same(lambda _, x: audio.resample(x, round(1.3 * RATE), RATE)),
    "speed x 1.6": same(lambda _, x: audio.resample(x, round(1.6 * RATE), RATE)),
    "whispered": same(degrade.whisper),
    "telephone": same(lambda rng, x: degrade.limit_band(rng, x, rate=RATE)[0]),
    "in a room": same(lambda rng, x: degrade.reverberate(x, degrade.room(rng, RATE))),
}


def around(x: np.ndarray) -> np.ndarray:
    """A recording without its bang."""
    middle = len(x) // 2
    return np.concatenate([x[: middle - RATE // 10], x[middle + 4 * RATE // 10 :]])


def muted(before: np.ndarray, after: np.ndarray) -> float:
    """Share of active frames whose level falls by more than 20 dB, in percent."""
    frames = len(before) // FRAME
    powers = [np.square(x[: frames * FRAME].reshape(frames, FRAME)).mean(1) + 1e-14 for x in (before, after)]
    active = powers[0] > 1e-4 * powers[0].max()
    return float(100 * (powers[1] < 0.01 * powers[0])[active].mean())


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("model")
    parser.add_argument("clean", type=Path)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    denoiser = Denoiser(arguments.model, device="cpu")
    sources = common.evenly(audio.find([arguments.clean]), arguments.count)
    print(f"{len(sources)} recordings\n\n| change | PESQ-WB | ESTOI | muted (%) |\n|---|---|---|---|")
    for name, change in CHANGES.items():
        rng, rows = np.random.default_rng(arguments.seed), []
        for source in sources:
            clean = rumble.removed(common.mono(audio.read(source.path), RATE), RATE)
            heard, given = change(rng, clean.astype(np.float32))
            output = denoiser(given, RATE)
            if change is bang:
                heard, output = around(heard), around(output)
            scores = metrics.score(heard, output, RATE)
            rows.append(
                [*common.numbers([scores["pesq_wb"].value, scores["estoi"].value]), muted(heard, output)]
            )
        pesq, estoi, share = np.nanmean(rows, axis=0)
        print(f"| {name} | {pesq:.3f} | {estoi:.4f} | {share:.2f} |", flush=True)


if __name__ == "__main__":
    main()
