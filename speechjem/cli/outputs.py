"""Where outputs go, and whether they can be written: asked before a long computation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, UsageError
from .app import log

if TYPE_CHECKING:
    from ..audio import Source
    from ..runtime.jobs import Job, Outcome


SUFFIX = "-denoised"  # of the name of an output that goes beside its input


def listed(inputs: list[Path], out: Iterable[Path] = ()) -> tuple[list[Source], list[Outcome]]:
    """The recordings that inputs stand for, and what in their folders cannot be used.

    Args:
        inputs: files and folders.
        out: folders of outputs, which are no inputs where they lie below one.
    """
    from .. import audio

    unusable: list[Outcome] = []
    return audio.find(inputs, collect(unusable), out), unusable


def collect(unusable: list[Outcome]) -> Callable[[Path, InputError], None]:
    """What keeps the outcome of every file that cannot be used."""
    from ..runtime.jobs import Outcome

    return lambda path, error: unusable.append(Outcome((path, path), error=error))


def without_outputs(sources: list[Source]) -> list[Source]:
    """The recordings but for those that came out of others of them."""
    stems = {source.path.with_suffix("") for source in sources}
    mine = {path.with_name(path.name + SUFFIX) for path in stems}
    left = [source for source in sources if source.path.with_suffix("") not in mine]
    if len(left) < len(sources):
        first = next(source.path for source in sources if source not in left)
        log.warning(
            "%d inputs are outputs of others of them, such as %s, and are left out.",
            len(sources) - len(left),
            first,
        )
    return left


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
    _check_suffix(out)
    is_file = out is not None and out.suffix.lower() in SUFFIXES and not out.is_dir()
    if is_file and (len(sources) > 1 or inputs[0].is_dir()):
        raise UsageError(f"{out} is one file, but there are several inputs; give -o FOLDER.")
    targets: dict[Path, Path] = {}
    for source in sources:
        relative = source.relative
        if relative.suffix.lower() not in SUFFIXES:
            relative = relative.with_suffix(".wav")
        if out is None:
            target = source.path.with_name(f"{relative.stem}{SUFFIX}{relative.suffix}")
        else:
            target = out if is_file else out / relative
        if target in targets:
            raise UsageError(
                f"{targets[target]} and {source.path} would both be written to {target}; rename one."
            )
        targets[target] = source.path
    return [(source, target) for target, source in targets.items()]


def _check_suffix(out: Path | None) -> None:
    """A name like clean.m4a means a file, not a folder."""
    from ..audio import SUFFIXES, formats

    if out is None or out.is_dir() or out.suffix.lower() in SUFFIXES:
        return
    if formats.is_foreign(out) or out.suffix.lower() in formats.READ:
        raise UsageError(f"Cannot write {out}; use one of the suffixes {' '.join(SUFFIXES)}.")


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
