"""The catalogue of models: finding, describing and verifying them.

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

from .classification import Classifier
from .denoising.denoiser import Denoiser
from .errors import ModelError
from .models import checkpoint, hub
from .models.images import ImageModel
from .models.speech import SpeechModel

CARD = "README.md"
LISTED = ("parameters", "classes", "bytes", "licence", "folder")  # of what `describe` tells


def find(folders: Iterable[Path] = ()) -> Iterator[tuple[str, Path]]:
    """Name and folder of the shipped models, of all below some folders, and of all in the hub's cache.

    A folder is a model's if its config.json says so; other folders are passed over.

    Args:
        folders: where to look.
    """
    yield from ((name, checkpoint.shipped_folder(name)) for name in checkpoint.SHIPPED)
    for folder in folders:
        if not folder.is_dir():
            raise ModelError(f"There is no folder {folder} to look for models in; check the path.")
        places = [path.parent for path in sorted(folder.rglob("config.json"))]
        yield from ((str(place), place) for place in places if checkpoint.is_model(place))
    yield from ((name, folder) for name, folder in hub.cached() if checkpoint.is_model(folder))


def describe(name: Path | str | None = None) -> dict[str, Any]:
    """Facts about a model, of speech or of images, for a reader.

    Returns:
        Where it is, how big, its checksum, licence and card, and its settings.

    Raises:
        ModelError: as `checkpoint.load`.
    """
    folder = checkpoint.locate(name)
    model = checkpoint.load_any(folder)
    sha256, _ = checkpoint.check_sha256(folder)
    licence, card = read_card(folder)
    settings = dataclasses.asdict(model.config)
    if isinstance(model, SpeechModel):
        settings = {"context_seconds": model.config.network.context * model.fbank.frame_seconds} | settings
    else:
        settings["names"] = settings.pop("classes")
    return {
        "folder": str(folder),
        "card": card,
        "licence": licence,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "classes": len(_classes(model)),
        "bytes": (folder / hub.WEIGHTS).stat().st_size,
        "sha256": sha256,
        **settings,
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
    """Load a model, compare its checksum, and run it once on noise.

    Loading refuses settings beyond their limits, and weights that are missing, foreign or not finite.

    Returns:
        What was found good, by what was looked at.

    Raises:
        ModelError: at the first thing that is not.
    """
    folder = checkpoint.locate(name)
    model = checkpoint.load_any(folder)
    count = sum(parameter.numel() for parameter in model.parameters())
    sha256, by = checkpoint.check_sha256(folder)
    start = time.perf_counter()
    done, is_sound = _run(model) if isinstance(model, SpeechModel) else _run_images(model)
    seconds = time.perf_counter() - start
    if not is_sound:
        raise ModelError(f"The model in {folder} does not give finite numbers for noise; get it again.")
    return {
        "settings": f"{len(_classes(model))} classes, all within limits",
        "weights": f"{count} parameters, all finite",
        "sha256": f"{sha256}, as {by} states" if by else f"{sha256}; nobody states what it should be",
        "run": f"{done} in {seconds:.2f} s",
    }


def _classes(model: SpeechModel | ImageModel) -> tuple[str, ...]:
    return model.config.phones if isinstance(model, SpeechModel) else model.config.classes


def _run(model: SpeechModel) -> tuple[str, bool]:
    """What was done with a model of speech, and whether all that came out is finite."""
    rate = model.config.fbank.sample_rate
    noise = 0.05 * torch.randn(rate, generator=torch.Generator().manual_seed(0))
    denoised = Denoiser(model, device="cpu", precision="float32")(noise, rate)
    posteriors = Classifier(model, device="cpu").posteriors(noise.numpy(), rate)
    is_sound = bool(denoised.isfinite().all()) and bool(abs(posteriors.sum(1) - 1).max() < 1e-3)
    return "denoised and classified a second of noise", is_sound


def _run_images(model: ImageModel) -> tuple[str, bool]:
    """As `_run`, with a model of images."""
    noise = 2 * torch.rand(4, *model.config.shape, generator=torch.Generator().manual_seed(0)) - 1
    outputs = (model.logits(noise), model.jem.gradient(noise))
    return "classified four images of noise", all(bool(output.isfinite().all()) for output in outputs)
