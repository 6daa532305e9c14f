"""Several processes that train one model: torchrun starts them, this is what they say to each other.

In a process that torchrun did not start, everything is as if it were the only one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Be joined to the other processes, if torchrun started this one."""
    if world_size() == 1:
        yield
        return
    store, number, count = next(dist.rendezvous("env://"))
    # torchrun's store outlives a restart: without a prefix, processes would call those that are dead.
    store = dist.PrefixStore(f"attempt {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
    dist.init_process_group("gloo", store=store, rank=number, world_size=count)
    try:
        yield
        dist.barrier()  # nobody leaves while another still works: gloo's threads would end the process
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """Number of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """Number of processes."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Give each process the mean of all gradients; where one has none, it counts as zero."""
    if world_size() == 1:
        return
    chosen = list(parameters)
    for parameter in chosen:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [parameter.grad for parameter in chosen if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= world_size()
    sizes = [gradient.numel() for gradient in gradients]
    for gradient, mean in zip(gradients, flat.split(sizes), strict=True):
        gradient.copy_(mean.view_as(gradient))


def in_any(flag: bool) -> bool:
    """Whether a flag is set in any of the processes."""
    if world_size() == 1:
        return flag
    flags: Tensor = torch.tensor([float(flag)])
    dist.all_reduce(flags, dist.ReduceOp.MAX)
    return bool(flags.item())


def gathered(item: Any) -> list[Any]:
    """What each process has, in the order of their numbers; an empty list in all but the first."""
    if world_size() == 1:
        return [item]
    items: list[Any] | None = [None] * world_size() if rank() == 0 else None
    dist.gather_object(item, items)
    return items or []
