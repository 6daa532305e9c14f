"""Whether p(phone | frame) can be believed: calibration error, and a reliability diagram.

    python recipes/energy/local/calibration.py DATA \
        --picture reliability.png MODEL [MODEL ...]

Of all frames of the speakers named: accuracy, mean confidence, expected calibration error (Naeini et al.
2015, 15 bins of confidence), negative log-likelihood, and the error on the second half of the utterances when
one temperature is fitted to the first half (Guo et al. 2017).
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from speech import utterances
from torch import Tensor

from speechjem.models import checkpoint
from speechjem.runtime.atomic import replace_file
from speechjem.training.evaluate import calibration_error

sys.path.append(str(Path(__file__).parents[2] / "steps"))
import common

BINS = 15


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--speakers", nargs="+", help="held out; those in DATA/dev_speakers by default")
    parser.add_argument("--picture", type=Path, required=True)
    arguments = parser.parse_args()
    speakers = common.held_out(arguments.data, arguments.speakers)

    figure, axis = plt.subplots(figsize=(4.5, 4.2), layout="constrained")
    axis.plot([0, 1], [0, 1], color="grey", linewidth=1)
    print("| model | accuracy | confidence | ECE | NLL | ECE, tempered | temperature |")
    print("|---|---|---|---|---|---|---|")
    for path in arguments.models:
        name, model = Path(path).name, checkpoint.load(path)
        speech = utterances(model, arguments.data, speakers)
        found = [(model.jem.logits(x[None])[0].detach(), labels) for x, labels in speech]
        half = len(found) // 2
        first, second, everything = (joined(part) for part in (found[:half], found[half:], found))
        temperature = fitted_temperature(*first)
        confidence, right = judged(*everything)
        tempered = calibration_error(*judged(second[0] / temperature, second[1]))
        error, likelihood = calibration_error(confidence, right), F.cross_entropy(*everything).item()
        cells = (right.mean(), confidence.mean(), error, likelihood, tempered, temperature)
        print(f"| {name} | {' | '.join(f'{cell:.3f}' for cell in cells)} |")
        axis.plot(*reliability(confidence, right), marker="o", markersize=4, label=name)
    axis.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    axis.legend()
    replace_file(arguments.picture, lambda beside: figure.savefig(beside, dpi=120, format="png"))


def joined(found: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    return torch.cat([logits for logits, _ in found]), torch.cat([labels for _, labels in found])


def judged(logits: Tensor, labels: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Confidence of every frame, and whether it is right."""
    confidence, guessed = logits.softmax(-1).max(-1)
    return confidence.numpy(), (guessed == labels).numpy()


def reliability(confidence: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean confidence and accuracy of each bin that is not empty."""
    place = (confidence * BINS).astype(int).clip(max=BINS - 1)
    filled = np.unique(place)
    return tuple(np.array([part[place == k].mean() for k in filled]) for part in (confidence, right))


def fitted_temperature(logits: Tensor, labels: Tensor) -> float:
    """The divisor of the logits with the lowest negative log-likelihood."""
    return minimize_scalar(
        lambda t: F.cross_entropy(logits / t, labels).item(), bounds=(0.2, 5.0), method="bounded"
    ).x


if __name__ == "__main__":
    main()
