"""Audio files: reading and atomic writing.

A waveform is a float32 array of shape (channels, samples); full scale is 1.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import soundfile

from ..errors import InputError
from ..runtime import atomic
from . import encoding
from .blocks import CHUNK
from .formats import CONTAINERS, MUTE, SUFFIXES, conversion, is_foreign
from .joined import Stream, StreamFile, streams
from .tags import NONE as NO_TAGS
from .tags import Tags, put_chunks, put_texts, tags_of
from .waveform import as_array, check_shape

# libsndfile puts a whole Vorbis write on the stack: one minute in one call is a segmentation fault.
_WRITE_FRAMES = 1 << 12
_UNKNOWN = 1 << 62  # frames; a FLAC file that was written into a pipe promises more
# A kilobyte of FLAC can say "silence" for an hour.
_LARGEST = 1 << 27  # values of a recording held in memory, if it has more than ...
_DENSEST = 128  # ... so many values for each byte of its file


@dataclass(frozen=True)
class Audio:
    """A waveform as it was read.

    Attributes:
        samples: float32, shape (channels, samples), full scale 1.
        sample_rate: in Hz.
        format: container as soundfile names it, such as "WAV".
        subtype: encoding as soundfile names it, such as "PCM_24".
        bit_rate: of MP3, Opus and Vorbis, in bits a second.
        tags: title and the like.
    """

    samples: np.ndarray
    sample_rate: int
    format: str
    subtype: str
    bit_rate: float | None = None
    tags: Tags = NO_TAGS


@dataclass(frozen=True)
class AudioFile:
    """An audio file that can be read piece by piece, as often as one likes.

    Attributes:
        path: where it is.
        sample_rate: in Hz.
        channels: their number.
        frames: samples of each channel, as the header promises.
        format, subtype: as in `Audio`.
        raw: whether it has no header, but samples only.
        version: what changes when somebody writes to the file.
        streams: the streams that follow each other in it.
        tags: title and the like, of the first stream.
    """

    path: Path
    sample_rate: int
    channels: int
    frames: int
    format: str
    subtype: str
    raw: bool
    version: tuple[int, ...]
    streams: tuple[Stream, ...]
    tags: Tags

    @property
    def bit_rate(self) -> float | None:
        """Bits a second, with whatever else is in the file; None where the encoding has nothing to choose."""
        if self.subtype not in encoding.LOSSY:
            return None
        return 8 * os.path.getsize(self.path) * self.sample_rate / max(1, self.frames)

    def chunks(self) -> Iterator[np.ndarray]:
        """All samples from the start, in float32 pieces of shape (channels, samples), full scale 1.

        Raises:
            InputError: as `read` does, when the damaged, empty or not finite place is reached; or if the file
                is no longer the one that was opened.
        """
        count = 0
        for stream in self.streams:
            with _opened(self.path, stream, self.sample_rate if self.raw else None) as file:
                while (piece := _next(file, self.path, count / self.sample_rate)).size:
                    if not np.isfinite(piece).all():
                        raise InputError(
                            f"{self.path} has NaN or infinite samples; repair the file or leave it out."
                        )
                    count += len(piece)
                    self._check_version()
                    yield np.ascontiguousarray(piece.T)
        self._check_version()
        if count == 0:
            raise InputError(f"{self.path} has no samples; give a file that is not empty.")

    def _check_version(self) -> None:
        if _version(self.path) != self.version:
            raise InputError(f"{self.path} was changed while it was read; try again when it is complete.")


def _version(path: Path) -> tuple[int, ...]:
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # a name may have a NUL
        return ()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def open_file(path: str | os.PathLike[str], raw_rate: int | None = None) -> AudioFile:
    """Look into an audio file, to read it piece by piece.

    Args:
        path: the file, of any format that soundfile knows.
        raw_rate: for a file without a header: its sample rate in Hz; the samples are taken to be one channel
            of 16-bit little-endian integers.

    Raises:
        InputError: the file is missing, is a folder, or is not readable audio.
    """
    path = Path(path)
    version = _version(path)
    _check_source(path)
    parts = _streams(path, raw_rate)
    frames, rate, channels = 0, 0, 0
    for part in parts:
        with _opened(path, part, raw_rate) as file:
            if frames and (file.samplerate, file.channels) != (rate, channels):
                raise InputError(
                    f"{path} goes on with {file.channels} channels at {file.samplerate} Hz after "
                    f"{frames / rate:.1f} s of {channels} at {rate} Hz; cut it there and give the parts."
                )
            rate, channels, kind = file.samplerate, file.channels, (file.format, file.subtype)
            frames += _frames(file, path)
    tags = tags_of(path, parts)
    return AudioFile(path, rate, channels, frames, *kind, raw_rate is not None, version, parts, tags)


def read(path: str | os.PathLike[str]) -> Audio:
    """Read an audio file of any format that soundfile knows.

    A file that stops before the length its header promises gives the samples that are there, if
    its format allows to decode them. Float files may exceed full scale.

    Args:
        path: the file.

    Returns:
        The waveform with its sample rate (Hz), format and subtype.

    Raises:
        InputError: the file is missing, is a folder, is not readable audio, is empty, or holds NaN
            or infinite samples, or is a small file made to fill the memory.
    """
    file = open_file(path)
    pieces, count = [], 0
    for piece in file.chunks():
        pieces.append(piece)
        count += piece.size
        if count > max(_LARGEST, _DENSEST * os.path.getsize(path)):
            raise InputError(f"{path} unfolds to more than {4 * _DENSEST} times its size; give a part of it.")
    whole = np.concatenate(pieces, axis=1)
    return Audio(whole, file.sample_rate, file.format, file.subtype, file.bit_rate, file.tags)


def _check_source(path: Path) -> None:
    """Whether a path is a file that this user may read."""
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, ValueError) as error:  # a name may have a NUL
        if os.path.islink(path):
            raise InputError(f"{path} is a link to {os.readlink(path)}, which is not there.") from error
        raise InputError(f"No such file: {path}. Check the path.") from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InputError(f"No such file: {path}. Check the path.") from error
        message = f"Cannot open {path} ({error.strerror}); check the path, and who may read it."
        raise InputError(message) from error
    if stat.S_ISDIR(mode):
        raise InputError(f"{path} is a folder; name an audio file.")
    if not stat.S_ISREG(mode):  # opening one might wait for ever
        raise InputError(f"{path} is a pipe or a device; give it as standard input (-), or as a file.")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path} is not yours to read; change its permissions, or ask its owner.")


def _streams(path: Path, raw_rate: int | None) -> tuple[Stream, ...]:
    try:
        return (Stream(0, os.path.getsize(path)),) if raw_rate else tuple(streams(path))
    except OSError as error:
        raise _unreadable(path, error) from error


class _Forwards(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no types
    """A file to read once: after each read soundfile seeks to where it is, which fails at an unknown end."""

    def seekable(self) -> bool:
        return self.frames < _UNKNOWN and bool(super().seekable())


@contextlib.contextmanager
def _opened(path: Path, stream: Stream, raw_rate: int | None) -> Iterator[soundfile.SoundFile]:
    whole = stream == Stream(0, os.path.getsize(path))
    with contextlib.ExitStack() as stack:
        try:
            source = _name(path) if whole else stack.enter_context(StreamFile(path, stream))
            raw = ("r", raw_rate, 1, "PCM_16", "LITTLE", "RAW") if raw_rate else ()
            file = stack.enter_context(_Forwards(source, *raw))
        # A .raw file has no header: TypeError.
        except (soundfile.SoundFileError, OSError, TypeError, ValueError) as error:
            raise _unreadable(path, error) from error
        yield file


def _frames(file: soundfile.SoundFile, path: Path) -> int:
    """The length that the header promises, or else that of what is there."""
    if file.frames < _UNKNOWN:
        return int(file.frames)
    count = 0
    while size := len(_next(file, path, count / file.samplerate)):
        count += size
    return count


def _name(path: Path) -> str | bytes:
    """A path for soundfile, which encodes names strictly, while those of POSIX may be any bytes."""
    return os.fsencode(path) if os.name == "posix" else str(path)


def _next(file: soundfile.SoundFile, path: Path, seconds: float) -> np.ndarray:
    try:
        piece: np.ndarray = file.read(max(1, CHUNK // file.channels), dtype="float32", always_2d=True)
        return piece
    except (soundfile.SoundFileError, OSError, ValueError) as error:
        raise _unreadable(path, error, f" after {seconds:.1f} s") from error


def _unreadable(path: Path, error: Exception, place: str = "") -> InputError:
    advice = conversion(path) if is_foreign(path) else "give an intact audio file"
    return InputError(f"Cannot read {path} as audio ({_cause(error)}{place}); {advice}.")


def write(
    path: str | os.PathLike[str],
    samples: np.ndarray | Iterable[np.ndarray],
    sample_rate: int,
    *,
    channels: int | None = None,
    frames: int = 0,
    subtype: str | None = None,
    bit_rate: float | None = None,
    software: str | None = None,
    tags: Tags = NO_TAGS,
    force: bool = False,
) -> None:
    """Write a waveform, whole or not at all.

    The suffix of the path sets the format. The file is written under a temporary name in the same
    folder and renamed when complete; after any failure nothing of it is left. Missing folders are
    made. Samples beyond full scale are clipped to [-1, 1], except in float subtypes, which hold
    them as they are. Integers are rounded. A WAV beyond 4 GB becomes RF64.

    Args:
        path: the file to write.
        samples: array or tensor, shape (channels, samples) or (samples,), full scale 1; or consecutive
            pieces of such a waveform.
        sample_rate: in Hz.
        channels: their number, needed for pieces only.
        frames: how many samples of each channel the pieces will have together.
        subtype: encoding such as "PCM_24"; one that the format lacks gives the format's default
            (PCM_16 for .wav).
        bit_rate: of MP3, Opus and Vorbis, about, in bits a second; the encoder's own by default.
        software: what made it, to be noted in formats that have a place for it (see `software`).
        tags: title and the like, noted as far as the format has a place for them.
        force: overwrite an existing file.

    Raises:
        InputError: channels and samples are exchanged, the file exists (without force) or is
            write-protected, the suffix is unknown, the format cannot hold these channels or this rate, a
            sample is NaN or infinite, or the folder cannot be written to.
    """
    path = Path(path)
    check_target(path, force)
    kind = CONTAINERS[path.suffix.lower()]
    if isinstance(samples, np.ndarray) or channels is None:
        whole = as_array(cast(np.ndarray, samples))
        check_shape(whole.shape)
        channels, frames, samples = len(np.atleast_2d(whole)), whole.shape[-1], [whole]
    subtype = _subtype(path, kind, subtype)
    encoding.check_channels(path.suffix, kind, subtype, channels, sample_rate)
    kind = encoding.container(kind, subtype, channels, frames)
    settings = encoding.compression(subtype, channels, sample_rate, bit_rate)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic.beside(path) as partial:
            partial.touch()  # says why it cannot be made; libsndfile does not
            with soundfile.SoundFile(
                _name(partial), "w", sample_rate, channels, subtype, format=kind, **settings
            ) as file:
                if software and kind not in MUTE:
                    file.software = software
                put_texts(file, tags)
                count = sum(_append(file, piece, path) for piece in samples)
            _check_written(partial, path, count)
            put_chunks(partial, tags)
            check_target(path, force)  # it may have come while this was made
    # soundfile asserts that all was written, so a full disk may show as an AssertionError.
    except (soundfile.SoundFileError, OSError, ValueError, TypeError, AssertionError) as error:
        message = f"Cannot write {path} ({_cause(error)}); choose another folder, format or sample rate."
        raise InputError(message) from error


def software(path: Path) -> str:
    """What a file says made it; empty if it does not say, or is no audio."""
    try:
        with soundfile.SoundFile(_name(path)) as file:
            return str(file.software).removesuffix(f" (libsndfile-{soundfile.__libsndfile_version__})")
    except (soundfile.SoundFileError, OSError, TypeError, ValueError):
        return ""


def _check_written(partial: Path, path: Path, count: int) -> None:
    """Raise InputError unless as many samples can be read as were written; codecs of sound may round."""
    with soundfile.SoundFile(_name(partial)) as file:
        if file.frames < count and file.format not in ("OGG", "MP3", "MPEG"):
            raise InputError(
                f"{path} holds {file.frames} of {count} samples, for they are too many for {file.format}; "
                "write .w64, .caf or .flac instead."
            )


def _append(file: soundfile.SoundFile, samples: np.ndarray, path: Path) -> int:
    """Write a piece, and give the number of its samples."""
    if not np.isfinite(samples).all():
        raise InputError(f"Cannot write NaN or infinite samples to {path}; check what made them.")
    frames = np.atleast_2d(samples).T
    for start in range(0, len(frames), _WRITE_FRAMES):
        file.write(encoding.stored(frames[start : start + _WRITE_FRAMES], file.subtype))
    return len(frames)


def check_target(path: Path, force: bool) -> None:
    """Raise InputError if `write` would refuse the path; for asking before a long computation."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"Cannot write {path}; use one of the suffixes {' '.join(SUFFIXES)}.")
    if os.path.isdir(path):
        raise InputError(f"{path} is a folder; name a file to write.")
    atomic.check_new(path, force)
    # A rename would replace a write-protected file without asking.
    if os.path.exists(path) and not os.access(path, os.W_OK):
        raise InputError(f"{path} is write-protected; choose another name or make it writable.")


def _subtype(path: Path, kind: str, wanted: str | None) -> str:
    if path.suffix.lower() == ".opus":
        return "OPUS"
    # An MP3 subtype inside .wav is legal but not meant by who turns an .mp3 into .wav; .mp3 has no choice.
    if wanted == "ALAC_32":  # libsndfile writes noise of this depth wrong
        wanted = "ALAC_24"
    if wanted and not wanted.startswith("MPEG") and soundfile.check_format(kind, wanted):
        return wanted
    return str(soundfile.default_subtype(kind))


def _cause(error: Exception) -> str:
    """The bare cause: libsndfile's message without the path, the system's without its number."""
    text = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
    return text.strip().rstrip(".") or type(error).__name__
