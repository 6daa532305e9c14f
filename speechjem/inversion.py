"""Frames to waveform where there is no phase: mel power to spectrum, then Griffin-Lim.

The mel filterbank is inverted by non-negative least squares, and the phase is found by the fast
Griffin-Lim algorithm (Griffin and Lim, IEEE ASSP 32, 1984; Perraudin et al., WASPAA 2013), both in librosa.
"""

from __future__ import annotations

import numpy as np

from .fbank import FbankConfig

ITERATIONS = 64


def invert(log_mel: np.ndarray, config: FbankConfig, seed: int = 0) -> np.ndarray:
    """A waveform whose log-mel power is near the one given.

    Args:
        log_mel: natural logarithm of the mel power, shape (frames, bins), not normalised.
        config: settings of the features.
        seed: of Griffin-Lim's first phase.

    Returns:
        float32, shape ((frames - 1) * hop,), or one hop for a single frame.
    """
    import librosa

    power = np.maximum(np.exp(log_mel.T.astype(np.float64)) - config.floor, 0.0)
    magnitude = librosa.feature.inverse.mel_to_stft(
        power,
        sr=config.sample_rate,
        n_fft=config.window,
        power=2.0,
        fmin=config.low,
        fmax=config.high,
        htk=True,
        norm=None,
    )
    samples = max(1, log_mel.shape[0] - 1) * config.hop
    return librosa.griffinlim(
        magnitude,
        n_iter=ITERATIONS,
        hop_length=config.hop,
        n_fft=config.window,
        length=samples,
        pad_mode="constant",
        random_state=np.random.RandomState(seed),
    ).astype(np.float32)
