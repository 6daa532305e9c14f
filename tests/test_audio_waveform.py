"""Samples as callers give them: channels that come last, tensors of every type, torch in every mode."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch

import speechjem
from speechjem import audio, metrics, plot
from speechjem.audio.resampling import Resampler
from speechjem.errors import InputError, SpeechjemError, UsageError
from speechjem.generation.editing import Editor
from speechjem.generation.voice import Voice

RATE = 16000


def noise(seconds: float = 1.0) -> np.ndarray:
    wave = np.random.default_rng(0).standard_normal(int(seconds * RATE))
    return (0.1 * wave).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    return speechjem.load_model()


TAKERS = {
    "denoise": lambda x, model, path: speechjem.denoise(x, 44100, model=model),
    "classify": lambda x, model, path: speechjem.classify(x, 44100, model),
    "inpaint": lambda x, model, path: Editor(model).inpaint(x, 44100, 0.1, 0.2),
    "convert": lambda x, model, path: Editor(model).convert(x, 44100, "AA", "IY"),
    "voice": lambda x, model, path: Voice.of(x, 44100, model),
    "generate": lambda x, model, path: speechjem.generate(
        ["AA"], model=model, like=audio.Audio(x, 44100, "WAV", "FLOAT")
    ),
    "transform": lambda x, model, path: speechjem.DenoiseTransform(model)(torch.from_numpy(x)),
    "score": lambda x, model, path: speechjem.score(x, x, 44100),
    "score_channels": lambda x, model, path: metrics.score_channels(x, x, 44100),
    "dnsmos": lambda x, model, path: metrics.dnsmos(x, 44100),
    "plot": lambda x, model, path: plot.before_after(x, x, 44100, path / "a.png"),
    "write": lambda x, model, path: audio.write(path / "a.wav", x, 44100),
    "resample": lambda x, model, path: audio.resample(x, 44100, RATE),
    "mono": lambda x, model, path: audio.mono(x),
    "pieces": lambda x, model, path: list(speechjem.Denoiser(model).pieces(lambda: [x], RATE)),
    "stream": lambda x, model, path: speechjem.StreamDenoiser(44100, 2).push(x),
}


@pytest.mark.parametrize("name", TAKERS)
def test_channels_that_come_last_are_refused(name, model, tmp_path):
    """As `soundfile.read` returns them: in a sentence, at once, and nothing is written."""
    with pytest.raises(InputError) as caught:
        TAKERS[name](np.zeros((44100, 2), np.float32), model, tmp_path)
    if name not in ("score", "dnsmos", "plot"):  # which want one channel
        assert "transpose" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros((2, 2, 100)), "give \\(samples,\\) or \\(channels, samples\\)"),
        (np.zeros((1025, 2000)), "transpose them"),
        (np.zeros(0), "is not empty"),
        (np.array([0.0, np.nan]), "not finite"),
        (np.array(["a", "b"]), "give floats"),
        (np.zeros(9, complex), "give floats"),
        (np.zeros(9, bool), "give floats"),
        ([[0.0, 0.1], [0.0]], "different lengths"),
    ],
)
def test_what_cannot_be_meant_is_refused(samples, message):
    with pytest.raises(InputError, match=message):
        audio.waveform(samples)


@pytest.mark.parametrize("shape", [(1,), (2, 1), (8, 3), (1024, 2000)])
def test_short_recordings_and_many_channels_are_meant(shape):
    assert audio.waveform(np.zeros(shape)).shape == shape


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float32, torch.float64, torch.int16])
def test_tensors_of_every_type(kind):
    given = torch.tensor([0.0, 1.0, -2.0]).to(kind).requires_grad_(kind.is_floating_point)
    assert audio.waveform(given).tolist() == [0.0, 1.0, -2.0]


def test_many_channels_and_few_samples_do_not_end_the_process():
    """With interleaved channels libsoxr reads behind its output: a segmentation fault."""
    resampler = Resampler(44100, RATE, 30000)
    parts = [resampler.push(np.zeros((30000, 2))), resampler.push(np.zeros((30000, 0)), last=True)]
    assert sum(part.shape[1] for part in parts) == 1
    with pytest.raises(UsageError, match="impossible"):
        speechjem.StreamDenoiser(44100, 30000)


def uses(model) -> dict[str, np.ndarray]:
    x = noise()
    stream = speechjem.StreamDenoiser(RATE)
    return {
        "denoise": speechjem.denoise(x, RATE, model=model),
        "prior": speechjem.denoise(x, RATE, model=model, mode="prior", steps=2),
        "transform": speechjem.DenoiseTransform(model)(torch.from_numpy(x)).detach().float().numpy(),
        "stream": np.concatenate([stream.push(x[None]), stream.flush()], axis=1),
        "classify": np.array([segment.start for segment in speechjem.classify(x, RATE, model)]),
        "inpaint": Editor(model, steps=2).inpaint(x, RATE, 0.4, 0.5),
        "generate": speechjem.generate(["AA"], model=model, steps=2),
    }


def default_type():
    class Mode:
        def __enter__(self):
            torch.set_default_dtype(torch.float64)

        def __exit__(self, *_):
            torch.set_default_dtype(torch.float32)

    return Mode()


@pytest.mark.parametrize(
    "mode", [torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16), default_type]
)
def test_modes_of_torch_change_nothing(mode, model):
    """The model, too, is loaded in that mode."""
    expected = uses(model)
    with mode():
        found = uses(speechjem.load_model())
    if mode not in (torch.inference_mode, default_type):
        del found["transform"]  # a module follows autocast
    for name, samples in found.items():
        np.testing.assert_allclose(samples, expected[name], atol=1e-5, err_msg=name)
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64])
def test_a_tensor_comes_back_as_it_was_given(kind, model):
    given = torch.from_numpy(noise()).to(kind)
    found = speechjem.denoise(given, RATE, model=model)
    assert (found.dtype, found.shape) == (kind, given.shape)
    expected = speechjem.denoise(given.float().numpy(), RATE, model=model)
    np.testing.assert_allclose(found.float().numpy(), expected, atol=1e-3)


def test_integers_come_back_as_floats(model):
    """Of the same scale, in an array as in a tensor: as integers they would be cut."""
    given = np.round(32768 * noise()).astype(np.int16)
    expected = 32768 * speechjem.denoise(given / np.float32(32768), RATE, model=model)
    for samples in (given, torch.from_numpy(given)):
        found = np.asarray(speechjem.denoise(samples, RATE, model=model))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1.0)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float32])
def test_tensors_where_arrays_are_expected(kind, model, tmp_path):
    x = torch.from_numpy(noise()).to(kind)
    array = x.float().numpy()
    audio.write(tmp_path / "a.wav", x, RATE, subtype="FLOAT")
    np.testing.assert_array_equal(soundfile.read(tmp_path / "a.wav")[0], array)
    assert speechjem.classify(x, RATE, model) == speechjem.classify(array, RATE, model)
    stream = speechjem.StreamDenoiser(RATE)
    np.testing.assert_array_equal(stream.push(x[None]), speechjem.StreamDenoiser(RATE).push(array[None]))
    other = torch.flip(x, [0])
    assert metrics.si_sdr(x, other) == metrics.si_sdr(array, array[::-1])
    np.testing.assert_array_equal(audio.resample(x, RATE, 8000), audio.resample(array, RATE, 8000))


def test_a_module_says_what_it_wants(model):
    with pytest.raises(SpeechjemError, match="give torch.from_numpy"):
        speechjem.DenoiseTransform(model)(noise())
