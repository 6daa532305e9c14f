"""Options that several commands have."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from .app import log

WHICH = "Model folder, or org/name[@revision] on the Hugging Face hub; the shipped model by default."
Model = Annotated[str | None, typer.Option(help=WHICH)]
ModelName = Annotated[str | None, typer.Argument(help=WHICH)]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Workers = Annotated[
    int, typer.Option(min=0, help="Processes that prefetch batches, for a GPU; results do not change.")
]
Steps = Annotated[int | None, typer.Option(help="Number of steps; the model's by default.")]
StepSize = Annotated[
    float | None,
    typer.Option(help="SGLD step size; in denoising by descent, a factor on the trained sizes."),
]
Noise = Annotated[float | None, typer.Option(help="Noise added at each step.")]
Seed = Annotated[int, typer.Option(help="Seed of all randomness.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite outputs that exist.")]
AllowPipes = Annotated[
    bool,
    typer.Option(
        "--allow-pipes", help="Run commands in wav.scp; only for files from sources that you trust."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON lines on stdout.")]
Scheduler = Annotated[
    str,
    typer.Option(
        help="Dask scheduler whose workers do the work: tcp://host:8786, or its .json file; "
        "local for this machine."
    ),
]


def _set_verbosity(verbose: bool | None) -> None:
    if verbose is not None:
        log.setLevel(logging.INFO if verbose else logging.ERROR)


Verbose = Annotated[
    bool | None,
    typer.Option(
        "-v/-q",
        "--verbose/--quiet",
        callback=_set_verbosity,
        expose_value=False,
        show_default=False,
        help="Report every finished file; or only errors, without progress bar and notes.",
    ),
]
