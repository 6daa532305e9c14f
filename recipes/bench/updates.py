"""Updates per second of a training on speech, on any device.

python recipes/bench/updates.py CONF DATA [--device cuda] [--workers 8] [--updates 30]

DATA is a data directory with an alignment. The first ten updates, which load and compile, do not count.
Seconds are of the clock: nothing else should run.
"""

import sys
import time
from pathlib import Path

import torch

from speechjem.data.dataset import load_corpus
from speechjem.runtime.device import choose_device
from speechjem.training.settings import read_config
from speechjem.training.speech import SpeechTrainer

sys.path.append(str(Path(__file__).parents[1] / "steps"))
import common

FIRST = 10


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("conf", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--updates", type=int, default=30)
    arguments = parser.parse_args()

    config, device = read_config(arguments.conf), choose_device(arguments.device)
    corpus = load_corpus(arguments.data, None, None, [], config.model.fbank.sample_rate)
    trainer = SpeechTrainer(config, corpus, device=device, workers=arguments.workers)
    for _ in range(FIRST):
        trainer.step()  # which ends when the device has done all of it, for its losses are read
    start = time.monotonic()
    for _ in range(arguments.updates):
        trainer.step()
    print(f"{arguments.updates / (time.monotonic() - start):.2f} updates/s on {device}")
    if device.type == "cuda":
        print(f"{torch.cuda.max_memory_allocated() / 2**20:.0f} MB on the GPU at most")


if __name__ == "__main__":
    main()
