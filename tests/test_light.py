"""The small installation: a process that can import neither torch nor SciPy gives what the full one gives."""

from __future__ import annotations

import ast
import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import speechjem
from speechjem.denoising import block_graph, graph
from speechjem.energy.tdnn import NetworkConfig
from speechjem.models import checkpoint
from speechjem.models.speech import SpeechModel

SAMPLES = Path(__file__).parents[1] / "samples"
RATE = 16000
ABSENT = ("torch", "torchaudio", "scipy", "librosa", "matplotlib", "sklearn", "safetensors", "onnx")
# Importing a module that is None in sys.modules fails as if it were not installed.
BLOCKED = f"import sys; sys.modules.update(dict.fromkeys({ABSENT!r})); "


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A small model whose steps do something, and its graph; and the graph of the model for streams."""
    folder = tmp_path_factory.mktemp("models")
    config = checkpoint.read_config(checkpoint.shipped_folder())
    sizes = {"channels": 24, "hidden": 32, "dilations": (1, 3), "told": 0}
    network = NetworkConfig(**dataclasses.asdict(config.network) | sizes)
    descent = dataclasses.replace(config.descent, steps=2)
    torch.manual_seed(0)
    model = SpeechModel(dataclasses.replace(config, network=network, descent=descent)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    checkpoint.save(model, folder / "full")
    for name in ("small", "stream"):
        (folder / name).mkdir()
    block_graph.write(folder / "small" / "model.onnx", model)
    graph.to_onnx(folder / "stream" / "model.onnx", "stream")
    return folder


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """Stereo at 44.1 kHz, longer than a block; the channels have different levels."""
    samples = np.tile(soundfile.read(SAMPLES / "noisy.flac", dtype="float32")[0], 4)[: 14 * RATE]
    path = tmp_path_factory.mktemp("noisy") / "noisy.wav"
    soundfile.write(path, np.stack([samples, 0.2 * samples[::-1]], 1), 44100, "FLOAT")
    return path


def light(*words, cwd, code="from speechjem.cli import main; main()", given=None):
    """A command line, or other code, without torch."""
    command = [sys.executable, "-c", BLOCKED + code, *map(str, words)]
    place = os.environ | {"PYTHONPATH": str(Path(speechjem.__file__).parents[1])}
    return subprocess.run(command, cwd=cwd, capture_output=True, env=place, input=given)


def test_files_are_those_of_the_full_installation(models, noisy, tmp_path):
    done = light("denoise", noisy, "-o", "out.wav", "--model", models / "small", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["seconds"] == pytest.approx(soundfile.info(noisy).duration)
    got = soundfile.read(tmp_path / "out.wav")[0].T
    samples, rate = soundfile.read(noisy, dtype="float32")
    full = speechjem.Denoiser(models / "full", device="cpu", precision="float32")(samples.T, rate)
    np.testing.assert_allclose(got, full, atol=1e-4)
    assert np.abs(full - samples.T).max() > 0.01


@pytest.mark.parametrize("settings", [{"steps": 1, "step_size": 0.5}, {"strength": 0.4}])
def test_settings_are_those_of_the_full_installation(models, noisy, settings):
    from speechjem.light.denoiser import Denoiser

    samples, rate = soundfile.read(noisy, frames=30000, dtype="float32")
    full = speechjem.Denoiser(models / "full", device="cpu", precision="float32", **settings)
    small = Denoiser(models / "small", **settings)
    assert small.label == full.label
    np.testing.assert_allclose(small(samples.T, rate), full(samples.T, rate), atol=1e-4)


@pytest.mark.parametrize("length", [1, 99, 160, 1000])
def test_short_recordings_too(models, length):
    from speechjem.light.denoiser import Denoiser

    samples = 0.1 * np.random.default_rng(0).standard_normal(length)
    full = speechjem.Denoiser(models / "full", device="cpu", precision="float32")
    np.testing.assert_allclose(Denoiser(models / "small")(samples, RATE), full(samples, RATE), atol=1e-4)


def test_streams_pipes_and_python(models, tmp_path):
    """The causal model, pushed in blocks, through a pipe, and as an array."""
    samples = soundfile.read(SAMPLES / "noisy.flac", frames=2 * RATE, dtype="int16")[0]
    words = ("denoise", "-", "-o", "-", "--raw", "--rate", RATE, "--model", models / "stream")
    piped = light(*words, cwd=tmp_path, given=samples.tobytes())
    assert piped.returncode == 0, piped.stderr
    full = speechjem.Denoiser("stream", device="cpu", precision="float32")(samples / 32768, RATE)
    np.testing.assert_allclose(np.frombuffer(piped.stdout, "<i2") / 32768, full, atol=5e-5)
    code = f"""
import numpy, speechjem
samples = numpy.load("in.npy")
denoiser = speechjem.Denoiser({str(models / "stream")!r})
stream = speechjem.StreamDenoiser({RATE}, 1, denoiser)
blocks = [stream.push(samples[None, n : n + 700]) for n in range(0, len(samples), 700)] + [stream.flush()]
numpy.save("out.npy", [numpy.concatenate(blocks, axis=1)[0], denoiser(samples, {RATE})])
"""
    np.save(tmp_path / "in.npy", samples / 32768)
    done = light(cwd=tmp_path, code=f"exec({code!r})")
    assert done.returncode == 0, done.stderr
    for got in np.load(tmp_path / "out.npy"):
        np.testing.assert_allclose(got, full, atol=1e-5)


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (["denoise", "in.wav", "--mode", "prior"], 2, "needs torch; run: pip install speechjem"),
        (["denoise", "in.wav", "--device", "cuda"], 2, "needs torch"),
        (["denoise", "in.wav", "--strength", "2"], 2, "between 0 and 1"),
        (["denoise", "in.wav", "--steps", "9", "--model", "small"], 2, "trained for 1 to 2"),
        (["denoise", "in.wav", "--model", "nowhere"], 1, "No such file"),
        (["denoise", "in.wav", "--model", "in.wav"], 1, "cannot be opened"),
        (["denoise", "absent.wav", "--model", "small"], 1, "absent.wav"),
        (["classify", "in.wav"], 1, "needs torch, which this small installation lacks"),
    ],
)
def test_what_it_cannot_do_is_a_sentence(models, noisy, tmp_path, words, code, hint):
    (tmp_path / "in.wav").symlink_to(noisy)
    (tmp_path / "small").symlink_to(models / "small")
    done = light(*words, cwd=tmp_path)
    assert done.returncode == code
    assert hint in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1


def test_the_room_and_those_below_import_little():
    """What a small installation has, and nothing else, at the top of modules or inside functions."""
    root = Path(speechjem.__file__).parent
    found = set()
    for path in [*root.glob("light/*.py"), *root.glob("audio/*.py"), root / "errors.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add(node.module.partition(".")[0])
    # torch: of types only.
    assert found - sys.stdlib_module_names <= {"numpy", "onnxruntime", "soundfile", "soxr", "torch"}
