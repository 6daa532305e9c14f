"""The frames of MPEG audio (MP3), found by their headers.

Sources: ISO/IEC 11172-3 and 13818-3 (frames), and the Xing header as LAME writes it (the number of frames).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

_RATES = (44100, 48000, 32000)  # of version 1, in Hz; halved for 2, and again for 2.5
_KBITS = {  # by (version 1, layer)
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_LOOK = 64  # bytes of a frame that tell what it is
_BLOCK = 1 << 14
_SYNC = re.compile(rb"\xff[\xe2-\xff][\x10-\xef]", re.DOTALL)


class Frame(NamedTuple):
    """What a header of four bytes says.

    Attributes:
        length: in bytes.
        kind: sample rate in Hz, layer, channels.
        side: bytes from the header to the main data, in layer 3.
    """

    length: int
    kind: tuple[int, int, int]
    side: int


@dataclass
class Run:
    """Frames that follow each other without a gap and belong to one stream.

    Attributes:
        header: of the first frame.
        kind: of all frames.
        places: where the frames begin, and at last where they end.
        promised: frames after the first, as that one says; None if it does not.
    """

    header: bytes
    kind: tuple[int, int, int]
    places: list[int] = field(default_factory=list)
    promised: int | None = None


@functools.lru_cache(maxsize=4096)
def frame(header: bytes) -> Frame | None:
    """The frame that begins with these four bytes, or None."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    bits, rate = header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or layer == 4 or bits in (0, 15) or rate == 3:
        return None
    hertz = _RATES[rate] >> {3: 0, 2: 1, 0: 2}[version]
    kbits = _KBITS[version == 3, layer][bits - 1]
    words = {1: 12, 2: 144, 3: 144 if version == 3 else 72}[layer]
    length = words * kbits * 1000 // hertz + (header[2] >> 1 & 1)
    mono = header[3] >> 6 == 3
    side = (17 if mono else 32) if version == 3 else (9 if mono else 17)
    return Frame(length * (4 if layer == 1 else 1), (hertz, layer, 2 - mono), side)


def runs(file: BinaryIO, place: int, size: int) -> Iterator[Run]:
    """All frames from a place on. A run ends at a gap, at another kind, and before a header of Xing's."""
    run = None
    while place < size:
        file.seek(place)
        head = file.read(_LOOK)
        found = frame(head[:4])
        if found is None:
            if run:
                yield run
            run, place = None, _next(file, place, size)
            continue
        promised = _promised(head, found)
        if run and (promised is not None or run.kind != found.kind):
            yield run
            run = None
        run = run or Run(head[:4], found.kind, [place], promised)
        place = min(size, place + found.length)
        run.places.append(place)
    if run:
        yield run


def counted(header: bytes, count: int) -> bytes:
    """A silent first frame of layer 3, which says how many frames follow."""
    for bits in range(1, 15):  # one long enough for it
        start = bytes([0xFF, header[1] | 1, bits << 4 | header[2] & 0x0C, header[3]])
        found = frame(start)
        if found and found.length >= _LOOK:
            tag = b"Info" + (1).to_bytes(4, "big") + count.to_bytes(4, "big")
            return (start + bytes(found.side) + tag).ljust(found.length, b"\0")
    return b""


def _promised(head: bytes, found: Frame) -> int | None:
    """How many frames come after this one, as Xing's (LAME's) or Fraunhofer's header has it."""
    start = 4 + found.side
    if head[start : start + 4] in (b"Xing", b"Info"):
        has_count = head[start + 7 : start + 8] and head[start + 7] & 1
        return int.from_bytes(head[start + 8 : start + 12], "big") if has_count else 0
    if head[36:40] == b"VBRI":
        return int.from_bytes(head[50:54], "big")
    return None


def _next(file: BinaryIO, place: int, size: int) -> int:
    """Where the next frame is that another of its kind follows, or the end."""
    while place < size:
        file.seek(place)
        block = file.read(_BLOCK)
        for sync in _SYNC.finditer(block):
            candidate = place + sync.start()
            file.seek(candidate)
            found = frame(file.read(4))
            if found and _follows(file, candidate + found.length, found, size):
                return candidate
        place += max(1, len(block) - 2)
    return size


def _follows(file: BinaryIO, place: int, before: Frame, size: int) -> bool:
    if place >= size:
        return place == size
    file.seek(place)
    found = frame(file.read(4))
    return found is not None and found.kind == before.kind
