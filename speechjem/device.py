"""Choice of the device to compute on."""

from __future__ import annotations

import torch

from .errors import UsageError


def choose_device(name: str) -> torch.device:
    """The torch device of a name; 'auto' takes CUDA, then MPS, then the CPU.

    Raises:
        UsageError: if there is no such device here.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    if not available.get(name, False):
        there = ", ".join(["auto", *(kind for kind, yes in available.items() if yes)])
        raise UsageError(f"There is no device {name!r} here; choose from: {there}.")
    return torch.device(name)
