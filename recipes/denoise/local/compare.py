"""A model beside the denoisers that people use today: same files, same run, one thread each.

pip install speechmos, and what peers.py names
python recipes/denoise/local/compare.py MODEL NOISY_FOLDER CLEAN_FOLDER [--only dtln gtcrn]

Real-time factors leave out the loading of each model. DNSMOS is Microsoft's P.835 model, in the package
speechmos.
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch
from peers import PEERS, RATE, Denoise
from speechmos import dnsmos

from speechjem import audio, metrics
from speechjem.denoising.denoiser import Denoiser

sys.path.append(str(Path(__file__).parents[2] / "steps"))
import common

NAMES = ("pesq_wb", "stoi", "estoi", "si_sdr")


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("model")
    parser.add_argument("noisy", type=Path)
    parser.add_argument("clean", type=Path)
    parser.add_argument("--only", nargs="*", choices=list(PEERS), default=list(PEERS))
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    pairs = [
        [audio.read(path).samples[0] for path in pair]
        for pair in metrics.pairs(arguments.clean, arguments.noisy)
    ]
    print(f"{len(pairs)} pairs\n")
    header = ("system", "PESQ-WB", "STOI", "ESTOI", "SI-SDR (dB)", "DNSMOS OVRL", "real-time factor")
    print(f"| {' | '.join(header)} |\n|{'---|' * len(header)}")
    row("noisy", lambda x: x, pairs)
    for name in arguments.only:
        row(name, PEERS[name](), pairs)
    denoiser = Denoiser(arguments.model, device="cpu")
    row("speechjem", lambda x: denoiser(x, RATE), pairs)


def row(name: str, denoise: Denoise, pairs: list[list[np.ndarray]]) -> None:
    """Print the means of one system."""
    denoise(pairs[0][1][: 2 * RATE])  # lazy loading is not the work itself
    start = time.perf_counter()
    outputs = [np.asarray(denoise(noisy), np.float32) for _, noisy in pairs]
    factor = (time.perf_counter() - start) / (sum(len(noisy) for _, noisy in pairs) / RATE)
    values = []
    for (clean, _), output in zip(pairs, outputs, strict=True):
        scores = metrics.score(clean, output, RATE)
        measured = [scores[n].value for n in NAMES]
        overall = dnsmos.run(output.clip(-1, 1), RATE)["ovrl_mos"]
        values.append([*common.numbers(measured), overall])
    means = "{:.3f} | {:.4f} | {:.4f} | {:.2f} | {:.2f}".format(*np.nanmean(values, axis=0))
    print(f"| {name} | {means} | {factor:.4f} |", flush=True)


if __name__ == "__main__":
    main()
