"""Models to look at: which there are, what is in one, and whether it is sound.

Names are what `checkpoint.locate` takes: a folder, a name on the hub, or None for the shipped model.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
import yaml

from . import checkpoint, hub
from .classification import Classifier
from .denoising import Denoiser
from .errors import ModelError

CARD = "README.md"
LISTED = ("parameters", "classes", "bytes", "licence", "folder")  # of what `describe` tells


def find(folders: Iterable[Path] = ()) -> Iterator[tuple[str, Path]]:
    """Name and folder of the shipped model, of all below some folders, and of all in the hub's cache.

    A folder is a model's if its config.json says so; other folders are passed over.

    Args:
        folders: where to look.
    """
    yield checkpoint.DEFAULT, checkpoint.default_folder()
    for folder in folders:
        if not folder.is_dir():
            raise ModelError(f"There is no folder {folder} to look for models in; check the path.")
        places = [path.parent for path in sorted(folder.rglob("config.json"))]
        yield from ((str(place), place) for place in places if checkpoint.is_model(place))
    yield from ((name, folder) for name, folder in hub.cached() if checkpoint.is_model(folder))


def describe(name: Path | str | None = None) -> dict[str, Any]:
    """Facts about a model for a reader: where, how big, its checksum, licence and card, and its settings.

    Raises:
        ModelError: as `checkpoint.load`.
    """
    folder = checkpoint.locate(name)
    model = checkpoint.load(folder)
    sha256, _ = checkpoint.check_sha256(folder)
    licence, card = read_card(folder)
    return {
        "folder": str(folder),
        "card": card,
        "licence": licence,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "classes": len(model.config.phones),
        "bytes": (folder / hub.WEIGHTS).stat().st_size,
        "sha256": sha256,
        "context_seconds": model.config.network.context * model.fbank.frame_seconds,
        **dataclasses.asdict(model.config),
    }


def read_card(folder: Path) -> tuple[str | None, str | None]:
    """Licence and first paragraph of a model card; None for what it does not have.

    The licence is the field `license` of the metadata that cards on the hub begin with: YAML between two
    lines of three dashes.
    """
    try:
        text = (folder / CARD).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None, None
    head, metadata = "", None
    if text.startswith("---\n"):
        head, _, text = text[4:].partition("\n---\n")
    try:
        metadata = yaml.safe_load(head)
    except yaml.YAMLError as error:
        raise ModelError(f"The metadata of {folder / CARD} is not YAML; correct or delete it.") from error
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n")]
    first = next((part for part in paragraphs if part and not part.startswith(("#", "<", "!", "["))), None)
    licence = metadata.get("license") if isinstance(metadata, dict) else None
    return str(licence) if licence else None, first


def verify(name: Path | str | None = None) -> dict[str, str]:
    """Load a model, compare its checksum, and run it once on a second of noise.

    Loading refuses settings beyond `model.LIMITS`, and weights that are missing, foreign or not finite.

    Returns:
        What was found good, by what was looked at.

    Raises:
        ModelError: at the first thing that is not.
    """
    folder = checkpoint.locate(name)
    model = checkpoint.load(folder)
    count = sum(parameter.numel() for parameter in model.parameters())
    sha256, by = checkpoint.check_sha256(folder)
    rate = model.config.fbank.sample_rate
    noise = 0.05 * torch.randn(rate, generator=torch.Generator().manual_seed(0))
    start = time.perf_counter()
    denoised = Denoiser(model, device="cpu", precision="float32")(noise, rate)
    posteriors = Classifier(model, device="cpu").posteriors(noise.numpy(), rate)
    seconds = time.perf_counter() - start
    if not denoised.isfinite().all() or not abs(posteriors.sum(1) - 1).max() < 1e-3:
        raise ModelError(f"The model in {folder} does not give finite numbers for noise; get it again.")
    return {
        "settings": f"{len(model.config.phones)} classes, all within limits",
        "weights": f"{count} parameters, all finite",
        "sha256": f"{sha256}, as {by} states" if by else f"{sha256}; nobody states what it should be",
        "run": f"denoised and classified a second of noise in {seconds:.2f} s",
    }
