"""Which ways to train an energy model of phones survive, and what they are worth.

python recipes/stability/local/study.py CONFIG --labelled DATA --out study.jsonl [--rows st-jem jem]
python recipes/stability/local/study.py CONFIG --labelled DATA --out map.jsonl --map
python recipes/stability/local/study.py --table study.jsonl
python recipes/stability/local/study.py --picture map.png map.jsonl

Trains CONFIG once a row and seed, with what the row changes, and appends one JSON line each to --out; what is
there already is not run again. `--map` trains plain JEM and ST-JEM, both with a sampler that is not adapted,
over the SGLD step sizes and learning rates of `STEP_SIZES` and `RATES` instead.

Columns of the table: share of the seeds that diverged (a loss or gradient that is not finite, or |logit|
beyond the limit) and the median update at which they did; the largest |logit|; then, of the averaged weights
of those that survived, the energy gap at the end, accuracy and calibration error (ECE, 15 bins) on frames of
held-out speakers; how many of the chains sampled from N(0, 1), one phone each, an independent judge
recognises, and how far they lie apart, as a ratio to real phones; what SGLD on E(x) gains in PESQ-WB on
noisy speech; and minutes of one core.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch

from samples import Judge
from speechjem import evaluate
from speechjem.data.dataset import Corpus, Recording, load_corpus
from speechjem.errors import DivergenceError
from speechjem.files import replace_file
from speechjem.langevin import ReplayBuffer
from speechjem.model import SpeechModel
from speechjem.settings import TrainConfig, read_config
from speechjem.train import Trainer

MEASURED = 40  # held-out recordings
STEP_SIZES = (0.03, 0.1, 0.3, 1.0, 3.0)
RATES = (3e-4, 1e-3, 3e-3, 1e-2)


class OnePool(ReplayBuffer):
    """No classes: a chain goes on under whatever phone comes next."""

    def draw(self, labels: torch.Tensor, restart: float) -> tuple[torch.Tensor, torch.Tensor]:
        return super().draw(torch.zeros_like(labels), restart)

    def put(self, labels: torch.Tensor, slots: torch.Tensor, chains: torch.Tensor) -> None:
        super().put(torch.zeros_like(labels), slots, chains)


def one_pool(trainer: Trainer) -> ReplayBuffer:
    classes, slots, *shape = trainer.buffer.chains.shape
    return OnePool(1, classes * slots, tuple(shape), trainer.buffer.start, trainer.generator)


def from_phones(trainer: Trainer) -> ReplayBuffer:
    """Chains that start from the Gaussian of their phone."""
    classes, slots, frames, bins = trainer.buffer.chains.shape
    starts = trainer.model.starts

    def start(labels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        drawn = [starts.draw(label.expand(frames), 1, generator) for label in labels]
        return torch.cat([torch.empty(0, frames, bins), *drawn])

    return ReplayBuffer(classes, slots, (frames, bins), start, trainer.generator)


@dataclass(frozen=True)
class Row:
    """A way to train: its name in the table, and what it changes."""

    name: str
    training: dict[str, Any] = field(default_factory=dict)
    energy: dict[str, Any] = field(default_factory=dict)
    buffer: Callable[[Trainer], ReplayBuffer] | None = None


CAREFUL = {"learning_rate": 1e-3, "clip": 0.1}
ROWS = {
    "ce": Row("cross-entropy only", energy={"weight": 0.0}),
    "jem": Row("plain JEM", energy={"objective": "jem", "adapt": False}),
    "jem-l2": Row("plain JEM, L2 on the energy", energy={"objective": "jem-l2", "adapt": False}),
    "jem-careful": Row(
        "plain JEM, a third of the rate, clipped at 0.1", CAREFUL, {"objective": "jem", "adapt": False}
    ),
    "jem-both": Row("plain JEM, both", CAREFUL, {"objective": "jem-l2", "adapt": False}),
    "hdge": Row("HDGE", energy={"objective": "hdge"}),
    "joint": Row("ST-JEM without mutual information", energy={"objective": "joint"}),
    "st-jem": Row("ST-JEM"),
    "st-jem-fixed": Row("ST-JEM without adaptation", energy={"adapt": False}),
    "st-jem-pool": Row("ST-JEM without class buffer", buffer=one_pool),
    "st-jem-starts": Row("ST-JEM, chains start from class Gaussians", buffer=from_phones),
    "st-jem-dsm": Row("ST-JEM and denoising score matching", {"score_matching": 0.1}),
    "st-jem-descent": Row("ST-JEM and descent", {"denoise": 1.0}),
}
MAPPED = {"jem": ROWS["jem"].name, "st-jem-fixed": ROWS["st-jem-fixed"].name}


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
    parser.add_argument("--map", action="store_true")
    parser.add_argument("--table", type=Path)
    parser.add_argument("--picture", type=Path, nargs=2, metavar=("PNG", "JSONL"))
    arguments = parser.parse_args()
    if arguments.table:
        print(table(read(arguments.table)))
        return
    if arguments.picture:
        draw(read(arguments.picture[1]), arguments.picture[0])
        return
    if not (arguments.config and arguments.labelled):
        parser.error("give CONFIG and --labelled, or --table, or --picture")

    config = read_config(arguments.config)
    corpus = load_corpus(arguments.labelled, None, arguments.noise, config.data.held_out_speakers, 16000)
    measure = None if arguments.map else Measures(corpus, config)
    cells = [{}]
    if arguments.map:
        arguments.rows = list(MAPPED)
        cells = [{"step_size": step, "learning_rate": rate} for step in STEP_SIZES for rate in RATES]
    done = [
        {key: run.get(key) for key in ("row", "seed", "step_size", "learning_rate")}
        for run in read(arguments.out)
    ]
    for seed in range(arguments.seeds):
        for cell in cells:
            for row in arguments.rows:
                which = {"row": row, "seed": seed, "step_size": None, "learning_rate": None} | cell
                if which not in done:
                    outcome = which | run(changed(config, **which), corpus, ROWS[row].buffer, measure)
                    with arguments.out.open("a") as file:
                        file.write(json.dumps(outcome) + "\n")


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def changed(
    config: TrainConfig, row: str, seed: int, step_size: float | None, learning_rate: float | None
) -> TrainConfig:
    training, energy = dict(ROWS[row].training), dict(ROWS[row].energy)
    if step_size is not None:
        energy["langevin"] = replace(config.energy.langevin, step_size=step_size)
    if learning_rate is not None:
        training["learning_rate"] = learning_rate
    return replace(config, seed=seed, energy=replace(config.energy, **energy), **training)


class Measures:
    """What the models are worth that survive."""

    def __init__(self, corpus: Corpus, config: TrainConfig):
        self.recordings = corpus.held_out[:: max(1, len(corpus.held_out) // MEASURED)][:MEASURED]
        self.probe = evaluate.DenoiseProbe(corpus)
        self.judge = Judge(corpus, config.model)

    def __call__(self, trainer: Trainer) -> dict[str, float]:
        model = trainer.shipped()
        sampler = trainer.adaptation.config if trainer.config.energy.adapt else trainer.config.energy.langevin
        return {
            **frames(model, self.recordings),
            **self.judge(model, sampler),
            "pesq_gain": self.probe.scores(model, mode="prior")["pesq_wb_gain"],
        }


def run(
    config: TrainConfig,
    corpus: Corpus,
    buffer: Callable[[Trainer], ReplayBuffer] | None,
    measure: Measures | None,
) -> dict[str, Any]:
    """Train, and measure what is left."""
    start = time.process_time()
    trainer = Trainer(config, corpus)
    if buffer:
        trainer.buffer = buffer(trainer)
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
    outcome["minutes"] = (time.process_time() - start) / 60
    if diverged is None:
        outcome |= measure(trainer) if measure else {"accuracy": metrics["accuracy"]}
    return outcome


def frames(model: SpeechModel, recordings: Iterable[Recording]) -> dict[str, float]:
    """Accuracy and calibration error of frames."""
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
        "ece": evaluate.calibration_error(*map(np.concatenate, (confident, right))),
    }


COLUMNS = {
    "energy_gap": ("energy gap", ".1f"),
    "accuracy": ("accuracy", ".3f"),
    "ece": ("ECE", ".3f"),
    "judge": ("judge", ".2f"),
    "diversity": ("diversity", ".2f"),
    "pesq_gain": ("PESQ gain", ".2f"),
}


def table(runs: list[dict[str, Any]]) -> str:
    heads = ["training", "seeds", "diverged", "at update", "largest logit"]
    heads += [head for head, _ in COLUMNS.values()] + ["minutes"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for key, row in ROWS.items():
        of = [run for run in runs if run["row"] == key]
        if not of:
            continue
        gone = [run["diverged"] for run in of if run["diverged"] is not None]
        left = [run for run in of if run["diverged"] is None]
        cells = [
            row.name,
            str(len(of)),
            f"{len(gone) / len(of):.0%}",
            f"{np.median(gone):.0f}" if gone else "",
            f"{np.median([run['max_logit'] for run in of]):.0f}",
            *(spread(left, column, form) for column, (_, form) in COLUMNS.items()),
            f"{np.mean([run['minutes'] for run in of]):.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def spread(runs: list[dict[str, Any]], key: str, form: str) -> str:
    """Mean and standard deviation of the runs that survived."""
    values = [run[key] for run in runs]
    return f"{np.mean(values):{form}} ± {np.std(values):{form}}" if values else ""


def draw(runs: list[dict[str, Any]], path: Path) -> None:
    """The stability map: share of runs that survive, and the median of the largest |logit| in each cell."""
    figure, axes = plt.subplots(1, len(MAPPED), figsize=(9, 4), sharey=True, layout="constrained")
    for axis, (row, name) in zip(axes, MAPPED.items(), strict=True):
        survived = np.full((len(RATES), len(STEP_SIZES)), np.nan)
        for i, rate in enumerate(RATES):
            for j, step in enumerate(STEP_SIZES):
                of = [r for r in runs if (r["row"], r["step_size"], r["learning_rate"]) == (row, step, rate)]
                if of:
                    survived[i, j] = np.mean([run["diverged"] is None for run in of])
                    logit = np.median([run["max_logit"] for run in of])
                    dark = survived[i, j] < 0.5
                    axis.text(j, i, f"{logit:.0f}", ha="center", va="center", color="w" if dark else "k")
        image = axis.imshow(survived, vmin=0, vmax=1, cmap="cividis", origin="lower", aspect="auto")
        axis.set_xticks(range(len(STEP_SIZES)), STEP_SIZES)
        axis.set_yticks(range(len(RATES)), RATES)
        axis.set(title=name, xlabel="SGLD step size")
    axes[0].set_ylabel("learning rate")
    figure.colorbar(image, ax=axes, label="share of runs that survive (number: largest |logit|)")
    replace_file(path, lambda beside: figure.savefig(beside, dpi=120, format="png"))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
