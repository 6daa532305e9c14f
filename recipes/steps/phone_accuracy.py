"""Frame phone accuracy of a model on held-out speakers, and its confusion matrix as a picture.

    python recipes/steps/phone_accuracy.py MODEL CORPUS/train-clean-5 \
        --picture confusion.png
"""

import json
from pathlib import Path

import common
import numpy as np

from speechjem import phones, plot
from speechjem.data.dataset import in_memory
from speechjem.data.kaldi import read_directory
from speechjem.models import checkpoint
from speechjem.training import evaluate


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("labelled", type=Path, help="Kaldi data directory with ali.ctm")
    parser.add_argument("--speakers", nargs="+", help="held out; those in DATA/dev_speakers by default")
    parser.add_argument("--classes", type=int, choices=(39, 48), help="fold as TIMIT's labels are folded")
    parser.add_argument("--picture", type=Path, required=True)
    arguments = parser.parse_args()
    speakers = common.held_out(arguments.labelled, arguments.speakers)

    model = checkpoint.load(arguments.model)
    rate = model.config.fbank.sample_rate
    recordings = [
        in_memory(u.name, u.read(), rate, u.alignment)
        for u in read_directory(arguments.labelled)
        if u.speaker in speakers and u.alignment is not None
    ]
    counts, names = evaluate.confusion(model, recordings), list(model.config.phones)
    if arguments.classes:
        counts, names = folded(counts, names, arguments.classes)
    plot.confusion(counts, names, arguments.picture)
    frames = int(counts.sum())
    print(
        json.dumps({"utterances": len(recordings), "frames": frames, "accuracy": evaluate.accuracy(counts)})
    )


def folded(counts: np.ndarray, names: list[str], classes: int) -> tuple[np.ndarray, list[str]]:
    """Counts of the classes that phones fall into."""
    of = [phones.fold(name, classes) for name in names]
    kept = sorted({name for name in of if name is not None})
    to = np.array([[name == one for one in kept] for name in of], int)
    return to.T @ counts @ to, kept


if __name__ == "__main__":
    main()
