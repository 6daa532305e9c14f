"""A model folder: config.json, model.safetensors and README.md. Nothing is ever unpickled."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import typing
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import torch

from ..errors import ModelError
from ..runtime import atomic
from ..runtime.config import from_dict
from ..runtime.device import own_modes
from . import hub
from .images import ImageModel, ImageModelConfig
from .speech import ModelConfig, SpeechModel

FORMAT = "speechjem-model-1"
IMAGE_FORMAT = "speechjem-image-model-1"
BESIDE = ("format", "sha256")  # what config.json has beside the settings
DEFAULT = "base"
STREAM = "stream"
SHIPPED = (DEFAULT, STREAM)
T = TypeVar("T")
M = TypeVar("M", SpeechModel, ImageModel)


def shipped_folder(name: str = DEFAULT) -> Path:
    """The folder of a shipped model: inside the installed package, or `models/` of a checkout."""
    packaged = Path(str(resources.files("speechjem"))) / "weights" / name
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "models" / name


def locate(name: Path | str | None = None) -> Path:
    """The folder of a model.

    Args:
        name: path of a folder; or, if there is none, 'base' or 'stream' for a shipped model, the first of
            which is the default, or org/name[@revision] for one on the Hugging Face hub (see `hub.download`).

    Raises:
        ModelError: if a model on the hub cannot be had, or is not what the hub says it is.
    """
    if name is None or (str(name) in SHIPPED and not Path(name).exists()):
        return shipped_folder(str(name or DEFAULT))
    if Path(name).exists() or not hub.is_name(str(name)):
        return Path(name)
    folder = hub.download(str(name), read_config)
    check_sha256(folder)
    return folder


def save(model: SpeechModel | ImageModel, folder: Path) -> None:
    """Write config.json and model.safetensors; each file is complete or absent.

    Args:
        model: what to save.
        folder: made if need be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = _serialised(model)
    kind = IMAGE_FORMAT if isinstance(model, ImageModel) else FORMAT
    config = {
        "format": kind,
        "sha256": hashlib.sha256(weights).hexdigest(),
        **dataclasses.asdict(model.config),
    }
    atomic.replace_file(
        folder / "config.json", lambda path: path.write_text(json.dumps(config, indent=2) + "\n")
    )
    atomic.replace_file(folder / hub.WEIGHTS, lambda path: path.write_bytes(weights))


def sha256(model: SpeechModel | ImageModel) -> str:
    """The sha256 of the weights as `save` writes them."""
    return hashlib.sha256(_serialised(model)).hexdigest()


def _serialised(model: SpeechModel | ImageModel) -> bytes:
    from safetensors.torch import save as serialise

    return serialise({name: t.detach().cpu().contiguous() for name, t in model.state_dict().items()})


def load(name: Path | str | None = None, device: str = "cpu") -> SpeechModel:
    """Load a model, ready for use.

    Args:
        name: as in `locate`.
        device: of the weights.

    Raises:
        ModelError: if the folder, its configuration or its weights are missing, corrupt or foreign; or as
            `locate`.
    """
    folder = locate(name)
    config = read_config(folder)
    return _load(partial(SpeechModel, config), folder, device)


def given(model: SpeechModel | Path | str | None, device: torch.device | str | None = None) -> SpeechModel:
    """What a user means by a model: one that is loaded, or the name of one.

    Args:
        model: a loaded model, which is left where it is (a copy goes to another device), or as in `locate`.
        device: of the model that is returned; by default where the loaded one is, or the CPU.

    Raises:
        ModelError: as `load`.
    """
    if not isinstance(model, SpeechModel):
        return load(model, str(device or "cpu"))
    here = model.fbank.mean.device
    there = here if device is None else torch.device(device)
    if here.type == there.type and there.index in (None, here.index):
        return model
    return copy.deepcopy(model).to(there)


def load_images(folder: Path | str, device: str = "cpu") -> ImageModel:
    """Load a folder that has a model of images; raises ModelError as `load` does."""
    folder = Path(folder)
    config = _read_config(folder, ImageModelConfig, IMAGE_FORMAT)
    return _load(partial(ImageModel, config), folder, device)


def load_any(folder: Path) -> SpeechModel | ImageModel:
    """Load a folder that has a model of speech or of images; raises ModelError as `load` does."""
    return load_images(folder) if _read_json(folder)["format"] == IMAGE_FORMAT else load(folder)


@own_modes()
def _load(build: typing.Callable[[], M], folder: Path, device: str) -> M:
    """Build a model, once its sizes are known to be those of its weights, and load them."""
    try:
        with torch.device("meta"):  # takes no memory, for the sizes may be absurd
            sizes = build()
    except (RuntimeError, ValueError, ArithmeticError, LookupError) as error:  # impossible sizes
        raise ModelError(f"{folder / 'config.json'}: {error}; get the model again.") from error
    weights = _weights(sizes, folder / hub.WEIGHTS)
    model = build()
    model.load_state_dict(weights)
    return model.to(device).eval().requires_grad_(False)


def read_config(folder: Path) -> ModelConfig:
    """The configuration of a model folder; raises ModelError as `load` does."""
    return _read_config(folder, ModelConfig, FORMAT)


def _read_config(folder: Path, kind: type[T], name: str) -> T:
    content = _read_json(folder, name)
    try:
        return from_dict(kind, {key: value for key, value in content.items() if key not in BESIDE})
    except (TypeError, ValueError, OverflowError) as error:
        raise ModelError(f"{folder / 'config.json'}: {error}; get the model again.") from error


def _read_json(folder: Path, *formats: str) -> dict[str, Any]:
    """All of config.json, which is of one of these formats; of any of ours, if none is given."""
    path = folder / "config.json"
    if not path.is_file():
        raise ModelError(f"{folder} is not a model folder: it has no config.json. Check the path.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not valid JSON ({error}); get the model again.") from error
    if not isinstance(content, dict) or content.get("format") not in (formats or (FORMAT, IMAGE_FORMAT)):
        command = "train-images" if formats == (IMAGE_FORMAT,) else "train"
        raise ModelError(
            f"{path} does not describe a {' or '.join(formats) or 'model'}; "
            f"choose a folder that 'speechjem {command}' wrote."
        )
    return content


def is_model(folder: Path) -> bool:
    """Whether the config.json of a folder says that it is a model of ours, sound or not."""
    try:
        _read_json(folder)
    except ModelError:
        return False
    return True


def check_sha256(folder: Path) -> tuple[str, str | None]:
    """Compare the weights with the sha256 that config.json, or the hub they came from, states.

    Returns:
        Their sha256, and who states it: 'config.json', 'the hub', or None if nobody does.

    Raises:
        ModelError: if another one is stated, or there are no weights.
    """
    path = folder / hub.WEIGHTS
    statements = {"config.json": _read_json(folder).get("sha256"), "the hub": hub.stated_sha256(path)}
    try:
        actual = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(f"Cannot read {path} ({error.strerror}); get the model again.") from error
    by = None
    for source, stated in statements.items():
        if stated is not None and stated != actual:
            raise ModelError(
                f"{path} is not the file it should be: its sha256 is {actual}, but {source} states {stated}; "
                f"delete {path.resolve()}, and get the model again."
            )
        by = source if stated else by
    return actual, by


def _weights(sizes: SpeechModel | ImageModel, path: Path) -> dict[str, torch.Tensor]:
    """The weights of a file, once they are known to be those of a model on the device "meta"."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        weights = load_file(path)
        sizes.load_state_dict(weights, assign=True)
    except FileNotFoundError as error:
        raise ModelError(f"No such file: {path}; get the model again.") from error
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise ModelError(
            f"{path} does not hold the weights of this model ({reason}); get it again."
        ) from error
    if not all(tensor.is_floating_point() and tensor.isfinite().all() for tensor in weights.values()):
        raise ModelError(f"{path} has weights that are not finite real numbers; get the model again.")
    return weights
