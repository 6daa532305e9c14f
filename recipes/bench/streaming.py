"""What a training on shards costs: memory, reading, drawing batches, updates. One thread.

python recipes/bench/streaming.py CONF 'SHARDS/*.tar' [--repeat 16] [--batches 40] [--updates 5]

--repeat makes the corpus so many times as large, by links to its shards. The window moves every 4 batches,
ten times as often as by default, so that memory shows what reading adds. Seconds are of CPU time, which other
work on the machine changes little; memory is the peak of the process before the first update.
"""

import os
import resource
import sys
import tempfile
import time
from dataclasses import replace
from glob import glob
from pathlib import Path

import torch

from speechjem.data.dataset import Batches, load_corpus
from speechjem.data.shards import Shards, Window
from speechjem.training.settings import TrainConfig, read_config
from speechjem.training.speech import SpeechTrainer

sys.path.append(str(Path(__file__).parents[1] / "steps"))
import common


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("conf", type=Path)
    parser.add_argument("shards", help="pattern of their paths")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument("--updates", type=int, default=0)
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    config = read_config(arguments.conf)
    with tempfile.TemporaryDirectory() as folder:
        paths = repeated(sorted(glob(arguments.shards)), arguments.repeat, Path(folder))
        gigabytes = sum(os.path.getsize(path) for path in paths) / 1e9
        pattern = f"{folder}/*.tar"
        print(f"| shards | {len(paths)} ({gigabytes:.2f} GB) |\n|---|---|")
        read(pattern, config)
        draw(pattern, config, arguments.batches)
        if arguments.updates:
            update(pattern, config, arguments.updates)


def repeated(paths: list[str], times: int, folder: Path) -> list[Path]:
    links = [folder / f"{turn}-{os.path.basename(path)}" for turn in range(times) for path in paths]
    for link, path in zip(links, paths * times, strict=True):
        link.symlink_to(os.path.abspath(path))
    return links


def read(pattern: str, config: TrainConfig) -> None:
    """One shard, from its file to memory."""
    start = time.process_time()
    recordings = Shards(pattern, config.model.fbank.sample_rate, window=Window(1, 1)).at(0)
    spent = time.process_time() - start  # of two: the next is read meanwhile
    seconds = sum(len(r.samples) for r in recordings) / config.model.fbank.sample_rate
    print(f"| a shard | {seconds / 60:.1f} min, read in at most {spent:.2f} s |")


def draw(pattern: str, config: TrainConfig, count: int) -> None:
    """Batches from a window that moves."""
    fbank = config.model.fbank
    window = replace(config.data.window, updates=4)
    corpus = load_corpus(pattern, None, None, [], fbank.sample_rate, window=window)
    batches = Batches(corpus, config.batch, config.seconds, fbank.hop, fbank.level, 0, config.augment)
    batches.draw(0)
    start = time.process_time()
    for number in range(count):
        batches.draw(number)
    spent = (time.process_time() - start) / count
    print(f"| a batch of {config.batch} x {config.seconds:g} s, reading included | {spent:.3f} s |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"| peak memory | {peak:.0f} MB |", flush=True)


def update(pattern: str, config: TrainConfig, count: int) -> None:
    corpus = load_corpus(pattern, None, None, [], config.model.fbank.sample_rate, window=config.data.window)
    trainer = SpeechTrainer(config, corpus)
    trainer.step()
    start = time.process_time()
    for _ in range(count):
        trainer.step()
    print(f"| an update, its batch included | {(time.process_time() - start) / count:.2f} s |")


if __name__ == "__main__":
    main()
