"""The live loop, with a recording in the place of the microphone and a list in that of the loudspeaker."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

import speechjem
from speechjem.cli import app
from speechjem.denoising import live
from speechjem.errors import SpeechjemError

RATE = 16000
SAMPLES = Path(__file__).parents[1] / "samples"


class FileDevice:
    """Reads and writes as sounddevice.Stream does; the file's end gives a short block."""

    def __init__(self, path: Path):
        self.samples = soundfile.read(path, frames=2 * RATE, dtype="float32", always_2d=True)[0]
        self.played: list[np.ndarray] = []

    def read(self, frames: int) -> tuple[np.ndarray, bool]:
        block, self.samples = self.samples[:frames], self.samples[frames:]
        return block, False

    def write(self, samples: np.ndarray) -> None:
        assert samples.dtype == np.float32
        assert samples.flags.c_contiguous
        self.played.append(samples)


def play(device) -> live.Played:
    played = live.Played()
    live.run(device, speechjem.StreamDenoiser(RATE), RATE, played)
    return played


def test_what_is_played_is_the_enhanced_stream():
    device = FileDevice(SAMPLES / "noisy.flac")
    played = play(device)
    assert (played.seconds, played.lost) == (pytest.approx(2.0), 0)
    assert 0 < played.load < 100
    noisy = soundfile.read(SAMPLES / "noisy.flac", frames=2 * RATE, dtype="float32")[0]
    stream = speechjem.StreamDenoiser(RATE)
    expected = np.concatenate([stream.push(noisy[None]), stream.flush()], axis=1)
    np.testing.assert_allclose(np.concatenate(device.played).T, expected, atol=1e-6)
    assert np.mean(expected**2) < np.mean(noisy**2)


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

    assert play(Late(SAMPLES / "noisy.flac")).lost == 3


def test_what_a_driver_makes_up_ends_nothing():
    device = FileDevice(SAMPLES / "noisy.flac")
    device.samples[5000:5010] = np.nan
    play(device)
    assert np.isfinite(np.concatenate(device.played)).all()


def test_a_device_that_vanishes_is_a_sentence():
    class Gone(FileDevice):
        def read(self, frames: int) -> tuple[np.ndarray, bool]:
            if len(self.samples) < RATE:
                raise RuntimeError("Device unavailable")
            return super().read(frames)

    with pytest.raises(SpeechjemError, match="Device unavailable.*connected"):
        play(Gone(SAMPLES / "noisy.flac"))


class SoundDevice(types.ModuleType):
    """As much of the package sounddevice as is used, with one microphone at 48 kHz and one loudspeaker."""

    PortAudioError = RuntimeError
    default = types.SimpleNamespace(device=(0, 1))
    rows = (
        {
            "name": "Mic [USB]",
            "max_input_channels": 1,
            "max_output_channels": 0,
            "default_samplerate": 48000.0,
        },
        {"name": "Speaker", "max_input_channels": 0, "max_output_channels": 2, "default_samplerate": 44100.0},
    )

    def query_devices(self, device=None, kind=None):
        if kind is None:
            return self.rows
        if device not in (None, 0, "Mic"):
            raise ValueError(f"No input device matching {device!r}")
        return self.rows[0]

    def Stream(self, samplerate, channels, dtype, device):  # noqa: N802, as the package has it
        opened = FileDevice(SAMPLES / "noisy.flac")
        opened.samplerate, opened.start = samplerate, lambda: None
        return opened


@pytest.fixture
def with_devices(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", SoundDevice("sounddevice"))


def command(*words):
    return CliRunner().invoke(app, ["live", *words])


def test_the_command_lists_the_devices(with_devices):
    done = command("--list", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["number"], row["name"], row["default"]) for row in rows] == [
        (0, "Mic [USB]", "input"),
        (1, "Speaker", "output"),
    ]
    assert "Mic [USB]" in command("--list").stdout


def test_the_command_says_delay_load_and_dropouts(with_devices):
    done = command("--input", "Mic")
    assert done.exit_code == 0, done.output
    assert "44 ms late" in done.stderr
    assert "load" in done.stderr
    assert "0 dropouts" in done.stderr


def test_ctrl_c_is_the_usual_end(with_devices, monkeypatch):
    def pressed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(FileDevice, "write", pressed)
    assert command().exit_code == 0


def test_a_device_that_is_not_there_is_a_sentence(with_devices):
    done = command("--input", "no such thing")
    assert isinstance(done.exception, SpeechjemError)
    assert "--list" in str(done.exception)
