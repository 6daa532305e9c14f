"""Metadata of a recording: titles and the like, and the chunks of Broadcast Wave."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import soundfile

from .joined import Stream, StreamFile

NAMES = ("title", "artist", "album", "tracknumber", "date", "genre", "comment", "copyright", "license")
# Origin and time code (EBU Tech 3285), production, metadata in XML, markers. Samples keep their places.
_CHUNKS = (b"bext", b"iXML", b"axml", b"cue ")
LARGEST = 1 << 20  # bytes of chunks
_MOST = 1000  # chunks looked at


@dataclass(frozen=True)
class Tags:
    """Metadata beside the samples.

    Attributes:
        texts: pairs of a name of `NAMES` and what it is.
        chunks: of a WAV, as they stand there.
    """

    texts: tuple[tuple[str, str], ...] = ()
    chunks: bytes = b""


NONE = Tags()


def tags_of(path: Path, streams: Sequence[Stream]) -> Tags:
    """The tags of the first of the streams of a file, none where it cannot be opened."""
    try:  # up to the next stream, for MP3 may have them last
        stop = streams[1].start if len(streams) > 1 else os.path.getsize(path)
        with StreamFile(path, Stream(0, stop)) as start, soundfile.SoundFile(start) as file:
            texts = tuple((name, text) for name in NAMES if (text := getattr(file, name)))
        with path.open("rb") as stream:
            return Tags(texts, b"".join(_chunks(stream, os.path.getsize(path))))
    except (soundfile.SoundFileError, OSError, TypeError, ValueError):
        return NONE


def put_texts(file: soundfile.SoundFile, tags: Tags) -> None:
    """Set the texts of a file that is to be written, as far as its format has fields for them."""
    for name, text in tags.texts:
        with contextlib.suppress(soundfile.SoundFileError):
            setattr(file, name, text)


def put_chunks(path: Path, tags: Tags) -> None:
    """Append the chunks to a WAV that is written; other formats have none."""
    with path.open("r+b") as file:
        kind = _kind(file)
        if not kind or not tags.chunks:
            return
        size = file.seek(0, os.SEEK_END)
        file.write(b"\0" * (size % 2) + tags.chunks)
        total = file.tell() - 8
        file.seek(20 if kind == b"RF64" else 4)
        file.write(struct.pack("<Q" if kind == b"RF64" else "<I", total))


def _kind(file: BinaryIO) -> bytes:
    file.seek(0)
    head = file.read(12)
    return head[:4] if head[:4] in (b"RIFF", b"RF64") and head[8:] == b"WAVE" else b""


def _chunks(file: BinaryIO, size: int) -> Iterator[bytes]:
    """The chunks of a WAV to be kept, each with its padding."""
    place, left, data_size = 12, LARGEST, 0
    if not _kind(file):
        return
    for _ in range(_MOST):
        file.seek(place)
        head = file.read(8)
        if len(head) < 8:
            return
        name, length = head[:4], struct.unpack("<I", head[4:])[0]
        if name == b"ds64":
            data_size = struct.unpack("<8xQ", file.read(16).ljust(16, b"\0"))[0]
        if name == b"data" and length == 0xFFFFFFFF:
            length = data_size or size
        if name in _CHUNKS and length <= min(left, size - place - 8):
            left -= length
            yield head + file.read(length).ljust(length + length % 2, b"\0")
        place = min(place + 8 + length + length % 2, size)
