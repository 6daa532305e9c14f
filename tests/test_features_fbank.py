"""Log-mel frames against librosa, and the way back to samples."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from speechjem.features.fbank import Fbank, FbankConfig, frames_for

RATE = 16000
FBANK = Fbank(FbankConfig())


def noise(*shape: int, seed: int = 0) -> Tensor:
    return 0.1 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def tone(frequency: float, seconds: float = 1.0) -> Tensor:
    time = torch.arange(round(seconds * RATE), dtype=torch.float64) / RATE
    return (0.1 * torch.sin(2 * torch.pi * frequency * time)).float()


def librosa_log_mel(waveform: Tensor, config: FbankConfig) -> np.ndarray:
    power = librosa.feature.melspectrogram(
        y=waveform.double().numpy(),
        sr=config.sample_rate,
        n_fft=config.window,
        hop_length=config.hop,
        window="hann",
        center=True,
        pad_mode="constant",
        power=2.0,
        n_mels=config.bins,
        fmin=config.low,
        fmax=config.high,
        htk=True,
        norm=None,
    )
    return np.log(power + config.floor).T


def htk_centres(config: FbankConfig) -> np.ndarray:
    """Centre frequencies of the filters, by HTK's formula of the mel scale."""

    def mel(frequency: float) -> float:
        return 2595 * np.log10(1 + frequency / 700)

    places = np.linspace(mel(config.low), mel(config.high), config.bins + 2)[1:-1]
    return 700 * (10 ** (places / 2595) - 1)


# Log-mel


@pytest.mark.parametrize(
    "config",
    [FbankConfig(), FbankConfig(bins=40, window=400, hop=200, low=300, high=7000, floor=1e-3)],
    ids=["default", "other"],
)
def test_log_mel_is_that_of_librosa(config: FbankConfig) -> None:
    waveform = noise(RATE) * torch.linspace(0, 1, RATE)
    fbank = Fbank(config)
    found = fbank.log_mel(fbank.stft(waveform)).numpy()
    np.testing.assert_allclose(found, librosa_log_mel(waveform, config), atol=2e-3)


def test_log_mel_of_silence_is_the_logarithm_of_the_floor() -> None:
    log_mel = FBANK.log_mel(FBANK.stft(torch.zeros(RATE)))
    torch.testing.assert_close(log_mel, torch.full((101, 80), float(np.log(1e-6))))


def test_twice_the_amplitude_is_the_logarithm_of_four_more() -> None:
    quiet, loud = (FBANK.log_mel(FBANK.stft(x)) for x in (noise(RATE), 2 * noise(RATE)))
    torch.testing.assert_close(loud - quiet, torch.full_like(quiet, float(np.log(4))), atol=1e-3, rtol=0)


@pytest.mark.parametrize("bin_", [20, 33, 47, 60, 79])
def test_a_tone_at_the_centre_of_a_filter_lights_its_bin(bin_: int) -> None:
    frequency = htk_centres(FBANK.config)[bin_]
    frames = FBANK.log_mel(FBANK.stft(tone(frequency)))
    assert (frames[5:-5].argmax(-1) == bin_).all()


def test_a_click_is_loudest_in_the_frame_centred_on_it() -> None:
    waveform = torch.zeros(RATE)
    waveform[37 * 160] = 1.0
    assert FBANK.log_mel(FBANK.stft(waveform)).sum(-1).argmax() == 37


# Frames and samples


@example(1)
@example(3)
@example(159)
@example(160)
@example(161)
@example(511)
@example(16000)
@example(31999)
@settings(max_examples=40)
@given(st.integers(1, 40000))
def test_a_waveform_has_a_frame_at_every_hop_that_falls_on_a_sample_or_its_end(samples: int) -> None:
    expected = len(range(0, samples + 1, 160))
    assert FBANK.stft(noise(samples)).shape == (expected, 257)
    assert FBANK.frames(samples) == expected


@example(1)
@example(3)
@example(159)
@example(160)
@example(161)
@example(511)
@example(16000)
@example(31999)
@settings(max_examples=40)
@given(st.integers(1, 40000))
def test_the_inverse_transform_gives_the_waveform_back_to_the_sample(samples: int) -> None:
    waveform = noise(samples, seed=samples)
    torch.testing.assert_close(FBANK.istft(FBANK.stft(waveform), samples), waveform, atol=1e-6, rtol=1e-5)


def test_leading_dimensions_are_those_of_the_waveforms() -> None:
    waveforms = noise(2, 3, 1000)
    spectra = FBANK.stft(waveforms)
    assert spectra.shape == (2, 3, 7, 257)
    torch.testing.assert_close(spectra[1, 2], FBANK.stft(waveforms[1, 2]))
    torch.testing.assert_close(FBANK.istft(spectra, 1000), waveforms, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("seconds", "frames"),
    [(1.0, 100), (0.35000000000000003, 35), (4.03, 403), (0.011, 2), (0.01, 1), (0.001, 1), (0.0, 1)],
)
def test_a_duration_is_rounded_up_to_whole_frames_and_at_least_one(seconds: float, frames: int) -> None:
    assert frames_for(seconds, FbankConfig()) == frames


def test_a_hop_is_ten_milliseconds() -> None:
    assert FBANK.frame_seconds == pytest.approx(0.01)


# Normalisation


def measured() -> Fbank:
    """Features with the mean and the standard deviation of some noise."""
    fbank = Fbank(FbankConfig())
    frames = fbank.log_mel(fbank.stft(noise(RATE)))
    fbank.mean.copy_(frames.mean(0))
    fbank.std.copy_(frames.std(0))
    return fbank


def test_frames_have_zero_mean_and_unit_standard_deviation_a_bin() -> None:
    frames = measured()(noise(RATE))
    torch.testing.assert_close(frames.mean(0), torch.zeros(80), atol=1e-4, rtol=0)
    torch.testing.assert_close(frames.std(0), torch.ones(80), atol=1e-4, rtol=0)


def test_denormalise_undoes_normalise() -> None:
    fbank = measured()
    log_mel = fbank.log_mel(fbank.stft(noise(RATE, seed=1)))
    torch.testing.assert_close(fbank.denormalise(fbank.normalise(log_mel)), log_mel)


def test_only_the_mean_and_the_standard_deviation_are_stored() -> None:
    assert set(FBANK.state_dict()) == {"mean", "std"}


# Level


def decibels(waveform: Tensor) -> float:
    return float(10 * np.log10(np.mean(waveform.double().numpy() ** 2)))


@pytest.mark.parametrize("scale", [1e-5, 0.01, 1.0, 100.0])
def test_the_level_gain_brings_noise_to_minus_26_decibels(scale: float) -> None:
    waveform = scale * noise(RATE)
    assert decibels(waveform * FBANK.level_gain(waveform)) == pytest.approx(-26, abs=1e-3)


def test_the_level_gain_is_one_waveform_each() -> None:
    waveforms = noise(3, RATE) * torch.tensor([[0.1], [1.0], [5.0]])
    levelled = waveforms * FBANK.level_gain(waveforms)
    assert [decibels(waveform) for waveform in levelled] == pytest.approx([-26] * 3, abs=1e-3)


@pytest.mark.parametrize("level", [0.0, 1e-10])
def test_the_level_gain_leaves_silence(level: float) -> None:
    assert FBANK.level_gain(torch.full((2, 100), level)).tolist() == [[1.0], [1.0]]
