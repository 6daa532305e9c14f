"""speechjem: speech enhancement and synthesis with one network, a phoneme classifier read as an energy model.

The names below are loaded when they are first used, so that `import speechjem` takes no time.
A module is a noun where its function is a verb (`denoising.py` has `denoise`): a module and a function of
one name would hide each other here.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .checkpoint import load as load_model
    from .classification import classify as classify
    from .denoising import Denoiser as Denoiser
    from .denoising import denoise as denoise
    from .generation import generate as generate
    from .metrics import score as score
    from .streaming import StreamDenoiser as StreamDenoiser
    from .transform import DenoiseTransform as DenoiseTransform

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
    "DenoiseTransform": ("transform", "DenoiseTransform"),
    "Denoiser": ("denoising", "Denoiser"),
    "StreamDenoiser": ("streaming", "StreamDenoiser"),
    "classify": ("classification", "classify"),
    "denoise": ("denoising", "denoise"),
    "generate": ("generation", "generate"),
    "load_model": ("checkpoint", "load"),
    "score": ("metrics", "score"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'speechjem' has no attribute {name!r}")
    module, attribute = _HOME[name]
    return getattr(importlib.import_module(f".{module}", __name__), attribute)
