"""Where outputs go, and whether they can be written: asked before a long computation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, UsageError
from .app import log

if TYPE_CHECKING:
    from ..audio import Source
    from ..runtime.jobs import Job, Outcome


def planned(sources: list[Source], inputs: list[Path], out: Path | None) -> list[tuple[Path, Path]]:
    """Input and output path of every file."""
    from ..audio import SUFFIXES
    from ..audio.pipes import PIPE

    if PIPE in inputs and len(inputs) > 1:
        raise UsageError("Standard input (-) must be the only input.")
    if PIPE in (*inputs, out):
        if len(sources) > 1 or inputs[0].is_dir():
            raise UsageError("Standard output (-) takes one recording; give -o FOLDER.")
        return [(inputs[0], out or PIPE)]
    if out is None and any(path.is_dir() for path in inputs):
        raise UsageError("Give -o FOLDER for where the outputs of a folder shall go.")
    is_file = out is not None and out.suffix.lower() in SUFFIXES and not out.is_dir()
    if is_file and (len(sources) > 1 or inputs[0].is_dir()):
        raise UsageError(f"{out} is one file, but there are several inputs; give -o FOLDER.")
    targets: dict[Path, Path] = {}
    for source in sources:
        relative = source.relative
        if relative.suffix.lower() not in SUFFIXES:
            relative = relative.with_suffix(".wav")
        if out is None:
            target = source.path.with_name(f"{relative.stem}-denoised{relative.suffix}")
        else:
            target = out if is_file else out / relative
        if target in targets:
            raise UsageError(
                f"{targets[target]} and {source.path} would both be written to {target}; rename one."
            )
        targets[target] = source.path
    return [(source, target) for target, source in targets.items()]


def undone(tasks: list[Job]) -> list[Job]:
    """What has no output yet; an output is complete or absent."""
    # An input is nobody's output: where it would be written over, that is refused.
    left = [(source, target) for source, target in tasks if source == target or not target.exists()]
    if len(left) < len(tasks):
        log.warning("%d of %d outputs exist; they stay as they are.", len(tasks) - len(left), len(tasks))
    return left


def writable(tasks: list[Job], force: bool) -> tuple[list[Job], list[Outcome]]:
    """What can be written, and why the rest cannot."""
    from .. import audio
    from ..audio import pipes
    from ..runtime.jobs import Outcome

    ready, refused = [], []
    for source, target in tasks:
        try:
            if target != pipes.PIPE:
                audio.check_target(target, force)
            ready.append((source, target))
        except InputError as error:
            refused.append(Outcome((source, target), error=error))
    return ready, refused


def check_picture(path: Path, force: bool) -> None:
    """Whether a picture can be written there."""
    from .. import plot

    plot.picture_format(path)
    if path.exists() and not force:
        raise InputError(f"{path} exists; pass --force to overwrite it.")
