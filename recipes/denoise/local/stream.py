"""A stream beside the denoisers that people use as streams: same files, same run, one thread each.

pip install what peers.py names
python recipes/denoise/local/stream.py MODEL NOISY_FOLDER CLEAN_FOLDER [--count 30] [--only dtln gtcrn]

Recordings at the model's rate, pushed in blocks of 10 ms. MODEL is causal, such as models/stream. Latency is
that of the window and of what is heard beyond it, as the authors give it. Real-time factors are of processor
time and leave out the loading of each model.
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch
from peers import PEERS, RATE, Denoise

from speechjem import audio, metrics
from speechjem.denoising.denoiser import Denoiser
from speechjem.denoising.streaming import StreamDenoiser

sys.path.append(str(Path(__file__).parents[2] / "steps"))
import common

BLOCK = 160  # samples
NAMES = ("pesq_wb", "estoi", "si_sdr")
LATENCIES = {"rnnoise": 20, "nsnet2": 20, "dtln": 32, "gtcrn": 32, "deepfilternet3": 40}  # ms


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("model")
    parser.add_argument("noisy", type=Path)
    parser.add_argument("clean", type=Path)
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--only", nargs="*", choices=list(LATENCIES), default=list(LATENCIES))
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    denoiser = Denoiser(arguments.model, device="cpu", precision="float32")
    chosen = common.evenly(metrics.pairs(arguments.clean, arguments.noisy), arguments.count)
    pairs = [[audio.read(path).samples[0] for path in pair] for pair in chosen]
    print(f"{len(pairs)} pairs\n")
    header = ("system", "latency (ms)", "real-time factor", "PESQ-WB", "ESTOI", "SI-SDR (dB)")
    print(f"| {' | '.join(header)} |\n|{'---|' * len(header)}")
    row("noisy", 0, lambda x: x, pairs)
    for name in arguments.only:
        row(name, LATENCIES[name], PEERS[name](), pairs)
    latency = round(1000 * StreamDenoiser(RATE, 1, denoiser).latency)
    row("stream", latency, lambda x: streamed(x, denoiser), pairs)
    row("the same, whole files", latency, lambda x: denoiser(x, RATE), pairs)


def row(name: str, latency: int, denoise: Denoise, pairs: list[list[np.ndarray]]) -> None:
    """Print the means of one system."""
    denoise(pairs[0][1][: 2 * RATE])  # lazy loading is not the work itself
    start = time.process_time()
    outputs = [np.asarray(denoise(noisy), np.float32) for _, noisy in pairs]
    factor = (time.process_time() - start) / (sum(len(noisy) for _, noisy in pairs) / RATE)
    values = []
    for (clean, _), output in zip(pairs, outputs, strict=True):
        scores = metrics.score(clean, output, RATE)
        values.append(common.numbers(scores[n].value for n in NAMES))
    means = "{:.3f} | {:.4f} | {:.2f}".format(*np.nanmean(values, axis=0))
    print(f"| {name} | {latency} | {factor:.4f} | {means} |", flush=True)


def streamed(noisy: np.ndarray, denoiser: Denoiser) -> np.ndarray:
    stream = StreamDenoiser(RATE, 1, denoiser)
    blocks = [stream.push(noisy[None, start : start + BLOCK]) for start in range(0, len(noisy), BLOCK)]
    return np.concatenate([*blocks, stream.flush()], axis=1)[0]


if __name__ == "__main__":
    main()
