"""The ONNX graph: onnxruntime gives what the denoiser gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import soundfile

import speechjem
from speechjem.denoising import graph
from speechjem.errors import UsageError

RATE = 16000
NOISY = soundfile.read(Path(__file__).parents[1] / "samples" / "noisy.flac", dtype="float32")[0]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    graph.to_onnx(path)
    return path


@pytest.fixture(scope="module")
def session(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def denoiser():
    return speechjem.Denoiser(precision="float32")


@pytest.mark.parametrize("length", [1600, 12345, 3 * RATE])
def test_onnxruntime_gives_what_the_denoiser_gives(session, denoiser, length):
    noisy = NOISY[-length:]
    (enhanced,) = session.run([graph.OUTPUT], {graph.INPUT: noisy[None]})
    np.testing.assert_allclose(enhanced[0], denoiser(noisy, RATE), atol=1e-4)


def test_longer_recordings_differ_by_their_level_only(session, denoiser):
    (enhanced,) = session.run([graph.OUTPUT], {graph.INPUT: NOISY[None]})
    followed = denoiser(NOISY, RATE)
    assert np.square(enhanced[0] - followed).mean() < 1e-3 * np.square(followed).mean()


def test_channels_are_enhanced_one_by_one(session, denoiser):
    stereo = np.stack([NOISY[:RATE], 0.1 * NOISY[RATE : 2 * RATE]])
    (enhanced,) = session.run(None, {graph.INPUT: stereo})
    np.testing.assert_allclose(enhanced, denoiser(stereo, RATE), atol=1e-4)


def test_silence_stays_silent(session):
    assert not session.run(None, {graph.INPUT: np.zeros((1, RATE), np.float32)})[0].any()


def test_the_graph_is_one_valid_file(path):
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert not any(t.data_location == onnx.TensorProto.EXTERNAL for t in model.graph.initializer)


def test_more_steps_than_trained_are_refused():
    with pytest.raises(UsageError, match="1 to"):
        graph.Graph(speechjem.load_model(), 99)
