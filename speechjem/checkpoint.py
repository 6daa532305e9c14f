"""A model folder: config.json, model.safetensors and README.md. Nothing is ever unpickled."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import types
import typing
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from .errors import ModelError
from .model import ModelConfig, SpeechModel

FORMAT = "speechjem-model-1"
DEFAULT = "daylight"
T = TypeVar("T")


def default_folder() -> Path:
    """The folder of the shipped model: inside the installed package, or `models/` of a checkout."""
    packaged = Path(str(resources.files("speechjem"))) / "models" / DEFAULT
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / "models" / DEFAULT


def save(model: SpeechModel, folder: Path) -> None:
    """Write config.json and model.safetensors; each file is complete or absent.

    Args:
        model: what to save.
        folder: made if need be.
    """
    from safetensors.torch import save as serialise

    folder.mkdir(parents=True, exist_ok=True)
    config = {"format": FORMAT, **dataclasses.asdict(model.config)}
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    replace_file(folder / "config.json", lambda path: path.write_text(json.dumps(config, indent=2) + "\n"))
    replace_file(folder / "model.safetensors", lambda path: path.write_bytes(serialise(weights)))


def load(folder: Path | str | None = None, device: str = "cpu") -> SpeechModel:
    """Load a model folder, the shipped one by default, ready for use.

    Raises:
        ModelError: if the folder, its configuration or its weights are missing, corrupt or foreign.
    """
    folder = Path(folder) if folder is not None else default_folder()
    config = read_config(folder)
    try:
        model = SpeechModel(config)
    except (RuntimeError, ValueError, ArithmeticError, LookupError) as error:  # impossible sizes
        raise ModelError(f"{folder / 'config.json'}: {error}; get the model again.") from error
    _load_weights(model, folder / "model.safetensors")
    return model.to(device).eval().requires_grad_(False)


def read_config(folder: Path) -> ModelConfig:
    """The configuration of a model folder; raises ModelError as `load` does."""
    path = folder / "config.json"
    if not path.is_file():
        raise ModelError(f"{folder} is not a model folder: it has no config.json. Check the path.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is not valid JSON ({error}); get the model again.") from error
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
        raise ModelError(
            f"{path} does not describe a {FORMAT}; choose a folder that 'speechjem train' wrote."
        )
    try:
        return from_dict(ModelConfig, content)
    except (TypeError, ValueError) as error:
        raise ModelError(f"{path}: {error}; get the model again.") from error


def describe(folder: Path) -> dict[str, Any]:
    """Facts about a model folder for a reader: where, how big, its checksum, and its settings.

    Raises:
        ModelError: as `load`.
    """
    model = load(folder)
    path = folder / "model.safetensors"
    return {
        "folder": str(folder),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "context_seconds": model.config.network.context * model.fbank.frame_seconds,
        **dataclasses.asdict(model.config),
    }


def from_dict(kind: type[T], content: dict[str, Any]) -> T:
    """Build a (nested) configuration dataclass from plain data; unknown keys are errors.

    Raises:
        ValueError: for an unknown key or a value of the wrong type, naming the key.
    """
    hints = typing.get_type_hints(kind)
    unknown = sorted(set(content) - set(hints))
    if unknown:
        raise ValueError(f"unknown setting {unknown[0]!r} (known: {', '.join(sorted(hints))})")
    return kind(**{name: _value(hints[name], value, name) for name, value in content.items()})


def _value(hint: Any, value: Any, name: str) -> Any:
    """`value` as the type that a dataclass field declares."""
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return from_dict(typing.cast(type, hint), value)
    if typing.get_origin(hint) is tuple and isinstance(value, list | tuple):
        item = typing.get_args(hint)[0]
        return tuple(_value(item, v, name) for v in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    origin = typing.get_origin(hint) or hint
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (origin,)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise ValueError(f"setting {name!r} cannot be {value!r}")
    return value


def _load_weights(model: SpeechModel, path: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        weights = load_file(path)
        model.load_state_dict(weights)
    except FileNotFoundError as error:
        raise ModelError(f"No such file: {path}; get the model again.") from error
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise ModelError(
            f"{path} does not hold the weights of this model ({reason}); get it again."
        ) from error
    if not all(tensor.isfinite().all() for tensor in weights.values()):
        raise ModelError(f"{path} has weights that are not finite; get the model again.")


def replace_file(path: Path, write: typing.Callable[[Path], Any]) -> None:
    """Write beside, then rename, so that a reader never sees half a file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
