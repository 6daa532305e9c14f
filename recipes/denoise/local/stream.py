"""A stream beside whole recordings: what hearing 72 ms ahead instead of everything costs.

python recipes/denoise/local/stream.py MODEL NOISY_FOLDER CLEAN_FOLDER [--count 20]

Recordings at the model's rate, pushed in blocks of 100 ms.
"""

import sys
from pathlib import Path

import numpy as np
import torch

from speechjem import audio, metrics
from speechjem.denoising.denoiser import Denoiser
from speechjem.denoising.streaming import StreamDenoiser

sys.path.append(str(Path(__file__).parents[2] / "steps"))
import common

RATE = 16000
BLOCK = 1600  # samples
NAMES = ("pesq_wb", "estoi", "si_sdr")


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("model")
    parser.add_argument("noisy", type=Path)
    parser.add_argument("clean", type=Path)
    parser.add_argument("--count", type=int, default=20)
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    denoiser = Denoiser(arguments.model, device="cpu")
    pairs = metrics.pairs(arguments.clean, arguments.noisy)
    chosen = common.evenly(pairs, arguments.count)
    values: dict[str, list[list[float]]] = {}
    for reference, degraded in chosen:
        clean, noisy = audio.read(reference).samples[0], audio.read(degraded).samples[0]
        outputs = {"noisy": noisy, "stream": streamed(noisy, denoiser), "whole": denoiser(noisy, RATE)}
        for name, samples in outputs.items():
            scores = metrics.score(clean, samples, RATE)
            row = [scores[n].value for n in NAMES]
            values.setdefault(name, []).append(common.numbers(row))
    print(f"{len(chosen)} pairs\n\n| input | PESQ-WB | ESTOI | SI-SDR (dB) |\n|---|---|---|---|")
    for name, rows in values.items():
        pesq, estoi, si_sdr = np.nanmean(rows, axis=0)
        print(f"| {name} | {pesq:.3f} | {estoi:.4f} | {si_sdr:.2f} |")


def streamed(noisy: np.ndarray, denoiser: Denoiser) -> np.ndarray:
    stream = StreamDenoiser(RATE, 1, denoiser)
    blocks = [stream.push(noisy[None, start : start + BLOCK]) for start in range(0, len(noisy), BLOCK)]
    return np.concatenate([*blocks, stream.flush()], axis=1)[0]


if __name__ == "__main__":
    main()
