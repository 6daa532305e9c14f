"""Prefetched batches: other processes draw them, so that training, above all on a GPU, does not wait."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from ..errors import SpeechjemError


class _Numbered(Dataset[Any]):
    """A batch for every number, or the error: raised here, the loader would wrap it in a text of its own."""

    def __init__(self, batches: Any):
        self.batches = batches

    def __getitem__(self, number: int) -> Any:
        try:
            return self.batches.draw(number)
        except SpeechjemError as error:
            return error


def drawn_ahead(batches: Any, numbers: Sequence[int], workers: int, pin_memory: bool) -> Iterator[Any]:
    """Yield the batches of these numbers, the same as `batches.draw` gives.

    Args:
        batches: has the method `draw`, a pure function of the number.
        numbers: of the batches, in order.
        workers: processes that draw, each two batches ahead. They are forks, which share the recordings in
            memory (of shards, each reads its own) and what this process does about signals; they end with the
            iterator.
        pin_memory: put the batches into page-locked memory, from which a GPU copies asynchronously.

    Raises:
        SpeechjemError: what `draw` raises; or if a worker was killed.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="This DataLoader will create")  # more workers than cores
        drawn = iter(DataLoader(
            _Numbered(batches),
            batch_size=None,
            sampler=numbers,
            num_workers=workers,
            pin_memory=pin_memory,
            multiprocessing_context="fork",
            generator=torch.Generator(),  # else the loader would draw from torch's own
        ))  # fmt: skip
    try:
        for batch in drawn:
            if isinstance(batch, SpeechjemError):
                raise batch
            yield batch
    except (RuntimeError, ConnectionError, EOFError) as error:  # several kinds if a worker is lost
        if isinstance(error, RuntimeError) and "exited unexpectedly" not in str(error):
            raise
        raise SpeechjemError(
            "A process that draws batches was killed, perhaps for lack of memory; pass fewer --workers. "
            "The same command resumes from the last checkpoint."
        ) from error
