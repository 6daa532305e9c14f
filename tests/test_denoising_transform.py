"""The torch module beside the denoiser, and what pipelines do: batches, gradients, devices, states."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import soundfile
import torch
import torchaudio
from torch import nn

import speechjem
from speechjem.energy.descent import DescentConfig
from speechjem.energy.tdnn import NetworkConfig
from speechjem.errors import InputError, UsageError
from speechjem.models.speech import ModelConfig, SpeechModel

RATE = 16000
NOISY = torch.from_numpy(
    soundfile.read(Path(__file__).parents[1] / "samples" / "noisy.flac", dtype="float32")[0]
)
BATCH = torch.stack([NOISY[:RATE], 0.1 * NOISY[RATE : 2 * RATE]])


@pytest.fixture(scope="module")
def transform():
    return speechjem.DenoiseTransform()


@pytest.fixture
def small():
    """A model of random weights, whose steps are large enough to matter."""
    torch.manual_seed(0)
    network = NetworkConfig(channels=8, hidden=8, dilations=(1,), fine=257, phase=60)
    model = SpeechModel(ModelConfig(network=network, descent=DescentConfig(steps=2)))
    with torch.no_grad():
        for parameter in model.jem.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return model.requires_grad_(False)


def test_it_gives_what_the_denoiser_gives(transform):
    short = NOISY[: 3 * RATE]  # which has one level
    expected = speechjem.Denoiser(precision="float32", device="cpu")(short, RATE)
    torch.testing.assert_close(transform(short), expected, atol=1e-4, rtol=0)


def test_leading_dimensions_are_kept_and_waveforms_enhanced_one_by_one(transform):
    alone = torch.stack([transform(waveform) for waveform in BATCH])
    for shape in ((2, RATE), (2, 1, RATE), (1, 2, RATE), (1, 1, 2, RATE)):
        torch.testing.assert_close(transform(BATCH.reshape(shape)), alone.reshape(shape), atol=1e-5, rtol=0)


def test_the_gradient_is_that_of_differences(small):
    """In double precision, in a random direction, by steps that reach no kink of the gain."""
    transform = speechjem.DenoiseTransform(small).double()
    waveforms = BATCH[:, :2000].double()
    generator = torch.Generator().manual_seed(1)
    weights, direction = torch.randn(2, *waveforms.shape, dtype=torch.float64, generator=generator)

    def value(x):
        return (weights * transform(x)).sum()

    waveforms.requires_grad_()
    (gradient,) = torch.autograd.grad(value(waveforms), waveforms)
    with torch.no_grad():
        step = 1e-9
        difference = (value(waveforms + step * direction) - value(waveforms - step * direction)) / (2 * step)
    assert (gradient * direction).sum().item() == pytest.approx(difference.item(), rel=1e-5)


def test_silence_has_gradients(transform):
    """Digital silence in a batch must not make the others' training NaN."""
    waveforms = torch.stack([BATCH[0, :4000], torch.zeros(4000)]).requires_grad_()
    transform(waveforms).square().sum().backward()
    assert waveforms.grad.isfinite().all()
    assert waveforms.grad[0].any()


def test_weights_are_frozen_until_they_are_asked_to_learn(small):
    transform = speechjem.DenoiseTransform(small)
    assert not transform(BATCH).requires_grad
    transform.requires_grad_()
    transform(BATCH).square().sum().backward()
    gradients = [parameter.grad for parameter in transform.graph.model.jem.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


def test_it_is_part_of_a_pipeline(transform):
    """Resampled, denoised, analysed: as by hand."""
    resample, features = (
        torchaudio.transforms.Resample(44100, RATE),
        torchaudio.transforms.MelSpectrogram(RATE, n_mels=40),
    )
    waveforms = torchaudio.functional.resample(BATCH, RATE, 44100)
    pipeline = nn.Sequential(resample, transform, features)
    torch.testing.assert_close(pipeline(waveforms), features(transform(resample(waveforms))))
    with torch.no_grad():
        torch.testing.assert_close(
            copy.deepcopy(pipeline)(waveforms), pipeline(waveforms), atol=1e-3, rtol=1e-3
        )


def test_a_state_is_loaded_into_another_one(small, tmp_path):
    first, second = speechjem.DenoiseTransform(small), speechjem.DenoiseTransform(SpeechModel(small.config))
    assert not torch.equal(first(BATCH), second(BATCH))
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert torch.equal(first(BATCH), second(BATCH))


def test_all_of_it_moves_to_a_device(small):
    """The meta device knows shapes only: a tensor left behind on the CPU would raise an error."""
    transform = speechjem.DenoiseTransform(small).to("meta")
    out = transform(BATCH.to("meta"))
    assert (out.device.type, out.shape) == ("meta", BATCH.shape)


@pytest.mark.parametrize(
    "bad", [torch.zeros(2, 0), torch.zeros(100, dtype=torch.int16), torch.zeros(9).half()]
)
def test_what_is_no_waveform_is_refused(transform, bad):
    with pytest.raises(InputError, match="float32"):
        transform(bad)


def test_other_numbers_of_steps_than_trained_are_refused(small):
    for steps in (0, 3):
        with pytest.raises(UsageError, match="1 to 2"):
            speechjem.DenoiseTransform(small, steps=steps)
