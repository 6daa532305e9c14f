"""How small a change of the frames fools the classifier, and whether a few Langevin steps undo it.

    python recipes/energy/local/adversarial.py DATA MODEL [MODEL ...]

Projected gradient descent (Madry et al. 2018; 10 steps, by foolbox) on the frames around a phone's middle,
within an L-infinity ball of the size given, in standard deviations of normalised frames. Columns: accuracy
at the middle frame, untouched and attacked; then both again after SGLD steps on E(x) (Grathwohl et al. 2020).
The attack knows the network, and not that steps follow: an attack through the steps would do better.
Needs: pip install foolbox
"""

import sys
from pathlib import Path

import foolbox
import torch
from speech import utterances
from torch import Tensor, nn

from speechjem.energy.langevin import LangevinConfig, sample
from speechjem.models import checkpoint
from speechjem.models.speech import SpeechModel

sys.path.append(str(Path(__file__).parents[2] / "steps"))
import common

SIZES = (0.02, 0.05, 0.1, 0.2)
COUNT = 200  # phones
AROUND = 32  # frames on either side
BOUND = 20.0  # of normalised frames; none is near it
STEPS = LangevinConfig(steps=10, step_size=0.1)


class Middle(nn.Module):
    """The logits of the frame in the middle, shape (batch, classes)."""

    def __init__(self, model: SpeechModel):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model.jem.logits(x)[:, x.shape[1] // 2]


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--speakers", nargs="+", help="held out; those in DATA/dev_speakers by default")
    arguments = parser.parse_args()
    speakers = common.held_out(arguments.data, arguments.speakers)

    print("| model | size | untouched | attacked | untouched, steps | attacked, steps |")
    print("|---|---|---|---|---|---|")
    for path in arguments.models:
        model = checkpoint.load(path)
        x, labels = middles(model, arguments.data, speakers)
        middle = Middle(model).eval()

        def accuracy(x: Tensor, middle: Middle = middle, labels: Tensor = labels) -> float:
            with torch.no_grad():
                return (middle(x).argmax(-1) == labels).float().mean().item()

        def followed(x: Tensor, model: SpeechModel = model) -> Tensor:
            return sample(model.jem.gradient, x, STEPS, torch.Generator().manual_seed(0))

        plain, stepped = accuracy(x), accuracy(followed(x))
        attack = foolbox.attacks.LinfPGD(steps=10)
        wrapped = foolbox.PyTorchModel(middle, bounds=(-BOUND, BOUND), device="cpu")
        for size in SIZES:
            torch.manual_seed(0)  # foolbox starts at a random place
            _, attacked, _ = attack(wrapped, x, labels, epsilons=size)
            print(
                f"| {Path(path).name} | {size} | {plain:.3f} | {accuracy(attacked):.3f} | "
                f"{stepped:.3f} | {accuracy(followed(attacked)):.3f} |"
            )


def middles(model: SpeechModel, data: Path, speakers: list[str]) -> tuple[Tensor, Tensor]:
    """`COUNT` pieces of speech around the middles of phones, and the phones."""
    pieces, labels = [], []
    for x, phones in utterances(model, data, speakers):
        _, lengths = phones.unique_consecutive(return_counts=True)
        for place in (lengths.cumsum(0) - (lengths + 1) // 2).tolist():
            if AROUND <= place < len(x) - AROUND:
                pieces.append(x[place - AROUND : place + AROUND + 1])
                labels.append(phones[place])
    chosen = torch.randperm(len(pieces), generator=torch.Generator().manual_seed(0))[:COUNT].tolist()
    return torch.stack([pieces[i] for i in chosen]), torch.stack([labels[i] for i in chosen])


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
