"""Trained steps of generation: what they are told, and that they learn to arrive."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.fft import dct, idct

from speechjem.energy.descent import DescentConfig
from speechjem.energy.starts import Starts
from speechjem.energy.tdnn import NetworkConfig
from speechjem.features.fbank import Fbank, FbankConfig
from speechjem.models.speaking import Speaking, smooth_contour, told_size, voice_of, voice_offset
from speechjem.models.speech import ModelConfig, SpeechModel

BINS = 80
TOLD = NetworkConfig(channels=16, hidden=16, dilations=(1, 2), told=told_size(BINS))


@pytest.fixture(scope="module")
def fbank():
    return Fbank(FbankConfig())


@pytest.fixture(scope="module")
def speaking(fbank):
    speaking = Speaking(DescentConfig(), BINS)
    speaking.measure(fbank)
    return speaking


def pulses(pitch: float, rate: int = 16000) -> torch.Tensor:
    """Band-limited pulses, at half a second's length."""
    time = np.arange(rate // 2) / rate
    waves = [np.cos(2 * np.pi * pitch * k * time) for k in range(1, int(rate / 2 / pitch))]
    return torch.tensor(0.02 * np.sum(waves, axis=0), dtype=torch.float32)


@pytest.mark.parametrize("pitch", [90.0, 151.3, 233.0, 410.0])
def test_the_harmonics_are_those_of_pulses_without_their_envelope(fbank, speaking, pitch):
    cepstra = dct(fbank(pulses(pitch))[5:-5].mean(0).numpy(), norm="ortho")
    cepstra[:14] = 0
    fine = idct(cepstra, norm="ortho")
    comb = speaking.comb(torch.tensor(pitch)).numpy()
    # At the lowest pitch, the phases of neighbouring harmonics matter, for the window does not part them.
    assert np.corrcoef(fine, comb)[0, 1] > 0.9


def test_what_is_unvoiced_has_no_harmonics(speaking):
    comb = speaking.comb(torch.tensor([[0.0, 120.0]]))
    assert (comb[0, 0] == 0).all()
    assert comb[0, 1].abs().max() > 0.3


def test_a_contour_in_between_is_a_comb_in_between(speaking):
    combs = speaking.comb(torch.linspace(150, 151, 50))
    assert combs.diff(dim=0).abs().max() < 0.05


def test_a_smooth_contour_keeps_a_line_and_goes_over_gaps():
    line = torch.exp(torch.linspace(np.log(100.0), np.log(150.0), 200))[None]
    gaps = torch.ones_like(line, dtype=torch.bool)
    gaps[:, 60:75] = gaps[:, 120:123] = False
    contour = smooth_contour(line * gaps, torch.ones_like(gaps))
    assert torch.allclose(contour[:, 25:-25].log(), line[:, 25:-25].log(), atol=0.03)


def test_a_smooth_contour_is_voiced_only_where_it_shall_be():
    pitch = torch.zeros(1, 300)
    pitch[:, :100] = 120.0
    voiced = torch.zeros_like(pitch, dtype=torch.bool)
    voiced[:, 50:200:2] = True
    contour = smooth_contour(pitch, voiced)
    assert (contour[~voiced] == 0).all()
    assert torch.allclose(contour[:, 50:110:2], torch.tensor(120.0))
    assert (contour[:, 150:] == 0).all()  # no pitch is near


def test_the_offset_of_a_voice_is_heard_in_its_speech_only():
    means = torch.randn(2, 50, BINS)
    voice = torch.randn(2, 1, BINS)
    speech = torch.zeros(2, 50, dtype=torch.bool)
    speech[:, 10:30] = True
    x = torch.where(speech[..., None], means + voice, means - 7)
    assert torch.allclose(voice_offset(x, means, speech), voice[:, 0], atol=1e-5)
    assert (voice_offset(x, means, torch.zeros_like(speech)) == 0).all()


def test_the_path_of_the_means_is_a_chain_without_deviations():
    starts = Starts(3, 4)
    starts.mean.normal_(generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[0] * 9 + [2] * 4 + [1] * 12, [1] * 25])
    for row, path in zip(labels, starts.path(labels), strict=True):
        drawn = starts.draw(row, 1, torch.Generator().manual_seed(1), 0.0)[0]
        assert torch.allclose(path, drawn, atol=1e-6)


def test_a_network_that_was_told_nothing_yet_goes_by_the_frames_alone():
    model = SpeechModel(ModelConfig(network=TOLD))
    x = torch.randn(2, 30, BINS)
    told = model.jem.network.tell(torch.randn(2, 30, told_size(BINS)))
    assert torch.equal(model.jem.logits(x), model.jem.logits(x, told))


def test_the_steps_follow_the_energy_given_what_is_told():
    model = SpeechModel(ModelConfig(network=TOLD)).double()
    torch.nn.init.normal_(model.jem.network.told.weight, std=0.1)
    x = torch.randn(1, 20, BINS).double().requires_grad_()
    told = model.jem.network.tell(torch.randn(1, 20, told_size(BINS)).double())
    energy = -model.jem.logits(x, told).logsumexp(-1).sum()
    (gradient,) = torch.autograd.grad(energy, x, retain_graph=True)
    moved, _ = next(model.speaking.steps(model.jem, x, told))
    assert torch.allclose(moved, x - model.speaking.log_size[0].exp() * gradient, atol=1e-9)


def test_what_is_told_has_the_size_that_a_network_expects():
    with pytest.raises(ValueError, match="told must be 0 or 242"):
        ModelConfig(network=replace(TOLD, told=7))


def test_conditions_have_their_parts_in_their_places(speaking):
    means, offset = torch.randn(1, 3, BINS), torch.randn(1, BINS)
    pitch, speech = torch.tensor([[0.0, 140.0, 280.0]]), torch.tensor([[False, True, True]])
    x, told = speaking.conditions(means, pitch, offset, speech)
    assert torch.equal(x[0, 0], means[0, 0])  # silence has no voice
    assert torch.allclose(x[0, 1], means[0, 1] + offset[0] + speaking.comb(pitch[0, 1]))
    assert told.shape == (1, 3, told_size(BINS))
    assert told[0, :, 2 * BINS].tolist() == [0, 1, 1]
    assert told[0, 1, 2 * BINS + 1] == pytest.approx(0, abs=1e-5)
    assert told[0, 2, 2 * BINS + 1] == pytest.approx(np.log(2) / 0.4, rel=1e-4)


def test_voices_that_are_drawn_are_those_that_were_measured():
    speaking, generator = Speaking(DescentConfig(), 3), torch.Generator().manual_seed(0)
    pitch = torch.randn(3000, generator=generator)
    voices = torch.stack([pitch, 2 - pitch, 0 * pitch, 5 + 0.3 * pitch, 0.2 + 0.05 * pitch], 1)
    speaking.measure_voices(voices)
    drawn = speaking.draw_voices(20000, generator)
    assert torch.allclose(drawn.mean(0), voices.mean(0), atol=0.05)
    assert torch.allclose(drawn.T.cov(), voices.T.cov(), atol=0.05)
    assert torch.equal(speaking.draw_voices(2, generator, 0.0), voices.mean(0).expand(2, -1))


def test_from_few_voices_all_are_the_mean_one():
    speaking = Speaking(DescentConfig(), 3)
    speaking.measure_voices(torch.randn(9, 5))
    drawn = speaking.draw_voices(2, torch.Generator().manual_seed(0))
    assert torch.allclose(drawn[0], torch.tensor([0, 0, 0, np.log(140.0), 0.2]).float())
    assert torch.equal(drawn[0], drawn[1])


def test_a_voice_has_an_offset_and_a_pitch():
    means, speech = torch.randn(40, 3), torch.arange(40) >= 20
    x = means + torch.where(speech[:, None], torch.tensor([1.0, -2.0, 0.5]), 9.0)
    pitch = torch.where(torch.arange(40) % 2 == 0, 100.0, 200.0) * speech
    voice = voice_of(x, means, speech, pitch)
    middle, deviation = np.log(100 * 2**0.5), np.log(2**0.5) * (20 / 19) ** 0.5
    assert torch.allclose(voice, torch.tensor([1.0, -2.0, 0.5, middle, deviation]).float(), atol=1e-4)
    assert voice_of(x, means, speech, 0 * pitch) is None


def test_bigrams_are_counted_between_phones_and_not_between_frames():
    speaking = Speaking(DescentConfig(), 3, ("SIL", "AA", "S"))
    assert torch.allclose(speaking.bigrams, 0.5 * (1 - torch.eye(3)))
    speaking.measure_bigrams(
        [torch.tensor([0, 0, 1, 1, 1, 0]), torch.tensor([0, 2, 2]), torch.tensor([0, 1])]
    )
    expected = torch.tensor([[0.0, 2 / 3, 1 / 3], [1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    assert torch.allclose(speaking.bigrams, expected)


def test_a_model_from_before_the_bigrams_loads():
    old = Speaking(DescentConfig(), 3).state_dict()
    del old["bigrams"]
    speaking = Speaking(DescentConfig(), 3)
    speaking.load_state_dict(old)
    assert torch.allclose(speaking.bigrams.sum(1), torch.ones(40))
