"""Commands that train."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from .app import log
from .options import AllowPipes, Device, Verbose, Workers


def train_model(
    config: Annotated[Path, typer.Argument(help="Training configuration (YAML).")],
    labelled: Annotated[
        str | None, typer.Option(help="Kaldi data directory with ali.ctm, or shards, such as 'shards/*.tar'.")
    ] = None,
    unlabelled: Annotated[str | None, typer.Option(help="Folder of more clean speech, or shards.")] = None,
    noise: Annotated[str | None, typer.Option(help="Folder of noise.")] = None,
    held_out: Annotated[str | None, typer.Option(help="Kaldi data directory to validate on.")] = None,
    start: Annotated[str | None, typer.Option(help="Model to start from, instead of random weights.")] = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="Folder of the training; exp/NAME of the configuration by default."),
    ] = None,
    device: Device = "auto",
    workers: Workers = 0,
    allow_pipes: AllowPipes = False,
    verbose: Verbose = None,
) -> None:
    """Train a model, or resume a training that was interrupted (same command)."""
    from ..runtime import distributed
    from ..training.settings import read_config, with_data
    from ..training.speech import train

    folder = out or Path("exp") / config.stem
    settings = with_data(
        read_config(config), labelled=labelled, unlabelled=unlabelled, noise=noise, held_out=held_out
    )
    settings = replace(settings, start=start or settings.start)
    train(
        settings,
        folder,
        device=device,
        workers=workers,
        allow_pipes=allow_pipes,
        progress=log.isEnabledFor(logging.WARNING),
    )
    if distributed.rank() == 0:
        print(folder / "model")


def train_image_model(
    config: Annotated[Path, typer.Argument(help="Training configuration (YAML).")],
    folder: Annotated[str | None, typer.Option("--data", help="Folder of the images' files.")] = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="Folder of the training; exp/NAME of the configuration by default."),
    ] = None,
    device: Device = "auto",
    workers: Workers = 0,
) -> None:
    """Train a model of images by the same objective, or resume a training that was interrupted."""
    from ..runtime import distributed
    from ..training.images import train
    from ..training.settings import read_image_config, with_data

    target = out or Path("exp") / config.stem
    train(with_data(read_image_config(config), folder=folder), target, device=device, workers=workers)
    if distributed.rank() == 0:
        print(target / "model")
