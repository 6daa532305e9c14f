"""Which ways to train an energy model of phones survive, and what they are worth.

python recipes/stability/local/study.py CONFIG --labelled DATA --out study.jsonl [--rows st-jem jem]

Trains CONFIG once a row and seed, with what the row changes, and appends one JSON line each to --out; what is
there already is not run again. `--table study.jsonl` prints the table of such a file. Columns: share of the
seeds that diverged (a loss or gradient that is not finite, or |logit| beyond the limit), the median update at
which they did, the largest |logit|, the energy gap at the end, accuracy and calibration error (ECE, 15 bins)
on frames of held-out speakers, of the averaged weights of those that survived, and minutes.
"""

import argparse
import json
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from speechjem import evaluate
from speechjem.data.dataset import Corpus, Recording, load_corpus
from speechjem.errors import DivergenceError
from speechjem.model import SpeechModel
from speechjem.settings import TrainConfig, read_config
from speechjem.train import Trainer

MEASURED = 40  # held-out recordings

ROWS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    # name: (what it is, changes of the training, changes of the energy objective)
    "ce": ("cross-entropy only", {}, {"weight": 0.0}),
    "jem": ("plain JEM", {}, {"objective": "jem", "adapt": False}),
    "jem-careful": (
        "plain JEM, a third of the rate, gradients clipped at 0.1",
        {"learning_rate": 1e-3, "clip": 0.1},
        {"objective": "jem", "adapt": False},
    ),
    "hdge": ("HDGE", {}, {"objective": "hdge"}),
    "joint": ("ST-JEM without mutual information", {}, {"objective": "joint"}),
    "st-jem": ("ST-JEM", {}, {}),
    "st-jem-fixed": ("ST-JEM without adaptation", {}, {"adapt": False}),
    "st-jem-dsm": ("ST-JEM and denoising score matching", {"score_matching": 0.1}, {}),
    "st-jem-descent": ("ST-JEM and descent", {"denoise": 1.0}, {}),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path, nargs="?")
    parser.add_argument("--labelled", type=Path)
    parser.add_argument("--noise", type=Path)
    parser.add_argument("--out", type=Path, default=Path("study.jsonl"))
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--table", type=Path)
    arguments = parser.parse_args()
    if arguments.table:
        print(table(read(arguments.table)))
        return
    if not (arguments.config and arguments.labelled):
        parser.error("give CONFIG and --labelled, or --table")

    config = read_config(arguments.config)
    corpus = load_corpus(arguments.labelled, None, arguments.noise, config.data.held_out_speakers, 16000)
    done = {(run["row"], run["seed"]) for run in read(arguments.out)}
    for seed in range(arguments.seeds):
        for row in arguments.rows:
            if (row, seed) not in done:
                outcome = {"row": row, "seed": seed, **run(changed(config, row, seed), corpus)}
                with arguments.out.open("a") as file:
                    file.write(json.dumps(outcome) + "\n")


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def changed(config: TrainConfig, row: str, seed: int) -> TrainConfig:
    _, training, energy = ROWS[row]
    return replace(config, seed=seed, energy=replace(config.energy, **energy), **training)


def run(config: TrainConfig, corpus: Corpus) -> dict[str, Any]:
    """Train, and measure what is left."""
    start = time.monotonic()
    trainer = Trainer(config, corpus)
    largest, gaps, diverged = 0.0, [0.0], None
    while trainer.update < config.updates and diverged is None:
        try:
            metrics = trainer.step()
        except DivergenceError:
            diverged = trainer.update
            break
        largest = max(largest, metrics["max_logit"])
        gaps = [*gaps[-49:], metrics.get("energy_gap", 0.0)]
    outcome = {"diverged": diverged, "max_logit": largest, "energy_gap": float(np.mean(gaps))}
    if diverged is None:
        chosen = corpus.held_out[:: max(1, len(corpus.held_out) // MEASURED)][:MEASURED]
        outcome |= measured(trainer.shipped(), chosen)
    return outcome | {"minutes": (time.monotonic() - start) / 60}


def measured(model: SpeechModel, recordings: Iterable[Recording]) -> dict[str, float]:
    """Accuracy, and expected calibration error (Naeini et al. 2015), of frames."""
    confident, right = [], []
    for recording in recordings:
        if recording.alignment is None:
            continue
        posterior = np.exp(evaluate.log_posterior(model, recording.samples / np.float32(32767)))
        times = np.arange(len(posterior)) * model.fbank.frame_seconds
        confident.append(posterior.max(1))
        right.append(posterior.argmax(1) == recording.alignment.at(times))
    return {
        "accuracy": float(np.mean(np.concatenate(right))),
        "ece": ece(*map(np.concatenate, (confident, right))),
    }


def ece(confidence: np.ndarray, right: np.ndarray, bins: int = 15) -> float:
    """Mean distance of confidence and accuracy, over bins of confidence, weighted by their sizes."""
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs((confidence - right)[place == k].sum()) for k in range(bins)]
    return float(np.sum(gaps) / len(right))


def table(runs: list[dict[str, Any]]) -> str:
    lines = [
        "| training | seeds | diverged | at update | largest logit | energy gap | accuracy | ECE | minutes |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row, (name, *_) in ROWS.items():
        of = [run for run in runs if run["row"] == row]
        if not of:
            continue
        gone = [run["diverged"] for run in of if run["diverged"] is not None]
        left = [run for run in of if run["diverged"] is None]
        cells = [
            name,
            str(len(of)),
            f"{len(gone) / len(of):.0%}",
            f"{np.median(gone):.0f}" if gone else "",
            f"{np.median([run['max_logit'] for run in of]):.0f}",
            *(
                spread(left, key, form)
                for key, form in (("energy_gap", ".1f"), ("accuracy", ".3f"), ("ece", ".3f"))
            ),
            f"{np.mean([run['minutes'] for run in of]):.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def spread(runs: list[dict[str, Any]], key: str, form: str) -> str:
    """Mean and standard deviation of the runs that survived."""
    values = [run[key] for run in runs]
    return f"{np.mean(values):{form}} ± {np.std(values):{form}}" if values else ""


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
