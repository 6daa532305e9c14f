"""Mean scores of every denoising mode of a model on a folder of pairs, and the factor of real time.

The last is of processor time, so that other work of the machine hardly counts.

python recipes/steps/denoise_scores.py MODEL NOISY_FOLDER CLEAN_FOLDER
"""

import time
from pathlib import Path

import common
import numpy as np
import torch

from speechjem import audio, metrics
from speechjem.denoising.denoiser import Denoiser
from speechjem.models import checkpoint

NAMES = ("pesq_wb", "stoi", "estoi", "si_sdr")


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("noisy", type=Path)
    parser.add_argument("clean", type=Path)
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    pairs = [tuple(map(audio.read, pair)) for pair in metrics.pairs(arguments.clean, arguments.noisy)]
    model = checkpoint.load(arguments.model)
    systems = {"noisy input": None, "prior (SGLD)": Denoiser(model, mode="prior", device="cpu")}
    for steps in range(1, model.config.descent.steps + 1):
        systems[f"descent, {steps} step{'s' * (steps > 1)}"] = Denoiser(
            model, mode="descent", steps=steps, device="cpu"
        )
    print(f"{len(pairs)} pairs, one thread\n")
    print("| system | PESQ-WB | STOI | ESTOI | SI-SDR (dB) | real-time factor |\n|---|---|---|---|---|---|")
    for name, denoiser in systems.items():
        print(row(name, denoiser, pairs), flush=True)


def row(name: str, denoiser: Denoiser | None, pairs: list[tuple[audio.Audio, ...]]) -> str:
    """One row of the table."""
    values, spent, seconds = [], 0.0, 0.0
    for clean, noisy in pairs:
        start = time.process_time()
        output = noisy.samples if denoiser is None else denoiser(noisy.samples, noisy.sample_rate)
        spent += time.process_time() - start
        seconds += noisy.samples.shape[1] / noisy.sample_rate
        scores = metrics.score(clean.samples[0], output[0], clean.sample_rate)
        values.append([scores[n].value if scores[n].value is not None else np.nan for n in NAMES])
    means = np.nanmean(values, axis=0)
    factor = f"{spent / seconds:.3f}" if denoiser else ""
    return f"| {name} | {means[0]:.3f} | {means[1]:.3f} | {means[2]:.4f} | {means[3]:.2f} | {factor} |"


if __name__ == "__main__":
    main()
