"""The ONNX graph: onnxruntime gives what the denoiser gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import scipy.signal
import soundfile

import speechjem
from speechjem.audio.level import past_gain
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


@pytest.fixture(scope="module")
def frame_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "frame.onnx"
    graph.to_onnx(path, "stream")
    return path


@pytest.fixture(scope="module")
def frame_session(frame_path):
    return onnxruntime.InferenceSession(frame_path, providers=["CPUExecutionProvider"])


def hosted(session, samples, **settings):
    """A stream as a program in any language would have it: all that it knows of the model is in the graph."""
    facts = session.get_modelmeta().custom_metadata_map
    hop, size, level = int(facts["hop"]), int(facts["window"]), float(facts["level"])
    levels = past_gain(samples, level, int(facts["sample_rate"]))
    count = samples.shape[1] // hop + 1
    heard = np.pad(samples * levels, ((0, 0), (size // 2, size)))
    frames = [heard[:, n * hop : n * hop + size] for n in range(count)]
    state = np.zeros((len(samples), int(facts["state"])), np.float32)
    total, weight = np.zeros_like(heard), np.full(heard.shape[1], 1e-8)
    for n, frame in enumerate([*frames, np.full_like(frames[0], np.nan)]):
        given = {"frame": frame, "state": state, **settings}
        enhanced, gain, state = session.run(["enhanced", "gain", "next_state"], given)
        assert gain.shape == (len(samples), 1)
        if n:
            total[:, (n - 1) * hop : (n - 1) * hop + size] += enhanced
            weight[(n - 1) * hop : (n - 1) * hop + size] += scipy.signal.get_window("hann", size) ** 2
    inside = slice(size // 2, size // 2 + samples.shape[1])
    return total[:, inside] / weight[inside] / levels


@pytest.fixture(scope="module")
def stereo():
    return np.stack([NOISY, 0.2 * NOISY[::-1]])[:, : 3 * RATE + 77]


@pytest.mark.parametrize(
    ("settings", "inputs"),
    [
        ({}, {}),
        ({"steps": 1}, {"scale": [1, 0]}),
        ({"step_size": 0.5, "strength": 0.3}, {"scale": [0.5, 0.5], "strength": [0.3]}),
    ],
)
def test_the_graph_of_a_frame_gives_what_the_denoiser_gives(frame_session, stereo, settings, inputs):
    whole = speechjem.Denoiser("stream", precision="float32", **settings)(stereo, RATE)
    given = {name: np.array(value, np.float32) for name, value in inputs.items()}
    np.testing.assert_allclose(hosted(frame_session, stereo, **given), whole, atol=1e-5)


def test_a_gap_is_silence_and_leaves_no_trace(frame_session, stereo):
    """A frame that has no numbers is taken for none; the next ones are enhanced."""
    size = frame_session.get_inputs()[1].shape[1]
    state, gap = np.zeros((1, size), np.float32), np.zeros((1, 480), np.float32)
    gap[0, 7] = np.inf
    frames = [stereo[:1, n : n + 480] for n in range(0, 4800, 160)]
    got = []
    for frame in [*frames, gap, *frames]:
        enhanced, _, state = frame_session.run(None, {"frame": frame, "state": state})
        got.append(enhanced)
    assert np.isfinite(got).all() and np.isfinite(state).all()
    assert not got[len(frames) + 1].any()
    assert got[-1].any()


def test_the_graph_of_a_frame_is_valid_and_says_what_it_is(frame_path):
    model = onnx.load(frame_path)
    onnx.checker.check_model(model, full_check=True)
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert facts["format"] == "speechjem-frame-1"
    assert facts["sha256"] == speechjem.models.checkpoint.sha256(speechjem.load_model("stream"))
