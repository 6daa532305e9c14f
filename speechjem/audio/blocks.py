"""Long recordings block by block, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

FRAMES = 1000  # 10 s
CHUNK = 1 << 18  # values that are read, resampled and filtered at once: enough to waste no time, and 1 MB


@dataclass(frozen=True)
class Block:
    """A piece of a recording with its surroundings.

    Attributes:
        samples: the piece, context included, shape (channels, samples).
        skip: samples of context before the block itself.
        size: length of the block itself in samples.
        last: whether the recording ends with it.
    """

    samples: np.ndarray
    skip: int
    size: int
    last: bool


class Blocks:
    """Regroups a recording that comes in chunks of any length into blocks of `FRAMES` frames.

    All edges are multiples of the hop, so that the frames of a block are those of the recording.

    Args:
        channels: their number.
        hop: samples a frame.
        context: frames that a result depends on, on either side; with less, results are approximate.
        ahead: those after it, where these are fewer.
    """

    def __init__(self, channels: int, hop: int, context: int, ahead: int | None = None):
        self.size, self.margin = FRAMES * hop, context * hop
        self.ahead = self.margin if ahead is None else ahead * hop
        self._buffer = Fifo(channels)
        self._skip = 0

    def push(self, chunk: np.ndarray) -> Iterator[Block]:
        """Take the next chunk, shape (channels, samples), and give the blocks that are complete."""
        self._buffer.push(chunk)
        while self._buffer.length > self._skip + self.size + self.ahead:
            yield self._next()

    def flush(self) -> Iterator[Block]:
        """The blocks that remain when there is no more input."""
        while self._buffer.length > self._skip:
            yield self._next()

    def _next(self) -> Block:
        skip, left = self._skip, self._buffer.length - self._skip
        count = min(self.size, left)
        block = Block(self._buffer.peek(skip + count + self.ahead), skip, count, count == left)
        self._skip = min(self.margin, skip + count)
        self._buffer.pop(skip + count - self._skip)
        return block


class Fifo:
    """A queue of samples: pieces of any length go in, pieces of other lengths come out."""

    def __init__(self, channels: int) -> None:
        self._pieces = [np.zeros((channels, 0), np.float32)]
        self.length = 0

    def push(self, piece: np.ndarray) -> None:
        """Append a piece, shape (channels, samples)."""
        self._pieces.append(piece)
        self.length += piece.shape[1]

    def peek(self, count: int) -> np.ndarray:
        """The first `count` samples, or all there are."""
        if len(self._pieces) > 1:
            self._pieces = [np.concatenate(self._pieces, axis=1)]
        return self._pieces[0][:, :count]

    def pop(self, count: int) -> np.ndarray:
        """Take out the first `count` samples, or all there are."""
        piece = self.peek(count)
        self._pieces = [self._pieces[0][:, count:]]
        self.length -= piece.shape[1]
        return piece
