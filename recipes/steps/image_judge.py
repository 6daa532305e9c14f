"""A judge of images that shares nothing with the model: a small convolutional network, from real ones."""

import numpy as np
import torch
import torch.nn.functional as F
from scipy.spatial.distance import pdist
from torch import Tensor, nn

from speechjem.data import images
from speechjem.data.images import Images

BATCH = 128
FEATURES = 128


class Judge(nn.Module):
    """Three convolutions with batch normalisation and pooling, 128 features, and the classes."""

    def __init__(self, channels: int, classes: int):
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in ((channels, 32), (32, 64), (64, FEATURES)):
            layers += [
                nn.Conv2d(inputs, outputs, 3, padding=1),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
        self.body = nn.Sequential(*layers)
        self.output = nn.Linear(FEATURES, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, and the features they are made from."""
        features = self.body(x).mean((2, 3))
        return self.output(features), features

    @torch.no_grad()
    def judge(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Class and features of many images."""
        self.eval()
        device = self.output.weight.device
        outputs = [
            self(images.to_unit(part).to(device)) for part in np.array_split(pixels, -(-len(pixels) // 500))
        ]
        logits, features = (torch.cat(parts).cpu().numpy() for parts in zip(*outputs, strict=True))
        return logits.argmax(1), features


def train(data: Images, epochs: int, device: torch.device, seed: int = 0) -> Judge:
    """The judge, from real images."""
    torch.manual_seed(seed)
    judge = Judge(data.pixels.shape[1], len(data.classes)).to(device).train()
    optimiser = torch.optim.AdamW(judge.parameters(), 2e-3)
    size = min(BATCH, len(data))
    steps = epochs * (len(data) // size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, steps)
    batches = images.ImageBatches(data, size, seed, images.ImageAugmentation(False, 0, 0.0))
    for number in range(steps):
        x, labels = batches.draw(number)
        logits, _ = judge(x.to(device))
        optimiser.zero_grad()
        F.cross_entropy(logits, labels.to(device)).backward()
        optimiser.step()
        schedule.step()
    return judge


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Squared Frechet distance of two Gaussians (Dowson and Landau 1982; FID, Heusel et al. 2017).

    |m_a - m_b|^2 + trace(C_a + C_b - 2 (C_a C_b)^(1/2))

    Args:
        a, b: features, one row an image.
    """
    covariances = [np.cov(x, rowvar=False) for x in (a, b)]
    # The trace of the root is the sum of the roots of the eigenvalues, which are real and not negative.
    roots = np.sqrt(np.linalg.eigvals(covariances[0] @ covariances[1]).real.clip(0))
    between = np.square(a.mean(0) - b.mean(0)).sum()
    return float(between + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * roots.sum())


def diversity(features: np.ndarray, labels: np.ndarray) -> float:
    """Mean distance of two images of a class, over the classes that have two."""
    classes, counts = np.unique(labels, return_counts=True)
    return float(np.mean([pdist(features[labels == label]).mean() for label in classes[counts > 1]]))
