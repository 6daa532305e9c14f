"""Standard input and output as audio files, for Kaldi's wav.scp and for pipes with sox or ffmpeg.

Both pass through a temporary file: a recording is read twice (for its level first), a wav header needs the
length, and a pipe that breaks leaves nothing half-done behind.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..errors import InputError
from . import files

PIPE = Path("-")
"""Stands for standard input as an input and for standard output as an output."""


@contextlib.contextmanager
def input_file(path: Path) -> Iterator[Path]:
    """The path itself, or for `PIPE` a temporary file with all of standard input."""
    if path != PIPE:
        yield path
        return
    with _folder() as folder:
        copy = folder / "standard-input"
        try:
            with copy.open("wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
        except OSError as error:
            message = f"Standard input cannot be read ({error.strerror}); give a recording to it."
            raise InputError(message) from error
        with _called(copy, "standard input"):
            yield copy


@contextlib.contextmanager
def output_file(path: Path, raw: bool = False) -> Iterator[Path]:
    """The path itself, or for `PIPE` a temporary wav file that goes to standard output when all is well.

    Args:
        path: where to write.
        raw: send the samples only, 16-bit little-endian.

    Raises:
        InputError: if nobody reads standard output, or it is full.
    """
    if path != PIPE:
        yield path
        return
    with _folder() as folder:
        file = folder / "standard-output.wav"
        with _called(file, "standard output"):
            yield file
        try:
            _send(file, raw)
        except OSError as error:
            # Else Python flushes the rest at exit, and reports the error again.
            sys.stdout = None
            advice = "free space" if error.errno == errno.ENOSPC else "give it to a file or a program"
            message = f"Standard output cannot be written ({error.strerror}); {advice}."
            if isinstance(error, BrokenPipeError):
                message = "Standard output was closed before all was written; read it to the end."
            raise InputError(message) from error


def _send(path: Path, raw: bool) -> None:
    out = sys.stdout.buffer
    if raw:
        for chunk in files.open_file(path).chunks():
            out.write(np.round(chunk.T * 32768).clip(-32768, 32767).astype("<i2").tobytes())
    else:
        with path.open("rb") as file:
            shutil.copyfileobj(file, out)
    out.flush()


@contextlib.contextmanager
def _called(path: Path, name: str) -> Iterator[None]:
    """Errors that speak of a temporary file by the name of what it stands for."""
    try:
        yield
    except InputError as error:
        sentence = str(error).replace(str(path), name)
        raise InputError(sentence[0].upper() + sentence[1:]) from error


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="speechjem-") as name:
        yield Path(name)
