"""Denoising files into files, in this process or in others."""

from __future__ import annotations

import functools
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import audio
from ..audio import AudioFile, pipes
from ..runtime.jobs import installed, until_stopped

if TYPE_CHECKING:
    from ..light import denoiser as light
    from .denoiser import Denoiser


@dataclass(frozen=True)
class FileDenoiser:
    """Denoises files into files, by a `Denoiser` that each process loads once.

    It can be pickled and sent to other processes; the model itself is not sent.

    Attributes:
        settings: of the `Denoiser`, as pairs of name and value.
        force: overwrite outputs that exist.
        raw_rate: for pipes of bare samples: their sample rate in Hz.
        progress: called with the source and the share of it that is done; it cannot go to other processes.
        run: tells runs apart: a process that serves several must not keep a model that was since replaced.
    """

    settings: tuple[tuple[str, Any], ...]
    force: bool = False
    raw_rate: int | None = None
    progress: Callable[[Path, float], None] | None = field(default=None, compare=False)
    run: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def label(self) -> str:
        """What outputs say about how they were made; loads the model, and raises what `Denoiser` does."""
        return _loaded(self)[1]

    def __call__(self, source: Path, target: Path, removed: Path | None = None) -> float:
        """Denoise a file.

        Args:
            source, target: input and output, which may be `pipes.PIPE`.
            removed: where to write what was taken out: input minus output.

        Returns:
            The duration of the recording in seconds.

        Raises:
            InputError: the source cannot be read, or the target not written.
            UsageError, ModelError: as `Denoiser`, when a process calls it first.
        """
        denoiser, label = _loaded(self)
        raw = self.raw_rate is not None
        with pipes.input_file(source) as readable, pipes.output_file(target, raw) as writable:
            recording = audio.open_file(readable, self.raw_rate)
            pieces = denoiser.pieces(lambda: until_stopped(recording.chunks()), recording.sample_rate)
            write = functools.partial(
                audio.write, sample_rate=recording.sample_rate, channels=recording.channels,
                frames=recording.frames, subtype=recording.subtype, bit_rate=recording.bit_rate,
                tags=recording.tags, force=self.force,
            )  # fmt: skip
            told = self._told(pieces, source, recording.frames)
            write(writable, told, software=None if target == pipes.PIPE else label)
            written = audio.open_file(writable)
            if removed:
                write(removed, until_stopped(_difference(recording, written)), software=label)
            return written.frames / written.sample_rate

    def _told(self, pieces: Iterable[np.ndarray], source: Path, frames: int) -> Iterator[np.ndarray]:
        done = 0
        for piece in pieces:
            yield piece
            done += piece.shape[1]
            if self.progress:
                self.progress(source, min(1.0, done / max(1, frames)))


def _difference(recording: AudioFile, output: AudioFile) -> Iterator[np.ndarray]:
    """Input minus output, piece by piece; a codec may have shortened the output."""
    pieces = output.chunks()
    rest = np.zeros((recording.channels, 0), np.float32)
    for chunk in recording.chunks():
        while rest.shape[1] < chunk.shape[1]:
            rest = np.concatenate([rest, next(pieces, np.zeros_like(chunk))], axis=1)
        yield chunk - rest[:, : chunk.shape[1]]
        rest = rest[:, chunk.shape[1] :]


_LOADING = threading.Lock()


def _loaded(files: FileDenoiser) -> tuple[Denoiser | light.Denoiser, str]:
    """A denoiser, and what its outputs say."""
    with _LOADING:
        return _load(files.settings, files.run)


@functools.lru_cache(maxsize=4)  # a Dask worker may serve a few runs by turns
def _load(settings: tuple[tuple[str, Any], ...], run: str) -> tuple[Denoiser | light.Denoiser, str]:
    denoiser = _kind()(**dict(settings))
    return denoiser, denoiser.label


def _kind() -> type[Denoiser] | type[light.Denoiser]:
    """With torch where it is installed, else without."""
    if installed("torch"):
        from .denoiser import Denoiser

        return Denoiser
    from ..light import denoiser as light

    return light.Denoiser
