"""A judge of phones that shares nothing with the model: support vectors on cepstra of another filterbank.

It hears one phone at a time, cut out of a recording: the mean MFCCs of its first, middle and last third, and
its duration.
"""

from collections.abc import Iterable

import librosa
import numpy as np
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

RATE = 16000
HOP = 80  # samples


def features(samples: np.ndarray, starts: Iterable[float], ends: Iterable[float]) -> np.ndarray:
    """What the judge hears of the phones of a recording at 16 kHz, shape (phones, 40).

    Args:
        samples: shape (samples,); the level does not matter.
        starts, ends: of the phones in seconds.
    """
    rms = max(float(np.sqrt(np.mean(samples**2))), 1e-6)
    cepstra = librosa.feature.mfcc(
        y=samples / rms, sr=RATE, n_mfcc=13, n_mels=40, n_fft=400, hop_length=HOP, fmin=60
    )
    rows = []
    for start, end in zip(starts, ends, strict=True):
        edges = np.linspace(start * RATE / HOP, end * RATE / HOP, 4).round().astype(int)
        parts = [
            cepstra[:, min(a, cepstra.shape[1] - 1) : max(b, a + 1)].mean(1)
            for a, b in zip(edges, edges[1:], strict=False)
        ]
        rows.append([*np.concatenate(parts), np.log(end - start)])
    return np.array(rows)


def train(x: np.ndarray, labels: np.ndarray) -> Pipeline:
    """The judge, from the phones of real recordings."""
    return make_pipeline(StandardScaler(), SVC(C=4.0, class_weight="balanced")).fit(x, labels)
