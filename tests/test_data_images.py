"""Image files written byte by byte as their authors describe them, and the batches made of them."""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from sklearn.datasets import load_digits
from support import cifar_rows, idx, write_cifar10, write_mnist

from speechjem.data import images
from speechjem.data.images import ImageAugmentation, ImageBatches, Images
from speechjem.errors import InputError, UsageError

PLAIN = ImageAugmentation(flip=False, crop=0, noise=0.0)


# Files


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("part", "prefix"), [("train", "train"), ("test", "t10k")])
def test_idx_files_are_read_byte_by_byte(tmp_path, packed, part, prefix):
    pixels, labels = write_mnist(tmp_path, prefix, 5, packed)
    found = images.read("fashion_mnist", tmp_path, part)
    np.testing.assert_array_equal(found.pixels[:, 0], pixels)
    np.testing.assert_array_equal(found.labels, labels)
    assert found.classes[9] == "ankle boot"


@pytest.mark.parametrize("part", ["train", "test"])
def test_cifar_10_is_read_byte_by_byte(tmp_path, part):
    labels, pixels = write_cifar10(tmp_path)[part]
    for folder in (tmp_path, tmp_path / "cifar-10-batches-bin"):
        found = images.read("cifar10", folder, part)
        assert found.labels.tolist() == labels
        np.testing.assert_array_equal(found.pixels.transpose(0, 2, 3, 1), pixels)
        assert found.classes[3] == "cat"


def test_cifar_100_has_the_fine_labels(tmp_path):
    names = [f"class_{number}" for number in range(100)]
    (tmp_path / "fine_label_names.txt").write_text("\n".join(names) + "\n")
    content, pixels = cifar_rows([[4, 99], [0, 7]])
    (tmp_path / "train.bin").write_bytes(content)
    found = images.read("cifar100", tmp_path, "train")
    assert found.labels.tolist() == [99, 7]
    assert found.classes == tuple(names)
    np.testing.assert_array_equal(found.pixels.transpose(0, 2, 3, 1), pixels)


def test_svhn_puts_the_image_last_and_calls_a_zero_ten(tmp_path):
    pixels = np.random.default_rng(0).integers(256, size=(32, 32, 3, 4), dtype=np.uint8)
    scipy.io.savemat(
        tmp_path / "test_32x32.mat", {"X": pixels, "y": np.array([[10], [1], [9], [3]], np.uint8)}
    )
    found = images.read("svhn", tmp_path, "test")
    assert found.labels.tolist() == [0, 1, 9, 3]
    np.testing.assert_array_equal(found.pixels[2, 1], pixels[:, :, 1, 2])


def test_the_digits_are_scikit_learns_and_both_parts_are_all_of_them():
    train, test = (images.read("digits", None, part) for part in ("train", "test"))
    expected, labels = load_digits(return_X_y=True)
    assert len(train) + len(test) == len(labels)
    np.testing.assert_allclose(test.pixels.reshape(-1, 64) / 255 * 16, expected[::5], atol=0.05)
    np.testing.assert_array_equal(test.labels, labels[::5])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "too short"),
        (b"\x00\x00\x08\x03\x00", "too short"),
        (b"\x00\x00\x0d\x01" + struct.pack(">I", 1) + b"\x00" * 4, "not an IDX file of bytes"),
        (b"PK\x03\x04" + b"\x00" * 20, "not an IDX file of bytes"),
        (b"\x00\x00\x08\x03" + struct.pack(">3I", 2, 28, 28) + b"\x00" * 100, "not complete"),
        (b"\x00\x00\x08\x03" + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 2**32 - 1), "not complete"),
    ],
)
def test_a_damaged_idx_file_is_named(tmp_path, content, message):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(InputError, match=f"train-images-idx3-ubyte is {message}|{message}"):
        images.read("mnist", tmp_path, "train")


def test_a_damaged_gzip_file_is_named(tmp_path):
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(1000))[:20])
    with pytest.raises(InputError, match="cannot be read"):
        images.read("mnist", tmp_path, "train")


def test_images_without_as_many_labels_are_refused(tmp_path):
    write_mnist(tmp_path, "train", 5)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(4, np.uint8)))
    with pytest.raises(InputError, match="5 images of mnist, but 4 labels"):
        images.read("mnist", tmp_path, "train")


def test_a_label_beyond_the_classes_is_refused(tmp_path):
    write_mnist(tmp_path, "train", 5)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.full(5, 10, np.uint8)))
    with pytest.raises(InputError, match="not those of 10 classes"):
        images.read("mnist", tmp_path, "train")


def test_a_cut_off_cifar_file_is_named(tmp_path):
    write_cifar10(tmp_path)
    path = tmp_path / "cifar-10-batches-bin" / "data_batch_3.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"data_batch_3\.bin is not a whole number"):
        images.read("cifar10", tmp_path, "train")


def test_the_python_version_of_cifar_is_not_taken_for_the_binary_one(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(b"\x80\x02}")
    with pytest.raises(InputError, match=r"data_batch_1\.bin"):
        images.read("cifar10", tmp_path, "train")


def test_a_file_that_is_not_svhn_is_named(tmp_path):
    for content in (b"", b"nothing", b"MATLAB 5.0 MAT-file" + bytes(200)):
        (tmp_path / "test_32x32.mat").write_bytes(content)
        with pytest.raises(InputError, match="get it again"):
            images.read("svhn", tmp_path, "test")


@pytest.mark.parametrize(
    ("name", "folder", "error"),
    [("imagenet", "x", UsageError), ("cifar10", None, UsageError), ("cifar10", "nowhere", InputError),
     ("svhn", "nowhere", InputError)],
)  # fmt: skip
def test_what_cannot_be_found_is_said(name, folder, error):
    with pytest.raises(error, match=r"choose from|Give the folder|Check the folder"):
        images.read(name, folder, "train")


# Downloads


@pytest.fixture
def source(tmp_path, monkeypatch) -> Path:
    """A server's folder that has CIFAR-10 in its archive, with the right MD5."""
    write_cifar10(tmp_path / "made")
    archive = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "made" / "cifar-10-batches-bin", "cifar-10-batches-bin")
    serve(monkeypatch, archive, hashlib.md5(archive.read_bytes()).hexdigest())
    return archive


def serve(monkeypatch: pytest.MonkeyPatch, archive: Path, md5: str) -> None:
    import requests

    def get(url: str, **_: object) -> requests.Response:
        response = requests.Response()
        response.status_code, response.raw = 200, io.BytesIO(archive.read_bytes())
        return response

    monkeypatch.setattr(requests, "get", get)
    monkeypatch.setitem(images.SOURCES, "cifar10", {"https://example.org/cifar-10-binary.tar.gz": md5})


def test_a_download_is_unpacked_and_read(source, tmp_path):
    folder = images.download("cifar10", tmp_path / "data")
    assert len(images.read("cifar10", folder, "train")) == 10
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    source.unlink()  # a second time, nothing is fetched
    images.download("cifar10", folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before


def test_a_download_of_another_md5_is_refused_and_leaves_nothing(source, tmp_path, monkeypatch):
    serve(monkeypatch, source, "0" * 32)
    with pytest.raises(InputError, match="cannot be had"):
        images.download("cifar10", tmp_path / "data")
    assert list((tmp_path / "data").rglob("*")) == []


def test_what_has_no_published_source_cannot_be_downloaded(tmp_path):
    with pytest.raises(UsageError, match="choose from: cifar10"):
        images.download("digits", tmp_path)


# Values and batches


def test_values_go_to_the_unit_range_and_back():
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    x = images.to_unit(pixels)
    assert (x.min().item(), x.max().item()) == (-1.0, 1.0)
    np.testing.assert_array_equal(images.to_bytes(x), pixels)
    assert images.to_bytes(torch.tensor([-7.0, 7.0])).tolist() == [0, 255]


def numbered(count: int) -> Images:
    """Images whose every pixel is their own number."""
    pixels = np.arange(count, dtype=np.uint8)[:, None, None, None].repeat(8, 2).repeat(8, 3)
    return Images(pixels, np.arange(count) % 10, tuple("0123456789"))


def test_an_epoch_takes_every_image_once_and_the_next_in_another_order():
    batches = ImageBatches(numbered(20), 5, 0, PLAIN)
    epochs = [torch.cat([batches.draw(4 * epoch + k)[0][:, 0, 0, 0] for k in range(4)]) for epoch in range(2)]
    assert not torch.equal(*epochs)
    for values in epochs:
        assert images.to_bytes(values.sort()[0]).tolist() == list(range(20))


def test_a_batch_is_a_function_of_its_number_and_the_seed():
    augment = ImageAugmentation(noise=0.1)
    first, second, other = (ImageBatches(numbered(20), 5, seed, augment) for seed in (0, 0, 1))
    first.draw(7)
    x, labels = second.draw(2)
    assert torch.equal(first.draw(2)[0], x)
    assert torch.equal(first.draw(2)[1], labels)
    assert not torch.equal(other.draw(2)[0], x)
    assert not torch.equal(first.draw(3)[0], x)


def test_images_are_mirrored_and_shifted_within_bounds():
    ramp = np.arange(64, dtype=np.uint8).reshape(1, 1, 8, 8).repeat(64, 0)
    batches = ImageBatches(
        Images(ramp, np.zeros(64, np.int64), ("a",)), 64, 0, ImageAugmentation(True, 2, 0.0)
    )
    found = {values.tobytes() for values in images.to_bytes(batches.draw(0)[0])[:, 0]}
    whole = np.pad(ramp[0, 0], 2, mode="reflect")
    mirrored = np.pad(ramp[0, 0, :, ::-1], 2, mode="reflect")
    cuts = [
        part[i : i + 8, j : j + 8].tobytes() for part in (whole, mirrored) for i in range(5) for j in range(5)
    ]
    assert found <= set(cuts)
    assert len(found & set(cuts[:25])) > 5
    assert len(found & set(cuts[25:])) > 5


def test_noise_has_the_deviation_asked_for_and_stays_in_range():
    grey = Images(np.full((10, 1, 32, 32), 128, np.uint8), np.zeros(10, np.int64), ("a",))
    x, _ = ImageBatches(grey, 10, 0, ImageAugmentation(False, 0, 0.1)).draw(0)
    assert x.std().item() == pytest.approx(0.1, rel=0.05)
    white = Images(np.full((10, 1, 32, 32), 255, np.uint8), np.zeros(10, np.int64), ("a",))
    assert ImageBatches(white, 10, 0, ImageAugmentation()).draw(0)[0].max() == 1


def test_a_batch_larger_than_the_set_is_refused():
    with pytest.raises(UsageError, match="fewer than a batch"):
        ImageBatches(numbered(4), 5, 0, PLAIN)
