"""Several processes that train one model: torchrun starts them, this is what they say to each other.

Gradients on GPUs go through NCCL, all else through gloo. In a process that torchrun did not start, everything
is as if it were the only one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..errors import UsageError


@contextlib.contextmanager
def together(device: torch.device) -> Iterator[None]:
    """Be joined to the other processes, which train on such a device, if torchrun started this one."""
    if _alone():
        yield
        return
    store, number, count = next(dist.rendezvous("env://"))
    # torchrun's store outlives a restart: without a prefix, processes would call those that are dead.
    store = dist.PrefixStore(f"attempt {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, store=store, rank=number, world_size=count)
    try:
        yield
        dist.barrier()  # nobody leaves while another still works: gloo's threads would end the process
    finally:
        dist.destroy_process_group()


def own_device(device: torch.device) -> torch.device:
    """The device of this process: of the GPUs of a machine, each process takes the one of its number.

    Raises:
        UsageError: if there are fewer GPUs than processes, or they cannot share a device of this kind.
    """
    if _alone() or device.type == "cpu":
        return device
    if device.type != "cuda":
        raise UsageError(f"Several processes cannot train on {device.type}; pass --device cpu.")
    processes, gpus = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), torch.cuda.device_count()
    if processes > gpus:
        raise UsageError(
            f"Each process needs a GPU of its own, but there are {processes} on a machine with {gpus}; "
            "start as many as there are GPUs (--nproc-per-node), or pass --device cpu."
        )
    own = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(own)
    return own


def rank() -> int:
    """Number of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """Number of processes."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def _alone() -> bool:
    return world_size() == 1 and "TORCHELASTIC_RUN_ID" not in os.environ


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Give each process the mean of all gradients; where one has none, it counts as zero."""
    if _alone():
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
    if _alone():
        return flag
    flags: Tensor = torch.tensor([float(flag)])
    dist.all_reduce(flags, dist.ReduceOp.MAX)
    return bool(flags.item())


def gathered(item: Any) -> list[Any]:
    """What each process has, in the order of their numbers; an empty list in all but the first."""
    if _alone():
        return [item]
    items: list[Any] | None = [None] * world_size() if rank() == 0 else None
    dist.gather_object(item, items)
    return items or []
