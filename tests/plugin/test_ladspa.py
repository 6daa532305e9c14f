"""The LADSPA plugin in hosts: one of Debian, and one here that chooses its blocks."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

import speechjem
from speechjem.errors import InputError, SpeechjemError, UsageError
from speechjem.ladspa import build
from speechjem.models import checkpoint

SAMPLES = Path(__file__).parents[2] / "samples"
AUDIO_IN, AUDIO_OUT, STRENGTH, LATENCY = range(4)


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    path = tmp_path_factory.mktemp("plugin") / "speechjem.so"
    build(checkpoint.load("stream"), path)
    return path


def recording(rate, channels=1):
    samples = soundfile.read(SAMPLES / "noisy.flac", frames=32000, dtype="float32")[0]
    both = np.stack([samples, 0.5 * samples[::-1]])[:channels]
    return soxr.resample(both.T, 16000, rate).T.astype(np.float32)


def streamed(samples, rate, strength=1.0):
    """What Python's stream makes of it, without the last frames, which a plugin has no end to give after."""
    denoiser = speechjem.Denoiser("stream", strength=strength, device="cpu", precision="float32")
    stream = speechjem.StreamDenoiser(rate, len(samples), denoiser)
    return np.concatenate(
        [stream.push(samples[:, i : i + 3200]) for i in range(0, samples.shape[1], 3200)], 1
    )


class Descriptor(ctypes.Structure):
    """LADSPA_Descriptor of ladspa.h."""

    _fields_ = [
        ("id", ctypes.c_ulong),
        ("label", ctypes.c_char_p),
        ("properties", ctypes.c_int),
        *((name, ctypes.c_char_p) for name in ("name", "maker", "copyright")),
        ("ports", ctypes.c_ulong),
        *((name, ctypes.c_void_p) for name in ("port_kinds", "port_names", "port_hints", "data")),
        ("instantiate", ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_ulong)),
        ("connect", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p)),
        ("activate", ctypes.CFUNCTYPE(None, ctypes.c_void_p)),
        ("run", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_ulong)),
        *((name, ctypes.c_void_p) for name in ("run_adding", "set_gain", "deactivate")),
        ("cleanup", ctypes.CFUNCTYPE(None, ctypes.c_void_p)),
    ]


def descriptor(path):
    library = ctypes.CDLL(str(path))
    library.ladspa_descriptor.restype = ctypes.POINTER(Descriptor)
    return library.ladspa_descriptor(0).contents


def hosted(path, samples, rate, sizes, strength=1.0):
    """One channel through the plugin in blocks of the given sizes: what comes out, and the delay it names."""
    plugin, latency = descriptor(path), ctypes.c_float()
    control = ctypes.c_float(strength)
    handle = plugin.instantiate(None, rate)
    plugin.activate(handle)
    blocks, start = [], 0
    while start < len(samples):
        heard = np.ascontiguousarray(samples[start : start + next(sizes)])
        blocks.append(np.empty_like(heard))
        places = (
            heard.ctypes.data,
            blocks[-1].ctypes.data,
            ctypes.addressof(control),
            ctypes.addressof(latency),
        )
        for port, place in enumerate(places):
            plugin.connect(handle, port, place)
        plugin.run(handle, len(heard))
        start += len(heard)
    plugin.cleanup(handle)
    return np.concatenate(blocks), int(latency.value)


def ragged():
    rng = np.random.default_rng(0)
    while True:
        yield int(rng.choice([1, 63, 64, 480, 1024, 4097]))


@pytest.mark.parametrize(("rate", "late"), [(8000, 0.048), (16000, 0.04), (44100, 0.044), (48000, 0.044)])
def test_it_is_the_stream_whatever_the_blocks(plugin, rate, late):
    samples = recording(rate)
    got, delay = hosted(plugin, samples[0], rate, ragged())
    want = streamed(samples, rate)[0]
    assert delay <= late * rate + 1
    count = min(len(want), len(got) - delay)
    assert count > 0.9 * len(got)
    np.testing.assert_allclose(got[delay : delay + count], want[:count], atol=1e-5)
    assert not got[:delay].any()


def test_its_strength_is_the_denoisers(plugin):
    samples = recording(16000)
    got, delay = hosted(plugin, samples[0], 16000, ragged(), strength=0.5)
    want = streamed(samples, 16000, strength=0.5)[0]
    np.testing.assert_allclose(got[delay:][: len(want)], want[: len(got) - delay], atol=1e-5)


@pytest.mark.parametrize("channel", [0, 1])
def test_a_host_of_debian_says_the_same(plugin, tmp_path, channel):
    """It writes 16 bits, and has one instance a channel, as all hosts."""
    samples = recording(48000, channels=2)[channel]
    soundfile.write(tmp_path / "in.wav", samples, 48000, subtype="FLOAT")
    command = ["applyplugin", "in.wav", "out.wav", str(plugin), "speechjem", "1"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    got, rate = soundfile.read(tmp_path / "out.wav", dtype="float32")
    assert (got.shape, rate) == (samples.shape, 48000)
    want = streamed(samples[None], 48000)[0]
    delay = hosted(plugin, samples[:480], 48000, ragged())[1]
    count = min(len(want), len(got) - delay)
    np.testing.assert_allclose(got[delay : delay + count], want[:count], atol=1e-3)


def test_a_nan_ends_nothing(plugin):
    samples = recording(48000)[0]
    samples[1000:1010] = np.nan
    samples[2000] = np.inf
    got, _ = hosted(plugin, samples, 48000, ragged())
    assert np.isfinite(got).all()
    assert np.abs(got[-20000:]).max() > 0.01


def test_silence_gives_silence(plugin):
    got, _ = hosted(plugin, np.zeros(48000, np.float32), 48000, ragged())
    assert not got.any()


def test_rates_that_cannot_be_are_refused(plugin):
    assert descriptor(plugin).instantiate(None, 4000) is None


def test_bad_wishes_are_sentences(tmp_path, monkeypatch):
    stream = checkpoint.load("stream")
    with pytest.raises(UsageError, match="still to come"):
        build(checkpoint.load("base"), tmp_path / "a.so")
    (tmp_path / "there.so").touch()
    with pytest.raises(InputError, match="--force"):
        build(stream, tmp_path / "there.so")
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(SpeechjemError, match="no-such-compiler"):
        build(stream, tmp_path / "a.so")
    monkeypatch.setenv("CC", shutil.which("false"))
    with pytest.raises(SpeechjemError, match="ladspa-sdk"):
        build(stream, tmp_path / "a.so")
    assert [path.name for path in tmp_path.iterdir()] == ["there.so"]


def test_the_command_writes_it(tmp_path, plugin):
    from typer.testing import CliRunner

    from speechjem.cli import app

    done = CliRunner().invoke(app, ["export", "--ladspa", str(tmp_path / "x.so")])
    assert done.exit_code == 0, done.output
    assert descriptor(tmp_path / "x.so").label == b"speechjem"
    refused = CliRunner().invoke(app, ["export", "--ladspa", str(tmp_path / "y.so"), "--steps", "1"])
    assert isinstance(refused.exception, UsageError)
