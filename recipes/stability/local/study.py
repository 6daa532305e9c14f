"""Which ways to train an energy model of phones, or of images, survive, and what they are worth.

python recipes/stability/local/study.py CONFIG --labelled DATA --out study.jsonl [--rows st-jem jem]
python recipes/stability/local/study.py CONFIG --images FOLDER --out images.jsonl
python recipes/stability/local/study.py CONFIG --labelled DATA --out map.jsonl --map
python recipes/stability/local/study.py --table study.jsonl
python recipes/stability/local/study.py --picture map.png map.jsonl

Trains CONFIG once a row and seed, with what the row changes, and appends one JSON line each to --out; what is
there already is not run again. `--map` trains plain JEM and ST-JEM, both with a sampler that is not adapted,
over the task's SGLD step sizes and learning rates instead.

Columns of the table: share of the seeds that diverged (a loss or gradient that is not finite, or |logit|
beyond the limit) and the median update at which they did; the largest |logit|; then, of the averaged weights
of those that survived, the energy gap at the end, accuracy and calibration error (ECE, 15 bins) on frames of
held-out speakers or on test images; how many of the chains sampled from N(0, 1), one phone each, or from
U(-1, 1), one class each, an independent judge recognises, and how far they lie apart, as a ratio to real
ones; what SGLD on E(x) gains in PESQ-WB on noisy speech; and minutes of one core.
"""

import argparse
import json
import multiprocessing
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from tasks import Images, Speech

from speechjem.energy.langevin import ReplayBuffer, Start
from speechjem.errors import DivergenceError
from speechjem.runtime.atomic import replace_file
from speechjem.training.loop import Trainer

sys.path.append(str(Path(__file__).parents[2] / "steps"))
import common

WHICH = ("row", "seed", "step_size", "learning_rate")


class OnePool(ReplayBuffer):
    """No classes: a chain goes on under whatever class comes next."""

    def choose(self, labels: torch.Tensor, restart: float) -> tuple[torch.Tensor, torch.Tensor]:
        return super().choose(torch.zeros_like(labels), restart)

    def take(
        self, labels: torch.Tensor, slots: torch.Tensor, anew: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        return super().take(torch.zeros_like(labels), slots, anew, generator)

    def put(self, labels: torch.Tensor, slots: torch.Tensor, chains: torch.Tensor) -> None:
        super().put(torch.zeros_like(labels), slots, chains)


def one_pool(trainer: Trainer) -> ReplayBuffer:
    classes, slots, *shape = trainer.buffer.chains.shape
    return OnePool(1, classes * slots, tuple(shape), trainer.buffer.start, trainer.generator)


def started(trainer: Trainer, start: Start) -> ReplayBuffer:
    classes, slots, *shape = trainer.buffer.chains.shape
    return ReplayBuffer(classes, slots, tuple(shape), start, trainer.generator)


@dataclass(frozen=True)
class Row:
    """A way to train: its name in the table, and what it changes.

    Attributes:
        training, energy: settings.
        slower: divisor of the learning rate.
        buffer: of chains: by class; one "pool" for all; or by class, from "gaussians".
    """

    name: str
    training: dict[str, Any] = field(default_factory=dict)
    energy: dict[str, Any] = field(default_factory=dict)
    slower: float = 1.0
    buffer: str = "classes"


CLIPPED = {"clip": 0.1}
ROWS = {
    "ce": Row("cross-entropy only", {"classify": 1.0}, {"weight": 0.0}),
    "jem": Row("plain JEM", energy={"objective": "jem", "adapt": False}),
    "jem-l2": Row("plain JEM, L2 on the energy", energy={"objective": "jem-l2", "adapt": False}),
    "jem-careful": Row(
        "plain JEM, a third of the rate, clipped at 0.1", CLIPPED, {"objective": "jem", "adapt": False}, 3.0
    ),
    "jem-both": Row("plain JEM, both", CLIPPED, {"objective": "jem-l2", "adapt": False}, 3.0),
    "hdge": Row("HDGE", energy={"objective": "hdge"}),
    "joint": Row("ST-JEM without mutual information", energy={"objective": "joint"}),
    "st-jem": Row("ST-JEM"),
    "st-jem-fixed": Row("ST-JEM without adaptation", energy={"adapt": False}),
    "st-jem-pool": Row("ST-JEM without class buffer", buffer="pool"),
    "st-jem-starts": Row("ST-JEM, chains start from class Gaussians", buffer="gaussians"),
}
SPEECH_ROWS = {
    "st-jem-dsm": Row("ST-JEM and denoising score matching", {"score_matching": 0.1}),
    "st-jem-descent": Row("ST-JEM and descent", {"denoise": 1.0}),
}
ALL = ROWS | SPEECH_ROWS
task: Speech | Images  # of the process, which `prepare` sets
MAPPED = {"jem": ROWS["jem"].name, "st-jem-fixed": ROWS["st-jem-fixed"].name}


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("config", type=Path, nargs="?")
    parser.add_argument("--labelled", type=Path, help="speech: data directory with an alignment")
    parser.add_argument("--noise", type=Path, help="speech: folder of recorded noise")
    parser.add_argument("--images", type=Path, help="images: their folder")
    parser.add_argument("--out", type=Path, default=Path("study.jsonl"))
    parser.add_argument("--rows", nargs="+", choices=ALL)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1, help="runs at once, one core each")
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
    if not arguments.config or bool(arguments.labelled) == bool(arguments.images):
        parser.error("give CONFIG and --labelled or --images, or --table, or --picture")

    rows = arguments.rows or list(ROWS if arguments.images else ALL)
    cells: list[dict[str, float]] = [{}]
    if arguments.map:
        rows = list(MAPPED)
        kind = Images if arguments.images else Speech
        cells = [{"step_size": a, "learning_rate": b} for a in kind.step_sizes for b in kind.rates]
    done = [{key: run.get(key) for key in WHICH} for run in read(arguments.out)]
    wanted = [
        dict.fromkeys(WHICH) | {"row": row, "seed": seed} | cell
        for seed in range(arguments.seeds)
        for cell in cells
        for row in rows
    ]
    left = [which for which in wanted if which not in done]
    with multiprocessing.Pool(arguments.jobs, prepare, (arguments,)) as pool:
        for outcome in pool.imap_unordered(run, left):
            with arguments.out.open("a") as file:
                file.write(json.dumps(outcome) + "\n")


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def prepare(arguments: argparse.Namespace) -> None:
    global task
    torch.set_num_threads(1)
    worth = not arguments.map
    if arguments.images:
        task = Images(arguments.config, arguments.images, worth)
    else:
        task = Speech(arguments.config, arguments.labelled, arguments.noise, worth)


def run(which: dict[str, Any]) -> dict[str, Any]:
    """Train, and measure what is left."""
    row = ALL[which["row"]]
    training = {"learning_rate": which["learning_rate"] or task.config.learning_rate / row.slower}
    energy = replace(task.config.energy, **row.energy)
    if which["step_size"]:
        energy = replace(energy, langevin=replace(energy.langevin, step_size=which["step_size"]))
    config = replace(task.config, seed=which["seed"], energy=energy, **training, **row.training)

    start = time.process_time()
    trainer = task.trainer(config)
    if row.buffer == "pool":
        trainer.buffer = one_pool(trainer)
    elif row.buffer == "gaussians":
        trainer.buffer = started(trainer, task.start(trainer))
    largest, gaps, diverged = 0.0, [0.0], None
    while trainer.update < config.updates and diverged is None:
        try:
            metrics = trainer.step()
        except DivergenceError:
            diverged = trainer.update
            break
        largest = max(largest, metrics["max_logit"])
        gaps = [*gaps[-49:], metrics.get("energy_gap", 0.0)]
    outcome = which | {"diverged": diverged, "max_logit": largest, "energy_gap": float(np.mean(gaps))}
    outcome["minutes"] = (time.process_time() - start) / 60
    if diverged is None:
        outcome |= task.worth(trainer) if hasattr(task, "judge") else {"accuracy": metrics["accuracy"]}
    return outcome


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
    for key, row in ALL.items():
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
    values = [run[key] for run in runs if key in run]
    return f"{np.mean(values):{form}} ± {np.std(values):{form}}" if values else ""


def draw(runs: list[dict[str, Any]], path: Path) -> None:
    """The stability map: share of runs that survive, and the median of the largest |logit| in each cell."""
    step_sizes, rates = (sorted({run[key] for run in runs}) for key in ("step_size", "learning_rate"))
    figure, axes = plt.subplots(1, len(MAPPED), figsize=(9, 4), sharey=True, layout="constrained")
    for axis, (row, name) in zip(axes, MAPPED.items(), strict=True):
        survived = np.full((len(rates), len(step_sizes)), np.nan)
        for i, rate in enumerate(rates):
            for j, step in enumerate(step_sizes):
                of = [r for r in runs if (r["row"], r["step_size"], r["learning_rate"]) == (row, step, rate)]
                if of:
                    survived[i, j] = np.mean([run["diverged"] is None for run in of])
                    logit = np.median([run["max_logit"] for run in of])
                    dark = survived[i, j] < 0.5
                    axis.text(j, i, f"{logit:.0f}", ha="center", va="center", color="w" if dark else "k")
        image = axis.imshow(survived, vmin=0, vmax=1, cmap="cividis", origin="lower", aspect="auto")
        axis.set_xticks(range(len(step_sizes)), step_sizes)
        axis.set_yticks(range(len(rates)), rates)
        axis.set(title=name, xlabel="SGLD step size")
    axes[0].set_ylabel("learning rate")
    figure.colorbar(image, ax=axes, label="share of runs that survive (number: largest |logit|)")
    replace_file(path, lambda beside: figure.savefig(beside, dpi=120, format="png"))


if __name__ == "__main__":
    main()
