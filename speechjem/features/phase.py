"""Phase relations between neighbouring frames.

Frames that overlap see the same partials of a voice: X_t and X_(t-k) differ by a phase that the frequency
fixes, and that noise does not keep. So the phase relations of a frame tell voice from noise, and where in a
bin a partial lies, more sharply than the magnitudes of one frame do.

Spectra are pairs of real and imaginary parts, (..., frames, frequencies) each, because ONNX has no
complex numbers.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LAGS = (2, 1, -1)  # frames back
Spectrum = tuple[Tensor, Tensor]


def relations(spectrum: Spectrum, size: int, hop: int, window: int, floor: float) -> Tensor:
    """cos and sin of the phase between a frame and its neighbours, less what the bin's frequency turns it.

    Args:
        spectrum: real and imaginary parts.
        size: number of values, 2 * len(LAGS) for each of the lowest frequencies.
        hop, window: of the STFT, in samples.
        floor: power below which values fade to zero, because a phase means nothing there.

    Returns:
        Shape (..., frames, size).
    """
    here = _lowest(spectrum, size)
    power = _power(here)
    parts = []
    for lag in LAGS:
        there = _turned(here, lag, hop, window)
        real, imaginary = times(here, (there[0], -there[1]))
        scale = 1 / ((power + floor) * (_power(there) + floor)).sqrt()
        parts += [real * scale, imaginary * scale]
    return torch.cat(parts, -1)


def _lowest(spectrum: Spectrum, size: int) -> Spectrum:
    count = size // (2 * len(LAGS))
    return spectrum[0][..., :count], spectrum[1][..., :count]


def _turned(spectrum: Spectrum, lag: int, hop: int, window: int) -> Spectrum:
    """X_(t-lag) exp(i omega lag hop), which is X_t for a partial in mid-bin; zero beyond the ends."""
    frames, count = spectrum[0].shape[-2:]
    before, after = max(lag, 0), max(-lag, 0)
    moved = [F.pad(part, (0, 0, before, after))[..., after : after + frames, :] for part in spectrum]
    cycle = lag * hop * torch.arange(count, device=spectrum[0].device) % window
    turn = 2 * torch.pi / window * cycle.to(spectrum[0].dtype)
    return times((moved[0], moved[1]), (turn.cos(), turn.sin()))


def times(a: Spectrum, b: Spectrum) -> Spectrum:
    """Product of two complex spectra."""
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]


def _power(spectrum: Spectrum) -> Tensor:
    return spectrum[0].square() + spectrum[1].square()
