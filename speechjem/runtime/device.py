"""The device to compute on, and the modes of torch to compute in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from ..errors import UsageError


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


def use_bfloat16(precision: str, device: torch.device | None = None) -> bool:
    """Whether matrices shall be multiplied in bfloat16.

    Args:
        precision: 'bfloat16', 'float32', or 'auto' for bfloat16 where the device has instructions for it.
        device: where; the CPU by default.

    Raises:
        UsageError: if precision is something else.
    """
    if precision not in ("auto", "bfloat16", "float32"):
        raise UsageError(f"There is no precision {precision!r}; choose from: auto, bfloat16, float32.")
    if precision == "auto" and device is not None and device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if precision == "auto":
        # A private function, absent from older releases: without it, single precision is safe.
        return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())
    return precision == "bfloat16"


@contextlib.contextmanager
def own_modes() -> Iterator[None]:
    """Compute as if nobody had set a mode of torch: inference_mode, autocast, or a default type of numbers.

    In inference mode there is no gradient, and what was made there has none later; autocast and the default
    type would make weights and frames of different types.
    """
    default = torch.get_default_dtype()
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        for kind in ("cpu", "cuda"):
            stack.enter_context(torch.autocast(kind, enabled=False))
        if default != torch.float32:
            stack.callback(torch.set_default_dtype, default)
            torch.set_default_dtype(torch.float32)
        yield
