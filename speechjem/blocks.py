"""Long recordings block by block, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

FRAMES = 2000  # 20 s


@dataclass(frozen=True)
class Block:
    """A piece of a recording with its surroundings.

    Attributes:
        seen: samples to work on, context included.
        skip: samples of context before the block itself.
        samples: length of the block itself.
        last: whether the recording ends with it.
    """

    seen: slice
    skip: int
    samples: int
    last: bool


def blocks(samples: int, hop: int, context: int) -> Iterator[Block]:
    """Cut a recording into blocks of `FRAMES` frames.

    All edges are multiples of the hop, so that the frames of a block are those of the recording.

    Args:
        samples: length of the recording.
        hop: samples a frame.
        context: frames that a result depends on, on either side; with less, results are approximate.
    """
    size = FRAMES * hop
    for start in range(0, samples, size):
        first = max(0, start - context * hop)
        end = min(samples, start + size)
        yield Block(slice(first, end + context * hop), start - first, end - start, end == samples)
