"""What a model of images classifies, knows that it does not know, and generates.

    python recipes/steps/image_scores.py MODEL cifar10 FOLDER --other svhn SVHN_FOLDER --samples samples.npz

prints one JSON object: accuracy and calibration error (ECE, 15 bins) on the test images; for every other set,
and for noise from U(-1, 1), how well the score logsumexp f(x), that is -E(x), tells the test images from it
(AUROC), and beside that the largest p(y | x), which any classifier has.

With --samples (of `image_samples.py`), a judge that shares nothing with the model is trained on the real
training images. It says how many samples it takes for their class, the squared Frechet distance of its
features from those of real training images, and the mean distance of two images of a class as a ratio to real
ones; "real" is the same for as many test images. This distance is not FID, which is in Inception's features.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import common
import numpy as np
import torch
import torch.nn.functional as F
from image_judge import diversity, frechet_distance, train
from sklearn.metrics import roc_auc_score

from speechjem.data import images
from speechjem.models import checkpoint
from speechjem.models.images import ImageModel
from speechjem.runtime.device import choose_device
from speechjem.training import evaluate

COMPARED = 10000  # real training images that samples are compared with
NOISE = 1000


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("name", choices=images.READERS, help="set that the model was trained on")
    parser.add_argument("folder", nargs="?", help="where its files are; digits needs none")
    parser.add_argument(
        "--other", nargs="+", action="append", default=[], metavar=("NAME", "FOLDER"), help="another set"
    )
    parser.add_argument("--samples", type=Path)
    parser.add_argument("--epochs", type=int, default=3, help="of the judge's training")
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()

    device = choose_device(arguments.device)
    model = checkpoint.load_images(arguments.model, device.type)
    test = images.read(arguments.name, arguments.folder, "test")
    logits = model.logits(images.to_unit(test.pixels).to(device)).cpu()
    posterior = logits.softmax(1).numpy()
    right = posterior.argmax(1) == test.labels
    scores: dict[str, Any] = {
        "images": len(test),
        "accuracy": float(right.mean()),
        "ece": evaluate.calibration_error(posterior.max(1), right),
        "auroc": {},
    }
    others = {
        name: fitted(images.read(name, *rest or [None], "test").pixels, model)
        for name, *rest in arguments.other
    }
    generator = torch.Generator().manual_seed(0)
    others["noise"] = 2 * torch.rand(NOISE, *model.config.shape, generator=generator) - 1
    for name, x in others.items():
        scores["auroc"][name] = auroc(logits, model.logits(x.to(device)).cpu())
    if arguments.samples:
        scores["generated"] = judged(arguments, device, test)
    print(json.dumps(scores))


def fitted(pixels: np.ndarray, model: ImageModel) -> torch.Tensor:
    """Images of another set in the size and the colours of the model's."""
    config = model.config
    x = F.interpolate(images.to_unit(pixels), (config.size, config.size), mode="bilinear", antialias=True)
    return x.mean(1, keepdim=True).expand(-1, config.channels, -1, -1) if x.shape[1] != config.channels else x


def auroc(inside: torch.Tensor, outside: torch.Tensor) -> dict[str, float]:
    """How well two scores tell images inside from those outside; 0.5 is chance, 1 without fault."""
    truth = np.arange(len(inside) + len(outside)) < len(inside)
    logits = torch.cat([inside, outside])
    kinds = {"energy": logits.logsumexp(1), "largest p(y|x)": logits.softmax(1).amax(1)}
    return {name: float(roc_auc_score(truth, score.numpy())) for name, score in kinds.items()}


def judged(arguments: argparse.Namespace, device: torch.device, test: images.Images) -> dict[str, Any]:
    """Samples, and as many real images, before the judge."""
    learnt = images.read(arguments.name, arguments.folder, "train")
    judge = train(learnt, arguments.epochs, device)
    with np.load(arguments.samples) as samples:
        made = images.Images(samples["pixels"], samples["labels"], test.classes)
    classes, _ = judge.judge(test.pixels)
    _, compared = judge.judge(learnt.pixels[:COMPARED])
    rows: dict[str, Any] = {"samples": len(made), "judge_accuracy": float((classes == test.labels).mean())}
    _, real = judge.judge(test.pixels[: len(made)])
    spread = diversity(real, test.labels[: len(made)])
    for name, part in (("real", test[: len(made)]), ("generated", made)):
        classes, features = judge.judge(part.pixels)
        rows[name] = {
            "recognised": float((classes == part.labels).mean()),
            "frechet_distance": frechet_distance(features, compared),
            "diversity": diversity(features, part.labels) / spread,
        }
    return rows


if __name__ == "__main__":
    main()
