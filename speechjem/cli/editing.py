"""Commands that change a part of a recording."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Device, Force, Model, Seed, Steps

if TYPE_CHECKING:
    import numpy as np


Edited = Annotated[
    Path | None, typer.Option("-o", "--out", help="Output file; in-inpainted.wav or in-converted.wav.")
]


def inpaint(
    source: Annotated[Path, typer.Argument(help="Audio file.")],
    start: Annotated[float, typer.Option("--from", help="Start of the gap in seconds.")],
    end: Annotated[float, typer.Option("--to", help="End of the gap in seconds.")],
    out: Edited = None,
    steps: Steps = None,
    seed: Seed = 0,
    model: Model = None,
    device: Device = "auto",
    force: Force = False,
) -> None:
    """Fill a gap in a recording, such as a lost packet, from what is around it."""
    from ..generation.editing import Editor

    editor = Editor(model, steps=steps, seed=seed, device=device)
    _edit(source, out, "inpainted", lambda x, rate: editor.inpaint(x, rate, start, end), force)


def convert(
    source: Annotated[Path, typer.Argument(help="Audio file.")],
    old: Annotated[str, typer.Option("--from", help="Phone to turn, such as s.")],
    new: Annotated[str, typer.Option("--to", help="Phone to turn it into, such as sh.")],
    out: Edited = None,
    steps: Steps = None,
    seed: Seed = 0,
    model: Model = None,
    device: Device = "auto",
    force: Force = False,
) -> None:
    """Turn one phone of a recording, wherever it is heard, into another."""
    from ..generation.editing import Editor

    editor = Editor(model, steps=steps, seed=seed, device=device)
    _edit(source, out, "converted", lambda x, rate: editor.convert(x, rate, old, new), force)


def _edit(
    source: Path,
    out: Path | None,
    suffix: str,
    change: Callable[[np.ndarray, int], np.ndarray],
    force: bool,
) -> None:
    """Read, change and write one recording."""
    from .. import audio

    target = out or source.with_name(f"{source.stem}-{suffix}{source.suffix}")
    audio.check_target(target, force)
    recording = audio.read(source)
    audio.write(
        target, change(recording.samples, recording.sample_rate), recording.sample_rate,
        subtype=recording.subtype, bit_rate=recording.bit_rate, tags=recording.tags, force=force,
    )  # fmt: skip
    print(target)
