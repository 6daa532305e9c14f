"""speechjem: speech enhancement and synthesis with one network, a phoneme classifier read as an energy model.

The names below are loaded when they are first used, so that `import speechjem` takes no time.
A module is a noun where its function is a verb (`denoising` has `denoise`): a module and a function of
one name would hide each other here.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .classification import classify as classify
    from .denoising.denoiser import Denoiser as Denoiser
    from .denoising.denoiser import denoise as denoise
    from .denoising.streaming import StreamDenoiser as StreamDenoiser
    from .denoising.transform import DenoiseTransform as DenoiseTransform
    from .generation.generator import generate as generate
    from .metrics import score as score
    from .models.checkpoint import load as load_model

__version__ = "0.1.0"
__all__ = [
    "DenoiseTransform",
    "Denoiser",
    "StreamDenoiser",
    "classify",
    "denoise",
    "generate",
    "load_model",
    "score",
]
_HOME = {
    "DenoiseTransform": ("denoising.transform", "DenoiseTransform"),
    "Denoiser": ("denoising.denoiser", "Denoiser"),
    "StreamDenoiser": ("denoising.streaming", "StreamDenoiser"),
    "classify": ("classification", "classify"),
    "denoise": ("denoising.denoiser", "denoise"),
    "generate": ("generation.generator", "generate"),
    "load_model": ("models.checkpoint", "load"),
    "score": ("metrics", "score"),
}


# Those that a small installation has.
_LIGHT = {"Denoiser": "light.denoiser", "StreamDenoiser": "light.streaming", "denoise": "light.denoiser"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'speechjem' has no attribute {name!r}")
    from .runtime.jobs import installed

    module, attribute = _HOME[name]
    if name in _LIGHT and not installed("torch"):
        module = _LIGHT[name]
    return getattr(importlib.import_module(f".{module}", __name__), attribute)
