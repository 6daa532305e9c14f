"""What speech without labels is worth to the classifier when labels are rare.

    python recipes/energy/local/semi_supervised.py CONFIG DATA --out semi.jsonl
    python recipes/energy/local/semi_supervised.py --table semi.jsonl

Keeps the alignments of every tenth utterance, trains CONFIG four ways, several seeds each, and appends one
JSON line each to --out; what is there is not run again. The accuracy is that of frames of the held-out
speakers, by the averaged weights.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from speechjem.data.dataset import Corpus, load_corpus
from speechjem.training import evaluate
from speechjem.training.settings import read_config
from speechjem.training.speech import SpeechTrainer

sys.path.append(str(Path(__file__).parents[2] / "steps"))
import common

# name: share of utterances that keep their labels, changes of the energy objective
WAYS = {
    "cross-entropy, a tenth of the labels": (0.1, {"weight": 0.0}),
    "ST-JEM, a tenth of the labels": (0.1, {}),
    "ST-JEM, a tenth of the labels, and the other speech": (0.1, {"unlabelled": 1.0}),
    "cross-entropy, all labels": (1.0, {"weight": 0.0}),
}


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("config", type=Path, nargs="?")
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--out", type=Path, default=Path("semi.jsonl"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--table", type=Path)
    arguments = parser.parse_args()
    if arguments.table:
        print(table(arguments.table))
        return
    if not (arguments.config and arguments.data):
        parser.error("give CONFIG and DATA, or --table")

    config = read_config(arguments.config)
    rate = config.model.fbank.sample_rate
    corpus = load_corpus(arguments.data, None, None, config.data.held_out_speakers, rate)
    done = {(run["way"], run["seed"]) for run in read(arguments.out)}
    for seed in range(arguments.seeds):
        for way, (share, energy) in WAYS.items():
            if (way, seed) in done:
                continue
            changed = replace(config, seed=seed, energy=replace(config.energy, **energy))
            trainer = SpeechTrainer(changed, with_fewer_labels(corpus, share))
            while trainer.update < changed.updates:
                trainer.step()
            accuracy = evaluate.accuracy(evaluate.confusion(trainer.shipped(), corpus.held_out))
            with arguments.out.open("a") as file:
                file.write(json.dumps({"way": way, "seed": seed, "accuracy": accuracy}) + "\n")


def with_fewer_labels(corpus: Corpus, share: float) -> Corpus:
    """The corpus with the alignments of evenly spread recordings only; the others lose theirs."""
    every = round(1 / share)
    kept = corpus.labelled[::every]
    others = [replace(r, alignment=None) for i, r in enumerate(corpus.labelled) if i % every]
    return replace(corpus, labelled=kept, unlabelled=[*others, *corpus.unlabelled])


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(path: Path) -> str:
    lines = ["| training | seeds | accuracy |", "|---|---|---|"]
    for way in WAYS:
        found = [run["accuracy"] for run in read(path) if run["way"] == way]
        if found:
            lines.append(f"| {way} | {len(found)} | {np.mean(found):.3f} ± {np.std(found):.3f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
