"""The resampler of streams: right in its band, silent beyond, soon done, whatever the pieces."""

import numpy as np
import pytest
from scipy.signal import resample

from speechjem.audio.resampling import ShortResampler

RATES = [(48000, 16000), (16000, 48000), (44100, 16000), (16000, 44100), (8000, 16000), (16000, 11025)]


def tone(frequency, rate, seconds=0.5):
    return np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)[None]


@pytest.mark.parametrize(("source", "target"), RATES)
@pytest.mark.parametrize("share", [0.02, 0.4, 0.85])
def test_a_tone_within_the_band_stays_what_it_is(source, target, share):
    frequency = share * min(source, target) / 2
    got = ShortResampler(source, target, 1).push(tone(frequency, source), last=True)
    want = tone(frequency, target)
    inside = slice(target // 50, want.shape[1] - target // 50)
    np.testing.assert_allclose(got[:, inside], want[:, inside], atol=1e-3)


@pytest.mark.parametrize(("source", "target"), [(48000, 16000), (44100, 16000), (16000, 11025)])
def test_what_the_lower_rate_cannot_hold_is_not_folded(source, target):
    got = ShortResampler(source, target, 1).push(tone(0.54 * target, source), last=True)
    assert np.abs(got[:, target // 50 : -target // 50]).max() < 1e-3


def test_noise_is_as_another_library_has_it():
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(48000))
    spectrum[6800:] = 0
    x = np.fft.irfft(spectrum)[None]
    want = resample(x, 16000, axis=1)
    got = ShortResampler(48000, 16000, 1).push(x, last=True)
    np.testing.assert_allclose(got[:, 100:-100], want[:, 100:-100], atol=2e-3)


@pytest.mark.parametrize(("source", "target"), RATES)
def test_pieces_do_not_matter_and_come_soon(source, target):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, source // 4))
    resampler, parts, heard, given = ShortResampler(source, target, 2), [], 0, 0
    while heard < x.shape[1]:
        piece = x[:, heard : heard + int(rng.integers(0, 700))]
        parts.append(resampler.push(piece))
        heard, given = heard + piece.shape[1], given + parts[-1].shape[1]
        assert heard / source - given / target <= resampler.delay + 1e-9
    parts.append(resampler.push(x[:, :0], last=True))
    whole = ShortResampler(source, target, 2).push(x, last=True)
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=1e-6)


def test_memory_is_bounded():
    resampler = ShortResampler(44100, 16000, 1)
    for _ in range(300):
        resampler.push(np.zeros((1, 441)))
    assert resampler.kept.shape[1] < 2000
