"""Where an audio file continues after libsndfile would stop, so that it is read to its end.

Files may be joined end to end (`cat a.ogg b.ogg`, recordings of radio streams), a program that writes into a
pipe cannot put the length into the header, and an MP3 of variable bit rate need not say how long it is.
libsndfile then stops at the end of the first stream, or at a guess. Here the streams of a file are found from
its pages, frames and chunks, and each becomes a file of its own whose header tells the truth.

Sources: RFC 3533 (Ogg pages), ISO/IEC 11172-3 and 13818-3 (MPEG audio frames), the Xing header as LAME writes
it, Multimedia Programming Interface and Data Specifications 1.0 (RIFF), EBU Tech 3306 (RF64), Apple's CAF
specification 1.0.
"""

from __future__ import annotations

import io
import itertools
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import InputError
from . import mpeg

_BLOCK = 1 << 14  # bytes looked at at once
_FAR = 1 << 62  # a header may point beyond what a file can be


@dataclass(frozen=True)
class Stream:
    """A range of bytes that libsndfile reads to the end.

    Attributes:
        start, stop: the range.
        head: bytes that come before it: a header, or what was missing in one.
    """

    start: int
    stop: int
    head: bytes = b""


class StreamFile(io.RawIOBase):
    """A stream as a file that can be read."""

    def __init__(self, path: Path, stream: Stream):
        super().__init__()
        self._file = path.open("rb")
        self._stream = stream
        self._size = len(stream.head) + stream.stop - stream.start
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")[: max(0, self._size - self._place)]
        head = self._stream.head[self._place : self._place + len(view)]
        view[: len(head)] = head
        self._file.seek(self._stream.start + max(0, self._place - len(self._stream.head)))
        count = len(head) + self._file.readinto(view[len(head) :])
        self._place += count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def streams(path: Path) -> list[Stream]:
    """The streams of an audio file, in order; a single whole one for what nothing is known about."""
    size = os.path.getsize(path)
    with path.open("rb") as file:
        start = _after_tags(file, 0)
        finders = [finder for magic, finder in _FINDERS if _at(file, start, len(magic)) == magic]
        if not finders and mpeg.frame(_at(file, start, 4)):
            finders = [_mpeg]
        found = list(finders[0](file, start, size)) if finders else []
    return found or [Stream(0, size)]


def _at(file: BinaryIO, place: int, count: int) -> bytes:
    file.seek(min(place, _FAR))
    return file.read(count)


def _number(file: BinaryIO, place: int, kind: str) -> int:
    """An integer of `struct`'s kind; 0 beyond the end."""
    count = struct.calcsize(kind)
    return int(struct.unpack(kind, _at(file, place, count).ljust(count, b"\0"))[0])


def _after_tags(file: BinaryIO, place: int) -> int:
    """Where ID3 version 2 tags end, whose sizes have seven bits a byte."""
    while (head := _at(file, place, 10))[:3] == b"ID3" and len(head) == 10:
        size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
        place += 10 + size + (10 if head[5] & 0x10 else 0)
    return place


def _find(file: BinaryIO, needle: bytes, place: int) -> int:
    """The next place of some bytes, or -1."""
    while len(block := _at(file, place, _BLOCK)) >= len(needle):
        if (found := block.find(needle)) >= 0:
            return place + found
        place += len(block) - len(needle) + 1
    return -1


def _between(edges: list[int], size: int) -> Iterator[Stream]:
    """Streams that begin at the edges."""
    return (Stream(start, stop) for start, stop in itertools.pairwise([*edges, size]))


def _ogg(file: BinaryIO, start: int, size: int) -> Iterator[Stream]:
    """A chain of Ogg streams: a page that begins one comes after a page that does not."""
    edges, place, beginning = [], start, False
    while place >= 0 and len(head := _at(file, place, 27)) == 27:
        if head[:4] != b"OggS":
            place = _find(file, b"OggS", place)
            continue
        begins = bool(head[5] & 2)
        if begins and not beginning:
            edges.append(place)
        beginning = begins
        place += 27 + head[26] + sum(_at(file, place + 27, head[26]))
    return _between(edges, size)


def _flac(file: BinaryIO, start: int, size: int) -> Iterator[Stream]:
    """FLAC does not say where it ends: look for the first block of metadata of another."""
    edges, place = [start], start
    while (place := _find(file, b"fLaC\0\0\0\x22", place + 4)) >= 0:
        edges.append(place)
    return _between(edges, size)


def _mpeg(file: BinaryIO, start: int, size: int) -> Iterator[Stream]:
    """MP3: where the number of frames is not said, or others follow, libsndfile stops at it or at a guess."""
    for run in mpeg.runs(file, start, size):
        *places, stop = run.places
        audio = places if run.promised is None else places[1:]
        if run.promised and len(audio) > run.promised + 1:  # some encoders count the first
            yield Stream(places[0], audio[run.promised])
            audio = audio[run.promised :]
        elif run.promised:
            yield Stream(places[0], stop)
            continue
        if audio:
            yield Stream(audio[0], stop, mpeg.counted(run.header, len(audio)))


def _riff(file: BinaryIO, start: int, size: int) -> Iterator[Stream]:
    """WAV: chunks up to the samples. Their size may be left at 0, and it has too few bits beyond 4 GB."""
    data, byte_rate = start + 12, 0
    while (name := _at(file, data, 4)) not in (b"data", b"") and data < size:
        byte_rate = _number(file, data + 16, "<I") if name == b"fmt " else byte_rate
        length = _number(file, data + 4, "<I")
        data += 8 + length + length % 2
    length = _number(file, data + 4, "<I")
    end = data + 8 + length + length % 2
    if name == b"data" and not _is_chunk(file, end, size):
        if length == 0 or size - data > 1 << 32:
            head = _rf64(_at(file, start + 12, data - start - 12), size - data - 8)
            return iter([Stream(data + 8, size, head)])
        _check_rest(file, end, size, length, byte_rate)
    return _declared(file, start, size, lambda place: place + 8 + _number(file, place + 4, "<I"))


def _check_rest(file: BinaryIO, end: int, size: int, length: int, byte_rate: int) -> None:
    """Raise InputError if more than a second, which is not only zeros, follows the samples of a WAV."""
    if size - end > byte_rate > 0 and _at(file, end, min(byte_rate, _BLOCK)).strip(b"\0"):
        told, more = length / byte_rate, (size - end) / byte_rate
        raise InputError(
            f"The header of {file.name} ends at {told:.1f} s, and {more:.1f} s of samples may follow; "
            "repair it (ffmpeg -ignore_length 1 -i INPUT OUTPUT)."
        )


def _rf64(chunks: bytes, length: int) -> bytes:
    """The header of a WAV of any length, by EBU Tech 3306."""
    sizes = struct.pack("<QQQI", length + 28 + 8 + len(chunks) + 8 + 4, length, 0, 0)
    head = b"RF64\xff\xff\xff\xffWAVEds64" + struct.pack("<I", len(sizes)) + sizes
    return head + chunks + b"data\xff\xff\xff\xff"


def _is_chunk(file: BinaryIO, place: int, size: int) -> bool:
    """Whether a chunk, or the end of the file, is there."""
    if place >= size:
        return True
    return _at(file, place, 4).isalnum() and place + 8 + _number(file, place + 4, "<I") <= size


def _aiff(file: BinaryIO, start: int, size: int) -> Iterator[Stream]:
    return _declared(file, start, size, lambda place: place + 8 + _number(file, place + 4, ">I"))


def _w64(file: BinaryIO, start: int, size: int) -> Iterator[Stream]:
    return _declared(file, start, size, lambda place: place + _number(file, place + 16, "<Q"))


def _au(file: BinaryIO, start: int, size: int) -> Iterator[Stream]:
    """Sun's format: the place of the samples, and their size, which some leave at 0."""
    order = ">" if _at(file, start, 1) == b"." else "<"
    head, data = _at(file, start, 8), start + _number(file, start + 4, order + "I")
    if _number(file, start + 8, order + "I") == 0 and data < size:
        return iter([Stream(start + 12, size, head + b"\xff\xff\xff\xff")])

    def end(place: int) -> int:
        return place + _number(file, place + 4, order + "I") + _number(file, place + 8, order + "I")

    return _declared(file, start, size, end)


def _caf(file: BinaryIO, start: int, size: int) -> Iterator[Stream]:
    """Core Audio: chunks; that of the samples may have the size -1 when it is the last."""

    def end(place: int) -> int:
        place += 8
        while _at(file, place, 4) not in (b"data", b"") and place < size:
            place += 12 + _number(file, place + 4, ">Q")
        return place + 12 + _number(file, place + 4, ">Q")

    unknown = (1 << 64) - 1
    if (data := end(start) - unknown) > start:
        head = _at(file, start, data - 8 - start) + struct.pack(">Q", size - data)
        return iter([Stream(data, size, head)])
    return _declared(file, start, size, end)


def _declared(file: BinaryIO, start: int, size: int, end: Callable[[int], int]) -> Iterator[Stream]:
    """Streams each of which says where it ends, as long as another of the kind begins there."""
    magic, edges = _at(file, start, 4), [start]
    while edges[-1] < (place := end(edges[-1])) < size:
        place += _at(file, place, 4) != magic  # chunks of an odd size are padded
        if _at(file, place, 4) != magic:
            break
        edges.append(place)
    return _between(edges, size)


_FINDERS: list[tuple[bytes, Callable[[BinaryIO, int, int], Iterator[Stream]]]] = [
    (b"OggS", _ogg),
    (b"fLaC", _flac),
    (b"RIFF", _riff),
    (b"FORM", _aiff),
    (b".snd", _au),
    (b"dns.", _au),
    (b"caff", _caf),
    (b"riff", _w64),
]
