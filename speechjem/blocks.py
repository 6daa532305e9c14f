"""Long recordings block by block, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

BLOCK = 3000  # frames, half a minute


def in_blocks(work: Callable[[Tensor], Tensor], frames: Tensor, context: int) -> Tensor:
    """Apply `work` to blocks that see `context` frames on both sides, and put the results together.

    Args:
        work: maps (batch, n, ...) to (batch, n, ...) for any n.
        frames: shape (batch, frames, ...).
        context: frames that a result depends on, on either side; with less, the result is approximate.
    """
    total = frames.shape[1]
    if total <= BLOCK + 2 * context:
        return work(frames)
    parts = []
    for start in range(0, total, BLOCK):
        left = min(start, context)
        block = work(frames[:, start - left : start + BLOCK + context])
        parts.append(block[:, left : left + min(BLOCK, total - start)])
    return torch.cat(parts, 1)
