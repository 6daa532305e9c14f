"""Writes the page: its own files, the graph of the model, and the runtime that runs it."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from importlib import resources
from pathlib import Path
from typing import Any

from ..audio import level, rumble
from ..denoising import graph, streaming
from ..denoising.denoiser import Denoiser
from ..denoising.frames import Frames
from ..errors import InputError
from ..models.checkpoint import STREAM
from ..models.speech import SpeechModel
from ..runtime import atomic

PAGE = (
    "index.html", "style.css", "app.js", "worker.js", "microphone.js", "graph.js", "stream.js", "level.js",
    "resampling.js", "rows.js", "wav.js",
)  # fmt: skip
RUNTIME = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
REGISTRY = "https://registry.npmjs.org"
PACKAGE = "onnxruntime-web"
VERSION = "1.30.0"
SHA256 = "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"
ARCHIVE = f"{PACKAGE}-{VERSION}.tgz"  # the name that `npm pack` gives it


def write(
    folder: Path, model: SpeechModel | str | None = None, steps: int | None = None, force: bool = False
) -> None:
    """Write a folder that any server of files makes a page of, which then denoises in the browser.

    Args:
        folder: to write; a file of it is complete or absent.
        model: loaded, or its name; causal; the shipped model for streams by default.
        steps: number of descent steps; all that were trained by default.
        force: write into a folder that exists.

    Raises:
        InputError: if the folder exists, or the runtime cannot be had.
        UsageError: if the model is not one for streams, or more steps are asked for than were trained.
        SpeechjemError: if the packages for ONNX are not installed.
    """
    atomic.check_new(folder, force)
    denoiser = Denoiser(model or STREAM, steps=steps, device="cpu", precision="float32")
    streaming.check(denoiser)
    runtime = runtime_archive()
    with atomic.folder_beside(folder) as partial:
        graph.to_onnx(partial / "stream.onnx", denoiser.model, steps)
        (partial / "settings.json").write_text(json.dumps(settings(denoiser.model, steps)))
        copy_page(partial)
        _unpack_runtime(runtime, partial / "runtime")


def settings(model: SpeechModel, steps: int | None = None) -> dict[str, Any]:
    """What level.js, stream.js and graph.js must know of the model and of the level of streams."""
    config = model.config.fbank
    return {
        "rate": config.sample_rate,
        "hop": config.hop,
        "window": model.fbank.window.tolist(),
        "latency": (config.hop + config.window) / config.sample_rate,
        "state": Frames(model, model.config.descent.steps if steps is None else steps).size,
        "target": config.level + level.LOUDER,
        "block": round(level.BLOCK * config.sample_rate),
        "blocks": round(level.WINDOW / level.BLOCK),
        "share": level.SHARE,
        "usual": level.USUAL,
        "lowest": level.LOWEST,
        "sections": rumble.Above(1, config.sample_rate).sections.tolist(),
    }


def runtime_archive() -> Path:
    """The package of onnxruntime-web: from the cache, or once from npm's registry (33 MB).

    Raises:
        InputError: if it cannot be had, or is not the published one.
    """
    import pooch

    registry = os.environ.get("NPM_CONFIG_REGISTRY", REGISTRY)
    url = f"{registry.rstrip('/')}/{PACKAGE}/-/{ARCHIVE}"
    cache = pooch.os_cache("speechjem")
    try:
        return Path(pooch.retrieve(url, f"sha256:{SHA256}", ARCHIVE, cache))
    except (OSError, ValueError) as error:  # requests' errors are OSErrors; a wrong SHA256 is a ValueError
        raise InputError(
            f"{url} cannot be had ({error}); where there is a network, run 'npm pack {PACKAGE}@{VERSION}', "
            f"and copy the file to {cache}."
        ) from error


def copy_page(folder: Path) -> None:
    """Copy what is the same for all models, and the sample, into a folder."""
    package, checkout = Path(str(resources.files("speechjem"))), Path(__file__).parents[2]
    for name in PAGE:
        shutil.copyfile(package / "web" / name, folder / name)
    style, script = ((package / "demo" / name).read_text("utf-8") for name in ("player.css", "player.js"))
    (folder / "player.js").write_text(f"const SPEECH_STYLE = {json.dumps(style)};\n{script}", "utf-8")
    shipped = package / "samples" / "noisy.flac"
    sample = shipped if shipped.is_file() else checkout / "samples" / "noisy.flac"
    shutil.copyfile(sample, folder / "sample.flac")


def _unpack_runtime(archive: Path, folder: Path) -> None:
    folder.mkdir()
    with tarfile.open(archive) as files:
        for name in RUNTIME:
            source = files.extractfile(f"package/dist/{name}")
            assert source is not None
            with source, open(folder / name, "wb") as target:
                shutil.copyfileobj(source, target)
