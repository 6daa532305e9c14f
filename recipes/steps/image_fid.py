"""FID and the Inception score of generated images, by torch-fidelity (pip install torch-fidelity).

    python recipes/steps/image_fid.py samples.npz cifar10 FOLDER [--weights FILE]

compares the samples (of `image_samples.py`; the field takes 50 000) with the real training images in the
features of an Inception network, and prints one JSON object. The weights of that network, 91 MB, are
downloaded, unless --weights has them; torch-fidelity unpickles them, so take none from strangers.
"""

import json
from pathlib import Path

import common
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from speechjem.data import images
from speechjem.runtime.device import choose_device

METRICS = {"frechet_inception_distance": "fid", "inception_score_mean": "inception_score"}


class Coloured(Dataset[Tensor]):
    """Images as torch-fidelity reads them: bytes in three colours."""

    def __init__(self, pixels: np.ndarray):
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, number: int) -> Tensor:
        return torch.from_numpy(self.pixels[number]).expand(3, -1, -1)


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("samples", type=Path)
    parser.add_argument("name", choices=images.READERS, help="set that the model was trained on")
    parser.add_argument("folder", nargs="?", help="where its files are; digits needs none")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    try:
        from torch_fidelity import calculate_metrics
    except ImportError:
        parser.error("torch-fidelity is missing; run: pip install torch-fidelity")

    with np.load(arguments.samples) as samples:
        made = samples["pixels"]
    real = images.read(arguments.name, arguments.folder, "train").pixels
    scores = calculate_metrics(
        input1=Coloured(made),
        input2=Coloured(real),
        isc=True,
        fid=True,
        cuda=choose_device(arguments.device).type == "cuda",
        feature_extractor_weights_path=arguments.weights and str(arguments.weights),
        verbose=False,
    )
    print(json.dumps({"samples": len(made)} | {name: scores[key] for key, name in METRICS.items()}))


if __name__ == "__main__":
    main()
