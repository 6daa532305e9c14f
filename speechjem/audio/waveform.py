"""Samples that callers give: an array, or an error that says why they cannot be used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from torch import Tensor

MOST_CHANNELS = 1024  # of a file, by libsndfile
_USUAL_CHANNELS = 8  # 7.1: so many may be longer than what they hold


def as_array(samples: ArrayLike | Tensor) -> np.ndarray:
    """Samples as an array of floats.

    Args:
        samples: real numbers of any shape: an array, a list, or a tensor of torch on any device.

    Returns:
        The array itself if it is float32 or float64; else a copy in float32.

    Raises:
        InputError: they are not real numbers.
    """
    given: Any = samples
    if hasattr(given, "detach"):  # a tensor; torch need not be imported for arrays
        given = given.detach().cpu()
        given = given.float() if given.dtype.is_floating_point and given.element_size() < 4 else given
    try:
        array = np.asarray(given)
    except ValueError as error:
        raise InputError("Channels of different lengths are no audio; give an array.") from error
    if array.dtype.kind not in "fiu":
        raise InputError(f"Samples of type {array.dtype} are no audio; give floats with full scale 1.")
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)


def check_shape(shape: Sequence[int]) -> None:
    """Raise InputError unless it is (samples,) or (channels, samples) of a recording that there may be."""
    if len(shape) not in (1, 2):
        raise InputError(
            f"Samples of shape {tuple(shape)} are no audio; give (samples,) or (channels, samples)."
        )
    if len(shape) == 2 and (shape[0] > MOST_CHANNELS or shape[0] > max(shape[1], _USUAL_CHANNELS)):
        raise InputError(
            f"Samples of shape {tuple(shape)} would be {shape[0]} channels of {shape[1]} samples; "
            "transpose them (samples.T), for channels come first."
        )


def waveform(samples: ArrayLike | Tensor) -> np.ndarray:
    """A whole recording that a caller gave.

    Args:
        samples: shape (samples,) or (channels, samples), as `as_array` takes them.

    Returns:
        float32 or float64, the same shape.

    Raises:
        InputError: the shape is another, channels and samples are exchanged, there are no samples, or some
            are not finite real numbers.
    """
    array = as_array(samples)
    check_shape(array.shape)
    if array.size == 0:
        raise InputError(f"Samples of shape {array.shape} are none; give a recording that is not empty.")
    if not np.isfinite(array).all():
        raise InputError("The audio has samples that are not finite; repair it first.")
    return array
