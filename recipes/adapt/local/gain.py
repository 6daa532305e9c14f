"""Mean scores of noisy recordings, and of what models make of them.

python recipes/adapt/local/gain.py NOISY_FOLDER CLEAN_FOLDER MODEL ...
"""

import sys
from pathlib import Path

import torch

from speechjem import audio, metrics
from speechjem.denoising.denoiser import Denoiser

sys.path.append(str(Path(__file__).parents[2] / "steps"))
import common
import denoise_scores


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("noisy", type=Path)
    parser.add_argument("clean", type=Path)
    parser.add_argument("models", nargs="+")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    pairs = [tuple(map(audio.read, pair)) for pair in metrics.pairs(arguments.clean, arguments.noisy)]
    print(f"{len(pairs)} pairs, one thread\n")
    print("| system | PESQ-WB | STOI | ESTOI | SI-SDR (dB) | real-time factor |\n|---|---|---|---|---|---|")
    print(denoise_scores.row("noisy", None, pairs), flush=True)
    for model in arguments.models:
        print(denoise_scores.row(model, Denoiser(model, device="cpu"), pairs), flush=True)


if __name__ == "__main__":
    main()
