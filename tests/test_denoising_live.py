"""The live loop, with a recording in the place of the microphone and a list in that of the loudspeaker."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import speechjem
from speechjem.denoising import live
from speechjem.errors import SpeechjemError

SAMPLES = Path(__file__).parents[1] / "samples"


class FileDevice:
    """Reads and writes as sounddevice.Stream does; the file's end gives a short block."""

    def __init__(self, path: Path):
        self.samples = soundfile.read(path, frames=2 * live.RATE, dtype="float32", always_2d=True)[0]
        self.played: list[np.ndarray] = []

    def read(self, frames: int) -> tuple[np.ndarray, bool]:
        block, self.samples = self.samples[:frames], self.samples[frames:]
        return block, False

    def write(self, samples: np.ndarray) -> None:
        assert samples.dtype == np.float32
        assert samples.flags.c_contiguous
        self.played.append(samples)


def test_what_is_played_is_the_enhanced_stream():
    device = FileDevice(SAMPLES / "noisy.flac")
    assert live.run(device, speechjem.StreamDenoiser(live.RATE)) == 0
    noisy = soundfile.read(SAMPLES / "noisy.flac", frames=2 * live.RATE, dtype="float32")[0]
    stream = speechjem.StreamDenoiser(live.RATE)
    expected = np.concatenate([stream.push(noisy[None]), stream.flush()], axis=1)
    np.testing.assert_allclose(np.concatenate(device.played).T, expected, atol=1e-6)


def test_a_machine_without_sounddevice_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(SpeechjemError, match="pip install"):
        live.open_device()


def test_lost_samples_are_counted():
    class Late(FileDevice):
        reads = 0

        def read(self, frames: int) -> tuple[np.ndarray, bool]:
            self.reads += 1
            return super().read(frames)[0], self.reads in (2, 3, 7)

    assert live.run(Late(SAMPLES / "noisy.flac"), speechjem.StreamDenoiser(live.RATE)) == 3
