"""Atomic writes: files are whole or absent, and replace others only on request."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..errors import InputError


def check_new(path: Path, force: bool) -> None:
    """Raise InputError if a file exists that is not to be replaced."""
    if os.path.exists(path) and not force:
        raise InputError(f"{path} exists; pass --force to overwrite it.")


@contextlib.contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A name in the same folder to write to, renamed to `path` at the end; after a failure nothing is left.

    It is short (the target's name may be at the limit), and hidden so that nobody takes it for a result. It
    is not from tempfile, whose files nobody else may read.
    """
    partial = path.with_name(f".{uuid.uuid4().hex}.partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        with contextlib.suppress(OSError):  # after a success it is no longer there
            partial.unlink()


@contextlib.contextmanager
def folder_beside(folder: Path) -> Iterator[Path]:
    """As `beside`, for a folder. Where there is one, its files are replaced one by one, and others stay.

    Raises:
        OSError: naming the folder, if it cannot be written.
    """
    partial = folder.with_name(f".{uuid.uuid4().hex}.partial")
    try:
        partial.mkdir(parents=True)
        yield partial
        _move(partial, folder)
    except OSError as error:
        if error.errno is not None:
            error.filename = str(folder)
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _move(source: Path, target: Path) -> None:
    if source.is_dir() and target.is_dir():
        for path in source.iterdir():
            _move(path, target / path.name)
    else:
        os.replace(source, target)


def replace_file(path: Path, write: Callable[[Path], Any]) -> None:
    """Write beside, then rename, so that a reader never sees half a file.

    Args:
        path: of the file, which is written over.
        write: writes the file at a path that it is given.

    Raises:
        OSError: as `write`, naming the file.
    """
    try:
        with beside(path) as partial:
            write(partial)
    except OSError as error:
        if error.errno is not None:
            error.filename = str(path)  # that of a write has none
        raise
