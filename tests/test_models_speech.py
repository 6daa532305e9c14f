"""The whole model: what a movement of the frames does to the spectrum, and that its parts fit."""

import math

import pytest
import torch

from speechjem.energy.tdnn import NetworkConfig
from speechjem.features.fbank import FbankConfig
from speechjem.models.speech import ModelConfig, SpeechModel


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = SpeechModel(ModelConfig(network=NetworkConfig(channels=8, hidden=8, dilations=(1,))))
    model.fbank.std.copy_(torch.linspace(1, 4, 80))
    return model


def test_no_movement_is_no_gain(model):
    x = torch.randn(2, 5, 80)
    torch.testing.assert_close(model.gain(x, x), torch.ones(2, 5, 257))


def test_a_quarter_of_the_power_is_half_the_amplitude_at_every_frequency(model):
    x = torch.randn(1, 5, 80)
    moved = x - 2 * math.log(2) / model.fbank.std
    torch.testing.assert_close(model.gain(moved, x), torch.full((1, 5, 257), 0.5))


def test_nothing_is_amplified(model):
    x, y = torch.randn(2, 3, 50, 80)
    gain = model.gain(3 * y, x)
    assert gain.max() <= 1 + 1e-6
    assert gain.min() > 0


def test_a_tone_in_one_bin_is_turned_down_where_the_bin_is(model):
    start = torch.zeros(1, 1, 80)
    moved = start.clone()
    moved[..., 40] = -2.0
    gain = model.gain(moved, start)[0, 0]
    centre = int(model.fbank.filters[:, 40].argmax())
    assert gain.argmin() == centre
    far = model.fbank.filters[:, 40] == 0
    torch.testing.assert_close(gain[far], torch.ones(int(far.sum())))


def test_the_network_must_fit_the_features():
    with pytest.raises(ValueError, match="bins"):
        ModelConfig(fbank=FbankConfig(bins=64))


def test_every_frequency_is_a_weighted_mean_of_the_bins(model):
    weights = model.fbank.spread
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(0), torch.ones(257))


def test_frequencies_below_and_above_the_filters_follow_the_outermost_bin():
    """Filters from 300 to 7000 Hz leave the STFT bins 0 to 9 and from 225 on uncovered."""
    fbank = FbankConfig(bins=40, low=300, high=7000)
    network = NetworkConfig(bins=40, channels=8, hidden=8, dilations=(1,))
    model = SpeechModel(ModelConfig(fbank=fbank, network=network))
    start = torch.zeros(1, 1, 40)
    moved = start.clone()
    moved[..., 0], moved[..., -1] = -2 * math.log(2), -2 * math.log(4)
    gain = model.gain(moved, start)[0, 0]
    torch.testing.assert_close(gain[:10], torch.full((10,), 0.5))
    torch.testing.assert_close(gain[225:], torch.full((32,), 0.25))


def test_phase_relations_must_be_a_whole_number_of_frequencies_beside_fine_structure():
    with pytest.raises(ValueError, match="a frequency"):
        ModelConfig(network=NetworkConfig(fine=257, phase=100))
    with pytest.raises(ValueError, match="fine structure as well"):
        ModelConfig(network=NetworkConfig(phase=60))


def test_what_is_observed_beside_the_envelope():
    network = NetworkConfig(channels=8, hidden=8, dilations=(1,), fine=257, phase=60)
    model = SpeechModel(ModelConfig(network=network))
    spectrum = model.fbank.stft(torch.randn(1, 4000))
    start = model.observe(spectrum)
    assert start.shape == (1, 26, 80 + 257 + 60)
    # The envelope at every frequency and the fine structure are the spectrum.
    envelope = 0.5 * model.fbank.denormalise(start[..., :80]) @ model.fbank.spread
    amplitude = (spectrum.abs().square() + model.fbank.config.floor).sqrt()
    heard = int(0.9 * 257)
    rebuilt = (envelope + start[..., 80:337]).exp()
    torch.testing.assert_close(rebuilt[..., :heard], amplitude[..., :heard], rtol=1e-4, atol=1e-4)


def test_the_slope_of_a_resampling_filter_is_not_heard():
    network = NetworkConfig(channels=8, hidden=8, dilations=(1,), fine=257, phase=60)
    model = SpeechModel(ModelConfig(network=network))
    spectrum = model.fbank.stft(torch.randn(1, 4000))
    sloped = spectrum * (torch.linspace(0, 1, 257) < 0.93)
    torch.testing.assert_close(model.observe(sloped), model.observe(spectrum))


def test_without_movement_what_is_observed_has_a_gain_of_one():
    network = NetworkConfig(channels=8, hidden=8, dilations=(1,), fine=257, phase=60)
    model = SpeechModel(ModelConfig(network=network))
    start = model.observe(model.fbank.stft(torch.randn(1, 4000)))
    torch.testing.assert_close(model.gain(start[..., :337], start), torch.ones(1, 26, 257))
