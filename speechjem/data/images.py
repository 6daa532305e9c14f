"""Sets of labelled images, read from the files that their authors distribute; nothing is ever unpickled.

MNIST and Fashion-MNIST are IDX files (LeCun et al. 1998; Xiao et al., arXiv 1708.07747), CIFAR-10 and
CIFAR-100 the binary version (Krizhevsky 2009), SVHN the cropped digits as .mat (Netzer et al. 2011).
"""

from __future__ import annotations

import gzip
import io
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InputError, UsageError

DIGITS = tuple("0123456789")
FASHION = (
    "T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
CIFAR_SHAPE = (3, 32, 32)
# Where to download from, and the MD5 that the authors publish.
_CIFAR_URL = "https://www.cs.toronto.edu/~kriz/"
_FASHION_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
SOURCES = {
    "cifar10": {f"{_CIFAR_URL}cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530"},
    "cifar100": {f"{_CIFAR_URL}cifar-100-binary.tar.gz": "03b5dce01913d631647c71ecec9e9cb8"},
    "fashion_mnist": {
        f"{_FASHION_URL}train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        f"{_FASHION_URL}train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        f"{_FASHION_URL}t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        f"{_FASHION_URL}t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    },
}


@dataclass(frozen=True)
class Images:
    """Labelled images.

    Attributes:
        pixels: bytes, shape (count, channels, height, width).
        labels: shape (count,), int64.
        classes: name of every label.
    """

    pixels: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, places: slice | np.ndarray) -> Images:
        return Images(self.pixels[places], self.labels[places], self.classes)


def read(name: str, folder: Path | str | None, part: str) -> Images:
    """Read one part of a set.

    Args:
        name: cifar10, cifar100, mnist, fashion_mnist, svhn or digits (scikit-learn's, which needs no folder).
        folder: where its files are, under their published names.
        part: 'train' or 'test'.

    Raises:
        UsageError: if there is no such set, or it needs a folder.
        InputError: if a file is missing, damaged, or of another kind.
    """
    if name not in READERS:
        raise UsageError(f"There is no image set {name!r}; choose from: {', '.join(READERS)}.")
    if folder is None and name != "digits":
        raise UsageError(f"Give the folder that has the files of {name}.")
    images = READERS[name](Path(folder or "."), part == "train")
    if len(images.pixels) != len(images.labels):
        raise InputError(
            f"{folder}: {len(images.pixels)} images of {name}, but {len(images.labels)} labels; get it again."
        )
    if len(images) == 0 or not 0 <= images.labels.min() <= images.labels.max() < len(images.classes):
        raise InputError(f"{folder}: the labels of {name} are not those of {len(images.classes)} classes.")
    return images


def download(name: str, folder: Path) -> Path:
    """Get the files of a set, unless they are there already, and check them by their published MD5.

    Returns:
        The folder to `read` from.

    Raises:
        UsageError: for a set that is not known.
        InputError: if a file cannot be had, or is not the published one.
    """
    import pooch

    if name not in SOURCES:
        raise UsageError(f"{name!r} cannot be downloaded here; choose from: {', '.join(SOURCES)}.")
    for url, md5 in SOURCES[name].items():
        unpack = pooch.Untar(extract_dir=".") if url.endswith(".tar.gz") else None
        try:
            pooch.retrieve(url, f"md5:{md5}", url.rsplit("/", 1)[1], folder, processor=unpack)
        except (OSError, ValueError) as error:  # requests' errors are OSErrors; a wrong MD5 is a ValueError
            raise InputError(f"{url} cannot be had: {error}") from error
    return folder


def read_idx(path: Path) -> np.ndarray:
    """Read an IDX file of bytes, also one that gzip compressed.

    It has two zero bytes, the type (8 for unsigned bytes), the number of dimensions, the size of each as a
    big-endian 32-bit number, and the values.

    Raises:
        InputError: if it is missing or not such a file.
    """
    content = _bytes(path)
    try:
        zero, kind, dimensions = struct.unpack_from(">HBB", content)
        shape = struct.unpack_from(f">{dimensions}I", content, 4)
    except struct.error as error:
        raise InputError(f"{path} is not an IDX file: it is too short.") from error
    if (zero, kind) != (0, 8):
        raise InputError(f"{path} is not an IDX file of bytes.")
    start = 4 + 4 * dimensions
    if len(content) - start != math.prod(shape):
        raise InputError(f"{path} is not complete: {shape} values expected; get it again.")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def read_cifar(path: Path, label_bytes: int) -> tuple[np.ndarray, np.ndarray]:
    """Read a file of CIFAR's binary version: of each image, its label and the red, green and blue pixels.

    Args:
        path: the file.
        label_bytes: 1 for CIFAR-10; 2 for CIFAR-100, of which the second, the fine label, is used.

    Returns:
        Pixels, shape (count, 3, 32, 32), and labels, shape (count,).

    Raises:
        InputError: if it is missing or not such a file.
    """
    content = np.frombuffer(_bytes(path), np.uint8)
    size = label_bytes + math.prod(CIFAR_SHAPE)
    if len(content) == 0 or len(content) % size:
        raise InputError(f"{path} is not a whole number of CIFAR's images; get the binary version again.")
    rows = content.reshape(-1, size)
    return rows[:, label_bytes:].reshape(-1, *CIFAR_SHAPE), rows[:, label_bytes - 1].astype(np.int64)


def _bytes(path: Path) -> bytes:
    """Content of a file; of a compressed one if that has `.gz` at the end of its name."""
    packed = path.with_name(path.name + ".gz")
    try:
        return path.read_bytes() if path.exists() else gzip.decompress(packed.read_bytes())
    except FileNotFoundError as error:
        raise InputError(f"No such file: {path} (nor {packed.name}). Check the folder.") from error
    except (OSError, EOFError) as error:
        raise InputError(f"{path} cannot be read: {error}.") from error


def _idx(folder: Path, train: bool, classes: tuple[str, ...]) -> Images:
    part = "train" if train else "t10k"
    pixels = read_idx(folder / f"{part}-images-idx3-ubyte")
    labels = read_idx(folder / f"{part}-labels-idx1-ubyte")
    if pixels.ndim != 3 or labels.ndim != 1:
        raise InputError(f"{folder} does not have images and labels: {pixels.shape} and {labels.shape}.")
    return Images(pixels[:, None], labels.astype(np.int64), classes)


def _cifar(folder: Path, names: Sequence[str], label_bytes: int, labels: str) -> Images:
    inner = next((path for path in sorted(folder.glob("cifar-*")) if path.is_dir()), folder)
    parts = [read_cifar(inner / name, label_bytes) for name in names]
    try:
        classes = tuple((inner / labels).read_text().split())
    except OSError as error:
        raise InputError(f"{inner / labels} cannot be read: {error}.") from error
    pixels, numbers = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Images(pixels, numbers, classes)


def _cifar10(folder: Path, train: bool) -> Images:
    names = [f"data_batch_{number}.bin" for number in range(1, 6)] if train else ["test_batch.bin"]
    return _cifar(folder, names, 1, "batches.meta.txt")


def _cifar100(folder: Path, train: bool) -> Images:
    return _cifar(folder, ["train.bin" if train else "test.bin"], 2, "fine_label_names.txt")


def _svhn(folder: Path, train: bool) -> Images:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    path = folder / f"{'train' if train else 'test'}_32x32.mat"
    try:
        content = loadmat(io.BytesIO(_bytes(path)), variable_names=["X", "y"])
        pixels, labels = content["X"], content["y"]
    except (ValueError, KeyError, TypeError, NotImplementedError, MatReadError) as error:
        raise InputError(f"{path} does not have SVHN's cropped digits ({error}); get it again.") from error
    # The last dimension is the image; the label of a zero is 10.
    return Images(pixels.transpose(3, 2, 0, 1), labels.reshape(-1).astype(np.int64) % 10, DIGITS)


def _digits(_: Path, train: bool) -> Images:
    """The 8 x 8 digits that come with scikit-learn (Alpaydin and Kaynak 1998); every fifth is a test."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    pixels = (pixels.reshape(-1, 1, 8, 8) * (255 / 16)).round().astype(np.uint8)
    is_test = np.arange(len(labels)) % 5 == 0
    return Images(pixels, labels.astype(np.int64), DIGITS)[~is_test if train else is_test]


READERS = {
    "cifar10": _cifar10,
    "cifar100": _cifar100,
    "mnist": lambda folder, train: _idx(folder, train, DIGITS),
    "fashion_mnist": lambda folder, train: _idx(folder, train, FASHION),
    "svhn": _svhn,
    "digits": _digits,
}


def to_unit(pixels: np.ndarray) -> Tensor:
    """Bytes as numbers from -1 (0) to 1 (255), the input of networks."""
    return torch.from_numpy(pixels.astype(np.float32)) / 127.5 - 1


def to_bytes(x: Tensor) -> np.ndarray:
    """Inverse of `to_unit`; what lies beyond -1 and 1 is cut off."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round().byte().cpu().numpy()


@dataclass(frozen=True)
class ImageAugmentation:
    """How training images are varied.

    Attributes:
        flip: mirror half of them.
        crop: shift by up to so many pixels each way; what comes in mirrors what is at the edge.
        noise: standard deviation of the noise that is added; what lies beyond -1 and 1 is cut off.
    """

    flip: bool = True
    crop: int = 4
    noise: float = 0.03


class ImageBatches:
    """Batches of varied training images, each a function of its number.

    Every epoch takes all images in an order of its own; those that do not fill a batch wait for the next.

    Args:
        images: the training images.
        size: images a batch.
        seed: of the order and the variations.
        augment: the variations.

    Raises:
        UsageError: if there are fewer images than a batch takes.
    """

    def __init__(self, images: Images, size: int, seed: int, augment: ImageAugmentation):
        if len(images) < size:
            raise UsageError(f"There are {len(images)} images, fewer than a batch of {size}.")
        self.images, self.size, self.seed, self.augment = images, size, seed, augment
        self._epoch, self._order = -1, np.empty(0, np.int64)

    def draw(self, number: int) -> tuple[Tensor, Tensor]:
        """Batch number `number`: images in -1 to 1, shape (size, channels, height, width), and labels."""
        epoch, place = divmod(number, len(self.images) // self.size)
        if epoch != self._epoch:
            self._order = np.random.default_rng((self.seed, epoch)).permutation(len(self.images))
            self._epoch = epoch
        chosen = self.images[self._order[place * self.size : (place + 1) * self.size]]
        seed = np.random.SeedSequence((self.seed, number)).generate_state(1)[0]
        generator = torch.Generator().manual_seed(int(seed))
        return self._varied(to_unit(chosen.pixels), generator), torch.from_numpy(chosen.labels)

    def _varied(self, x: Tensor, generator: torch.Generator) -> Tensor:
        count, _, height, width = x.shape
        if self.augment.flip:
            mirrored = torch.rand(count, generator=generator) < 0.5
            x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
        edge = self.augment.crop
        if edge > 0:
            padded = F.pad(x, (edge, edge, edge, edge), mode="reflect")
            corners = torch.randint(2 * edge + 1, (count, 2), generator=generator).tolist()
            pairs = zip(padded, corners, strict=True)
            x = torch.stack([image[:, i : i + height, j : j + width] for image, (i, j) in pairs])
        noise = torch.randn(x.shape, generator=generator)
        return (x + self.augment.noise * noise).clamp(-1, 1)
