"""How samples are stored: rounding, bit rates, four gigabytes, channels."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from speechjem import audio
from speechjem.audio import encoding, files
from speechjem.errors import InputError

RATE = 16000
INTEGERS = [
    (".wav", "PCM_16", 16),
    (".wav", "PCM_U8", 8),
    (".wav", "PCM_24", 24),
    (".aiff", "PCM_S8", 8),
    (".aiff", "PCM_16", 16),
    (".au", "PCM_16", 16),
    (".flac", "PCM_S8", 8),
    (".flac", "PCM_16", 16),
    (".flac", "PCM_24", 24),
    (".w64", "PCM_16", 16),
    (".rf64", "PCM_16", 16),
    (".caf", "ALAC_16", 16),
    (".caf", "ALAC_20", 20),
    (".caf", "ALAC_24", 24),
    (".caf", "PCM_16", 16),
]


def noise(count: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.9, 0.9, (channels, count)).astype(np.float32)


@pytest.mark.parametrize(("suffix", "subtype", "bits"), INTEGERS)
def test_integers_are_rounded(tmp_path, suffix, subtype, bits):
    """At most half a step off, and as often above as below; libsndfile's own way is half a step below."""
    path, samples, step = tmp_path / f"a{suffix}", noise(60000), 2.0 ** (1 - bits)
    audio.write(path, samples, RATE, subtype=subtype)
    assert soundfile.info(path).subtype == subtype
    error = (soundfile.read(path, dtype="float64")[0] - samples[0]) / step
    assert np.abs(error).max() <= 0.5
    assert abs(error.mean()) < 0.01  # 0.29 / sqrt(60000) = 0.001 by chance


@pytest.mark.parametrize(("suffix", "subtype", "bits"), INTEGERS)
def test_full_scale_does_not_wrap(tmp_path, suffix, subtype, bits):
    path, step = tmp_path / f"a{suffix}", 2.0 ** (1 - bits)
    samples = np.array([1.0, 1 - step / 4, -1.0, 7.0, -7.0, 0.0], np.float32)
    audio.write(path, samples, RATE, subtype=subtype)
    found = soundfile.read(path, dtype="float64")[0]
    assert found.tolist() == [1 - step, 1 - step, -1, 1 - step, -1, 0]


def test_alac_of_32_bits_becomes_one_of_24(tmp_path):
    """libsndfile writes noise of the former wrong."""
    audio.write(tmp_path / "a.caf", noise(60000), RATE, subtype="ALAC_32")
    np.testing.assert_allclose(audio.read(tmp_path / "a.caf").samples, noise(60000), atol=2**-23)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "ULAW"])
@pytest.mark.parametrize("name", ["a.wav", "a.bwf"])
def test_a_wav_that_is_too_large_becomes_rf64(tmp_path, monkeypatch, name, subtype):
    """With a limit of 10 kB in place of 4 GB."""
    monkeypatch.setattr(encoding, "_LARGEST", 10000)
    samples = noise(6000, 2)
    audio.write(tmp_path / name, samples, RATE, subtype=subtype)
    found = audio.read(tmp_path / name)
    assert (found.format, found.subtype, found.samples.shape) == ("RF64", subtype, samples.shape)
    pieces = np.array_split(samples, 7, axis=1)
    audio.write(tmp_path / "b.wav", pieces, RATE, channels=2, frames=6000, subtype=subtype)
    assert (tmp_path / "b.wav").read_bytes() == (tmp_path / name).read_bytes()
    audio.write(tmp_path / "c.wav", samples[:, :500], RATE, subtype=subtype)
    assert audio.open_file(tmp_path / "c.wav").format in ("WAV", "WAVEX")


@pytest.mark.parametrize(("name", "subtype"), [("a.aiff", None), ("a.au", None), ("a.wav", "IMA_ADPCM")])
def test_what_has_no_larger_form_is_refused(tmp_path, monkeypatch, name, subtype):
    monkeypatch.setattr(encoding, "_LARGEST", 10000)
    with pytest.raises(InputError, match=r"are too many for .* write \.w64, \.caf or \.flac"):
        audio.write(tmp_path / name, noise(12000), RATE, subtype=subtype)
    assert list(tmp_path.iterdir()) == []


def test_as_many_samples_must_be_there_as_were_written(tmp_path):
    path = tmp_path / "a.wav"
    audio.write(path, noise(1000), RATE)
    files._check_written(path, path, 1000)
    with pytest.raises(InputError, match="holds 1000 of 1001 samples, for they are too many for WAV"):
        files._check_written(path, path, 1001)


@pytest.mark.parametrize(
    ("name", "channels"), [("a.mp3", 6), ("a.mp3", 3), ("a.flac", 9), ("a.ogg", 300), ("a.wav", 1025)]
)
def test_too_many_channels_are_the_cause_that_is_named(tmp_path, name, channels):
    with pytest.raises(InputError, match=rf"{channels} channels"):
        audio.write(tmp_path / name, np.zeros((channels, 2000), np.float32), 48000)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("suffix", "rate", "kbits"),
    [
        (".mp3", 44100, 256),
        (".mp3", 16000, 96),
        (".opus", 48000, 96),
        (".opus", 48000, 248),
        (".ogg", 44100, 200),
    ],
)
def test_the_bit_rate_is_kept(tmp_path, suffix, rate, kbits, channels):
    wave = np.tile(noise(5 * rate), (channels, 1))
    audio.write(tmp_path / f"a{suffix}", wave, rate, bit_rate=1000 * kbits)
    first = audio.read(tmp_path / f"a{suffix}")
    audio.write(tmp_path / f"b{suffix}", first.samples, rate, bit_rate=first.bit_rate)
    second = audio.open_file(tmp_path / f"b{suffix}")
    assert second.bit_rate == pytest.approx(first.bit_rate, rel=0.15)
    if suffix != ".ogg":  # Vorbis is asked for a quality
        assert second.bit_rate == pytest.approx(1000 * kbits, rel=0.15)


def test_lossless_files_have_no_bit_rate(tmp_path):
    audio.write(tmp_path / "a.flac", noise(RATE), RATE, bit_rate=1.0)
    assert audio.read(tmp_path / "a.flac").bit_rate is None
