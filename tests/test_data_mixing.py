"""Noise and mixtures: signal-to-noise ratios, levels and spectra, measured independently."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal, stats

from speechjem.data import mixing

RATE = 16000


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def white(length: int, seed: int = 0) -> np.ndarray:
    return rng(seed).standard_normal(length).astype(np.float32)


def tone(
    length: int = RATE, frequency: float = 500.0, amplitude: float = 0.3, phase: float = 0.0
) -> np.ndarray:
    time = np.arange(length) / RATE
    return (amplitude * np.sin(2 * np.pi * frequency * time + phase)).astype(np.float32)


def db(power_ratio: float) -> float:
    return 10 * np.log10(power_ratio)


def energy(x: np.ndarray) -> float:
    return float(np.sum(x.astype(np.float64) ** 2))


def spectrum_db(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies from 100 to 7500 Hz, and the level there (Welch)."""
    frequency, power = signal.welch(x, RATE, nperseg=1024)
    band = (frequency > 100) & (frequency < 7500)
    return frequency[band], 10 * np.log10(power[band])


# Mixing at a signal-to-noise ratio


@given(
    snr=st.floats(-20, 40), level=st.floats(-50, -10), amplitude=st.floats(0.001, 1), seed=st.integers(0, 99)
)
def test_clean_over_noise_is_the_snr(snr, level, amplitude, seed):
    speech, noise = tone(amplitude=amplitude), white(RATE, seed)
    noise /= np.sqrt(energy(noise) / RATE)
    clean, noisy = mixing.mix(speech, noise, amplitude / np.sqrt(2), snr, level)
    assert db(energy(clean) / energy(noisy - clean)) == pytest.approx(snr, abs=0.02)


@given(snr=st.floats(-20, 40), level=st.floats(-50, -10), amplitude=st.floats(0.001, 1))
def test_a_mixture_of_orthogonal_signals_has_the_level(snr, level, amplitude):
    speech, noise = tone(amplitude=amplitude), tone(amplitude=np.sqrt(2), phase=np.pi / 2)
    _, noisy = mixing.mix(speech, noise, amplitude / np.sqrt(2), snr, level)
    assert db(energy(noisy) / RATE) == pytest.approx(level, abs=0.01)


def test_clean_and_noisy_are_scaled_alike():
    speech, noise = tone(amplitude=0.01), tone(frequency=1300, amplitude=np.sqrt(2))
    clean, noisy = mixing.mix(speech, noise, 0.01 / np.sqrt(2), 6.0, -26.0)
    # Whole periods of two frequencies are orthogonal: project on the speech.
    factors = [float(x @ speech / (speech @ speech)) for x in (clean, noisy)]
    assert factors[0] == pytest.approx(factors[1], rel=1e-4)
    np.testing.assert_allclose(clean, factors[0] * speech, atol=1e-6)


def test_a_pause_gets_the_noise_of_its_recording():
    pause, noise = np.zeros(RATE, np.float32), white(RATE)
    clean, noisy = mixing.mix(pause, noise, 0.1, 10.0, -26.0)
    assert not clean.any()
    # The recording would be 10 dB above the noise, the sum of both at -26 dB.
    assert db(energy(noisy) / energy(noise)) == pytest.approx(-26.0 - db(1 + 10**1.0), abs=0.01)


def test_a_silent_recording_stays_silent():
    clean, noisy = mixing.mix(np.zeros(100, np.float32), white(100), 0.0, 5.0, -26.0)
    assert not clean.any()
    assert not noisy.any()


def test_rms_of_a_sine_and_of_loud_integers():
    assert mixing.rms(tone(amplitude=0.5)) == pytest.approx(0.5 / np.sqrt(2), rel=1e-5)
    assert mixing.rms(np.full(1000, -30000, np.int16)) == 30000


# Kinds of noise


def test_slopes_of_coloured_noise_spread_over_0_to_8_db_an_octave():
    slopes = []
    for seed in range(60):
        frequency, level = spectrum_db(mixing.coloured(rng(seed), 2 * RATE))
        octaves = np.arange(np.log2(150), np.log2(7000), 0.25)
        slopes.append(np.polyfit(octaves, np.interp(octaves, np.log2(frequency), level), 1)[0])
    assert np.mean(slopes) == pytest.approx(-4.0, abs=1.5)
    assert min(slopes) < -6
    assert max(slopes) > -2
    assert np.all(np.abs(np.array(slopes) + 4) < 9)  # the random bumps add to a slope


def test_equalise_stays_within_its_depth():
    impulse = np.zeros(4096, np.float32)
    impulse[2048] = 1
    for seed in range(20):
        gain = 20 * np.log10(np.abs(np.fft.rfft(mixing.equalise(rng(seed), impulse, 6.0))))
        assert np.abs(gain).max() < 6.01
        assert np.ptp(gain) > 0.5


def test_equalise_does_not_move_the_signal():
    impulse = np.zeros(4097, np.float32)
    impulse[2048] = 1
    answer = mixing.equalise(rng(), impulse, 6.0)
    np.testing.assert_allclose(answer, answer[::-1], atol=1e-3)
    assert answer.argmax() == 2048


@pytest.mark.parametrize("seconds", [0.2, 1.0, 3.3])
def test_speech_shaped_noise_has_the_spectrum_of_the_speech(seconds):
    bandpass = signal.butter(2, [300, 1500], "bandpass", fs=RATE, output="sos")
    speech = signal.sosfilt(bandpass, white(int(seconds * RATE), 1)).astype(np.float32)
    noise = mixing.speech_shaped(rng(2), speech, 4 * RATE)
    expected, found = spectrum_db(speech)[1], spectrum_db(noise)[1]
    assert np.corrcoef(expected, found)[0, 1] > 0.95


def test_speech_shaped_noise_is_stationary():
    speech = np.concatenate([white(RATE), np.zeros(RATE, np.float32)])
    pieces = mixing.speech_shaped(rng(), speech, 2 * RATE).reshape(8, -1)
    levels = [db(energy(piece)) for piece in pieces]
    assert np.ptp(levels) < 2


def test_babble_has_two_to_twelve_voices():
    voices = []

    def speech(generator: np.random.Generator, length: int) -> np.ndarray:
        voices[-1] += 1
        return white(length)

    for seed in range(150):
        voices.append(0)
        mixing.babble(rng(seed), speech, 10)
    assert set(voices) == set(range(2, 13))


def test_voices_of_a_babble_are_within_8_db():
    count = 0

    def speech(generator: np.random.Generator, length: int) -> np.ndarray:
        nonlocal count
        count += 1
        return tone(length, 100.0 * count, amplitude=0.5**count)  # levels far apart, frequencies orthogonal

    power = np.abs(np.fft.rfft(mixing.babble(rng(3), speech, RATE))) ** 2
    found = power[[100 * (voice + 1) for voice in range(count)]]
    assert found.sum() == pytest.approx(power.sum(), rel=1e-4)
    assert db(found.max() / found.min()) < 8


def test_modulation_only_attenuates_and_by_up_to_20_db():
    x = np.abs(white(4 * RATE)) + 0.1
    gains = np.concatenate([mixing.modulate(rng(seed), x) / x for seed in range(10)])
    assert gains.min() >= 0.0999
    assert gains.max() <= 1.0001
    assert db(gains.max() ** 2 / gains.min() ** 2) > 15


def test_modulation_is_slow():
    x = np.ones(4 * RATE, np.float32)
    for seed in range(10):
        # At most 8 changes a second of 20 dB each.
        assert np.abs(np.diff(20 * np.log10(mixing.modulate(rng(seed), x)))).max() * RATE < 20 * 8.6


def test_a_hum_has_harmonics_of_40_to_400_hz():
    """The autocorrelation of a machine peaks within its periods; that of white noise does not."""
    lags = slice(RATE // 410, RATE // 39)

    def periodicity(x: np.ndarray) -> float:
        correlation = np.fft.irfft(np.abs(np.fft.rfft(x, 2 * len(x))) ** 2)
        return float(correlation[lags].max() / correlation[0])

    assert np.mean([periodicity(mixing.hum(rng(seed), RATE)) for seed in range(20)]) > 0.4
    assert periodicity(white(RATE)) < 0.1


def test_impulses_are_short_and_rare():
    """Kurtosis of noise is 3; of clicks it is far above."""
    kurtoses = [stats.kurtosis(mixing.impulses(rng(seed), 2 * RATE), fisher=False) for seed in range(20)]
    assert np.median(kurtoses) > 10


def test_music_is_on_the_equal_tempered_scale():
    """Most of its power lies within 20 cents of a note of A4 = 440 Hz and its harmonics' notes."""
    shares = []
    for seed in range(10):
        power = np.abs(np.fft.rfft(mixing.music(rng(seed), 4 * RATE) * np.hanning(4 * RATE))) ** 2
        frequency = np.fft.rfftfreq(4 * RATE, 1 / RATE)
        band = (frequency > 200) & (frequency < 1500)
        cents = (1200 * np.log2(frequency[band] / 440)) % 100
        near = np.minimum(cents, 100 - cents) < 20
        shares.append(power[band][near].sum() / power[band].sum())
    assert np.mean(shares) > 0.7


def test_six_noises_of_ten_are_recorded():
    recorded = 0

    def count(generator: np.random.Generator, length: int) -> np.ndarray:
        nonlocal recorded
        recorded += 1
        return white(length)

    for seed in range(1000):
        mixing.noise(rng(seed), count, lambda generator, length: white(length), 32)
    assert recorded == pytest.approx(600, abs=60)


def test_noises_have_rms_1():
    def recorded(generator: np.random.Generator, length: int) -> np.ndarray:
        return 1e-3 * generator.standard_normal(length).astype(np.float32)

    for seed in range(30):
        x = mixing.noises(rng(seed), recorded, recorded, 2000)
        assert np.sqrt(energy(x) / len(x)) == pytest.approx(1, abs=1e-3)


# All kinds: lengths, silence, repetition

KINDS = {
    "equalise": lambda generator, crop, length: mixing.equalise(generator, crop(generator, length), 6.0),
    "coloured": lambda generator, crop, length: mixing.coloured(generator, length),
    "speech_shaped": lambda generator, crop, length: mixing.speech_shaped(
        generator, crop(generator, length), length
    ),
    "babble": mixing.babble,
    "hum": lambda generator, crop, length: mixing.hum(generator, length),
    "impulses": lambda generator, crop, length: mixing.impulses(generator, length),
    "music": lambda generator, crop, length: mixing.music(generator, length),
    "modulate": lambda generator, crop, length: mixing.modulate(generator, crop(generator, length)),
    "noises": lambda generator, crop, length: mixing.noises(generator, crop, crop, length),
}


@pytest.mark.parametrize("crop", [lambda g, n: white(n), lambda g, n: np.zeros(n, np.float32)])
@pytest.mark.parametrize("length", [1, 2, 7, 100, 1023, 5000])
@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.filterwarnings("error")
def test_every_noise_is_finite_and_of_the_length(kind, length, crop):
    for seed in range(25):
        x = KINDS[kind](rng(seed), crop, length)
        assert x.shape == (length,)
        assert x.dtype == np.float32
        assert np.isfinite(x).all()


def test_noise_shaped_by_longer_speech_has_the_length_asked_for():
    assert mixing.speech_shaped(rng(), white(5000), 300).shape == (300,)


@pytest.mark.parametrize("kind", list(KINDS))
def test_noise_depends_on_the_generator_alone(kind):
    def draw(seed: int) -> np.ndarray:
        return KINDS[kind](rng(seed), lambda g, n: g.standard_normal(n).astype(np.float32), 500)

    np.testing.assert_array_equal(draw(1), draw(1))
    assert not np.array_equal(draw(1), draw(2))


def test_inputs_are_not_changed():
    speech, noise = tone(), white(RATE)
    before = speech.copy(), noise.copy()
    mixing.mix(speech, noise, 0.2, 0.0, -26.0)
    mixing.equalise(rng(), speech, 6.0)
    mixing.modulate(rng(), speech)
    mixing.speech_shaped(rng(), speech, 100)
    np.testing.assert_array_equal(speech, before[0])
    np.testing.assert_array_equal(noise, before[1])
