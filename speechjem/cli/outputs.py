"""Where outputs go, and whether they can be written: asked before a long computation."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, UsageError
from ..runtime import atomic
from .app import log

if TYPE_CHECKING:
    from ..audio import Source
    from ..runtime.jobs import Job, Outcome


SUFFIX = "-denoised"  # of the name of an output that goes beside its input


def listed(inputs: list[Path], out: Iterable[Path] = ()) -> tuple[list[Source], list[Outcome]]:
    """The recordings of the inputs, and the files of their folders that cannot be used.

    Args:
        inputs: files and folders.
        out: folders of outputs, which are not read where they lie below an input folder.
    """
    from .. import audio

    unusable: list[Outcome] = []
    return audio.find(inputs, collect(unusable), out), unusable


def collect(unusable: list[Outcome]) -> Callable[[Path, InputError], None]:
    """A callback that appends the outcome of every file that cannot be used."""
    from ..runtime.jobs import Outcome

    return lambda path, error: unusable.append(Outcome((path, path), error=error))


def without_outputs(sources: list[Source]) -> list[Source]:
    """The recordings without those that are outputs of others of them."""
    paths = {source.path.with_suffix("") for source in sources}
    names = {path.with_name(path.name + SUFFIX) for path in paths}
    places = {source.relative.with_suffix(""): source.path for source in sources}
    mine = [s for s in sources if s.path.with_suffix("") in names or _is_mirrored(s, places)]
    if mine:
        log.warning(
            "%d inputs are outputs of others of them, and are left out: %s.",
            len(mine),
            _names([source.path for source in mine]),
        )
    return [source for source in sources if source not in mine]


def _is_mirrored(source: Source, places: dict[Path, Path]) -> bool:
    """Whether a recording is an output by its tag, and has the place of an input in a mirrored tree."""
    parts = source.relative.with_suffix("").parts
    tails = (Path(*parts[first:]) for first in range(1, len(parts)))
    originals = [places[tail] for tail in tails if tail in places]
    return any(_is_ours(source.path) and not _is_ours(path) for path in originals)


def _is_ours(path: Path) -> bool:
    from .. import audio
    from ..audio.enhancing import PROGRAM

    return audio.software(path).startswith(f"{PROGRAM} ")


def planned(sources: list[Source], inputs: list[Path], out: Path | None) -> list[Job]:
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


def with_removed(tasks: list[Job], sources: list[Source], inputs: list[Path], removed: Path) -> list[Job]:
    """The tasks with a third path: the output for what is removed."""
    from ..audio.pipes import PIPE

    if removed == PIPE or PIPE in inputs and (removed.is_dir() or not removed.suffix):
        raise UsageError("Name a file for what is removed from standard input.")
    if PIPE in inputs:
        return [(*task, removed) for task in tasks]
    places = {job[0]: job[1] for job in planned(sources, inputs, removed)}
    both = [(*task, places[task[0]]) for task in tasks]
    if same := next((job for job in both if job[1] == job[2]), None):
        raise UsageError(f"What is left and what is removed would both be written to {same[1]}; name two.")
    return both


def _check_suffix(out: Path | None) -> None:
    """A name like clean.m4a means a file, not a folder."""
    from ..audio import SUFFIXES, formats

    if out is None or out.is_dir() or out.suffix.lower() in SUFFIXES:
        return
    if formats.is_foreign(out) or out.suffix.lower() in formats.READ:
        raise UsageError(f"Cannot write {out}; use one of the suffixes {' '.join(SUFFIXES)}.")


def undone(tasks: list[Job], label: str) -> tuple[list[Job], set[Job], list[Outcome]]:
    """The tasks whose outputs are missing, outdated, or made with other settings.

    Args:
        tasks: input and outputs.
        label: tag of outputs with the present settings.

    Returns:
        The tasks to do; those of them that replace existing outputs; and those that are refused.
    """
    from ..denoising import done
    from ..runtime.jobs import Outcome

    left: list[Job] = []
    flaws: dict[str, list[Path]] = {}
    again, unsure, refused = set(), [], []
    for job in tasks:
        source, *targets = job
        # An output that is also an input is left to `writable`, which refuses to overwrite it.
        existing = [] if source in targets else list(filter(os.path.exists, targets))
        try:
            verdicts = {path: done.judge(source, path, label) for path in existing}
        except InputError as error:
            refused.append(Outcome(job, error=error))
            continue
        for path, verdict in verdicts.items():
            if verdict.flaw:
                flaws.setdefault(verdict.flaw, []).append(path)
        if len(existing) < len(targets) or any(verdict.flaw for verdict in verdicts.values()):
            left.append(job)
            again |= {job} if existing else set()
        else:
            unsure += [path for path, verdict in verdicts.items() if not verdict.is_sure]
    _tell(len(tasks) - len(left) - len(refused), len(tasks), flaws, unsure)
    return left, again, refused


def _tell(stay: int, total: int, flaws: dict[str, list[Path]], unsure: list[Path]) -> None:
    if stay:
        log.warning("%d of %d outputs exist; they stay as they are.", stay, total)
    for flaw, paths in flaws.items():
        log.warning("These are %s, and are made again: %s.", flaw, _names(paths))
    if unsure:
        log.warning("These do not say with which settings they were made, and stay: %s.", _names(unsure))


def _names(paths: list[Path], most: int = 10) -> str:
    more = f" and {len(paths) - most} more" if len(paths) > most else ""
    return ", ".join(map(str, paths[:most])) + more


def writable(tasks: list[Job], force: Callable[[Job], bool]) -> tuple[list[Job], list[Outcome]]:
    """The tasks whose outputs can be written, or overwritten by `force`, and why the others cannot."""
    from .. import audio
    from ..audio import pipes
    from ..runtime.jobs import Outcome

    ready, refused = [], []
    for job in tasks:
        try:
            for target in job[1:]:
                if target != pipes.PIPE:
                    audio.check_target(target, force(job))
            ready.append(job)
        except InputError as error:
            refused.append(Outcome(job, error=error))
    return ready, refused


def check_picture(path: Path, force: bool) -> None:
    """Whether a picture can be written there."""
    from .. import plot

    plot.picture_format(path)
    atomic.check_new(path, force)
