"""The recordings in folders."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from .formats import READ, SUFFIXES, conversion, is_foreign

Refuse = Callable[[Path, InputError], None]
log = logging.getLogger("speechjem")


@dataclass(frozen=True)
class Source:
    """An input file and its place below the folder it was found in.

    Attributes:
        path: where the file is.
        relative: its path below the folder given, or its name if the file itself was given.
    """

    path: Path
    relative: Path


def find(
    inputs: Sequence[str | os.PathLike[str]],
    refuse: Refuse | None = None,
    without: Iterable[Path] = (),
) -> list[Source]:
    """List the audio files that the inputs stand for.

    A file stands for itself, whatever its suffix; so does a path that does not exist, which `read`
    refuses by name while the rest of a batch continues. A folder stands for all audio files below it
    in sorted order, without hidden files and folders. Linked folders are entered, too, if they lie
    elsewhere.

    Args:
        inputs: files and folders.
        refuse: told of whatever in a folder cannot be used, and why: recordings of a format that is not
            read here, unless there is one of the same name that is; folders that cannot be listed; links
            to nothing; and folders without any audio. By default the last is an error, and a warning is
            logged of the others.
        without: folders that are passed over where they lie below an input.

    Returns:
        The files in the order of the inputs. Two inputs may have the same relative path.

    Raises:
        InputError: a folder has no audio file, and there is no `refuse`.
    """
    closed = {os.path.realpath(folder) for folder in without}
    sources: list[Source] = []
    for path in map(Path, inputs):
        sources += _walk(path, refuse, closed) if os.path.isdir(path) else [Source(path, Path(path.name))]
    return sources


def _walk(folder: Path, refuse: Refuse | None, closed: set[str]) -> list[Source]:
    refused: list[tuple[Path, InputError]] = []
    paths = sorted(_files(folder, lambda path, error: refused.append((path, error)), closed))
    readable = [path for path in paths if path.suffix.lower() in READ]
    stems = {path.with_suffix("") for path in readable}
    foreign = [path for path in paths if is_foreign(path) and path.with_suffix("") not in stems]
    refused += [
        (path, InputError(f"Cannot read {path} (its format is not known); {conversion(path)}."))
        for path in foreign
    ]
    if not readable and not refused:
        message = f"No audio files in {folder}; give a folder with files like {' '.join(SUFFIXES)}."
        refused = [(folder, InputError(message))]
    for path, error in refused:
        if refuse:
            refuse(path, error)
        elif readable:
            log.warning("%s", error)
        else:
            raise error
    return [Source(path, path.relative_to(folder)) for path in readable]


def _files(folder: Path, refuse: Refuse, closed: set[str]) -> Iterator[Path]:
    """All files below a folder that are not hidden, nor in folders that are closed."""

    def unlisted(error: OSError) -> None:
        path = Path(os.fsdecode(error.filename))
        refuse(path, InputError(f"The folder {path} cannot be listed ({error.strerror}); make it readable."))

    top = os.path.realpath(folder)
    entered = {top, *closed}
    for place, folders, names in os.walk(folder, onerror=unlisted, followlinks=True):
        visible = [name for name in sorted(folders) if not name.startswith(".")]
        folders[:] = [name for name in visible if _enter(place, name, top, entered)]
        for path in (Path(place, name) for name in names if not name.startswith(".")):
            if os.path.exists(path) or not os.path.islink(path):
                yield path
            elif not path.suffix or path.suffix.lower() in READ:  # it may have been a folder
                message = f"{path} is a link to {os.readlink(path)}, which is not there; mend or delete it."
                refuse(path, InputError(message))


def _enter(place: str, name: str, top: str, entered: set[str]) -> bool:
    """Whether to enter a folder: once, and where it lies rather than by a link to it."""
    path = os.path.join(place, name)
    target = os.path.realpath(path)
    if target in entered or (os.path.islink(path) and Path(target).is_relative_to(top)):
        return False
    entered.add(target)
    return True
