"""Audio files: what is read back, what is refused and with which sentence, and what a failure leaves."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import resample_poly

from speechjem import audio
from speechjem.errors import InputError, UsageError

RATE = 16000


def sine(frequency: float, rate: int, seconds: float = 0.5, level: float = 0.5) -> np.ndarray:
    time = np.arange(round(rate * seconds)) / rate
    return (level * np.sin(2 * np.pi * frequency * time)).astype(np.float32)


def stereo() -> np.ndarray:
    return np.stack([sine(440, RATE), sine(1000, RATE)])


def noise(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.9, 0.9, shape).astype(np.float32)


def relative_error(expected: np.ndarray, found: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


# Reading and writing


@pytest.mark.parametrize(
    ("name", "subtype", "found_subtype", "tolerance"),
    [
        ("a.wav", None, "PCM_16", 2**-15),
        ("a.WAV", "PCM_24", "PCM_24", 2**-23),
        ("a.wav", "FLOAT", "FLOAT", 0.0),
        ("a.wav", "VORBIS", "PCM_16", 2**-15),  # .wav has no Vorbis
        ("a.wav", "MPEG_LAYER_III", "PCM_16", 2**-15),  # a decoded MP3
        ("a.flac", "PCM_24", "PCM_24", 2**-23),
        ("a.flac", "FLOAT", "PCM_16", 2**-15),
        ("a.aif", None, "PCM_16", 2**-15),
        ("a.au", "PCM_24", "PCM_24", 2**-23),
        ("a.w64", None, "PCM_16", 2**-15),
        ("a.rf64", None, "PCM_16", 2**-15),
        ("a.caf", "FLOAT", "FLOAT", 0.0),
    ],
)
def test_lossless_round_trip(tmp_path, name, subtype, found_subtype, tolerance):
    samples = noise((2, 5000))
    audio.write(tmp_path / name, samples, 44100, subtype=subtype)
    found = audio.read(tmp_path / name)
    assert (found.sample_rate, found.subtype) == (44100, found_subtype)
    assert found.samples.shape == samples.shape and found.samples.dtype == np.float32
    assert np.abs(found.samples - samples).max() <= tolerance


@pytest.mark.parametrize(
    ("name", "subtype", "found_subtype"),
    [
        ("a.ogg", None, "VORBIS"),
        ("a.ogg", "PCM_16", "VORBIS"),
        ("a.mp3", "PCM_16", "MPEG_LAYER_III"),
        ("a.mp3", "MPEG_LAYER_II", "MPEG_LAYER_III"),  # libsndfile only reads it
        ("a.opus", None, "OPUS"),
        ("a.opus", "VORBIS", "OPUS"),
    ],
)
def test_lossy_round_trip(tmp_path, name, subtype, found_subtype):
    samples = stereo()
    audio.write(tmp_path / name, samples, RATE, subtype=subtype)
    found = audio.read(tmp_path / name)
    assert (found.sample_rate, found.subtype) == (RATE, found_subtype)
    assert found.samples.shape == samples.shape
    assert relative_error(samples[:, 800:-800], found.samples[:, 800:-800]) < 0.1


@pytest.mark.parametrize(("subtype", "dtype"), [("PCM_16", "int16"), ("PCM_24", "int32")])
def test_rewriting_keeps_every_integer(tmp_path, subtype, dtype):
    integers = np.arange(-(2**15), 2**15, dtype=np.int16)
    soundfile.write(tmp_path / "a.wav", integers, RATE, subtype=subtype)
    audio.write(tmp_path / "b.wav", audio.read(tmp_path / "a.wav").samples, RATE, subtype=subtype)
    first, second = (soundfile.read(tmp_path / name, dtype=dtype)[0] for name in ("a.wav", "b.wav"))
    assert np.array_equal(first, second)


def test_a_minute_of_vorbis(tmp_path):
    """One write of a minute overruns the stack inside libsndfile."""
    audio.write(tmp_path / "a.ogg", np.zeros((1, 60 * 48000), np.float32), 48000)
    assert soundfile.info(tmp_path / "a.ogg").frames == 60 * 48000


def test_integers_clip_and_floats_do_not(tmp_path):
    loud = 4 * sine(440, RATE)[None]
    audio.write(tmp_path / "a.wav", loud, RATE)
    audio.write(tmp_path / "b.wav", loud, RATE, subtype="FLOAT")
    clipped, kept = audio.read(tmp_path / "a.wav").samples, audio.read(tmp_path / "b.wav").samples
    np.testing.assert_allclose(clipped, np.clip(loud, -1, 1), atol=2**-15)
    assert np.array_equal(kept, loud)


def test_one_dimension_is_one_channel(tmp_path):
    audio.write(tmp_path / "a.wav", sine(440, RATE), RATE)
    assert audio.read(tmp_path / "a.wav").samples.shape == (1, RATE // 2)


def test_data_shorter_than_promised_gives_what_is_there(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, noise((1000,)), RATE)
    whole = audio.read(path).samples
    path.write_bytes(path.read_bytes()[:-1000])
    assert np.array_equal(audio.read(path).samples, whole[:, :500])


def text(path: Path) -> None:
    path.write_text("not audio\n" * 50)


def truncated_header(path: Path) -> None:
    soundfile.write(path, noise((1000,)), RATE)
    path.write_bytes(path.read_bytes()[:20])


def truncated_flac(path: Path) -> None:
    soundfile.write(path, noise((9000,)), RATE, format="FLAC")
    path.write_bytes(path.read_bytes()[:9000])


def boundless_flac(path: Path) -> None:
    """A FLAC header that promises 2^36 samples."""
    soundfile.write(path, noise((1000,)), RATE, format="FLAC")
    data = bytearray(path.read_bytes())
    data[21] |= 0x0F
    data[22:26] = b"\xff" * 4
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("a.wav", lambda path: None, "No such file: {}. Check the path."),
        ("n" * 300 + ".wav", lambda path: None, "No such file: {}. Check the path."),
        ("a.wav", Path.mkdir, "{} is a folder; name an audio file."),
        ("a.wav", text, "Cannot read {} as audio (Format not recognised); give an intact audio file."),
        ("a.wav", Path.touch, "Cannot read {} as audio (Format not recognised); give an intact audio file."),
        ("a.wav", truncated_header, "Cannot read {} as audio (Error in WAV"),
        ("a.flac", truncated_flac, "Cannot read {} as audio ("),
        ("a.flac", boundless_flac, "Cannot read {} as audio ("),
        ("a.raw", text, "Cannot read {} as audio (samplerate must be specified)"),
        (
            "a.wav",
            lambda path: soundfile.write(path, np.zeros(0), RATE),
            "{} has no samples; give a file that is not empty.",
        ),
        (
            "a.wav",
            lambda path: soundfile.write(path, [0.0, np.nan], RATE, "FLOAT"),
            "{} has NaN or infinite samples; repair the file or leave it out.",
        ),
        (
            "a.wav",
            lambda path: soundfile.write(path, [0.0, np.inf], RATE, "FLOAT"),
            "{} has NaN or infinite samples; repair the file or leave it out.",
        ),
    ],
)
def test_read_refuses(tmp_path, name, make, message):
    path = tmp_path / name
    make(path)
    with pytest.raises(InputError) as caught:
        audio.read(path)
    assert str(caught.value).startswith(message.format(path))


# Atomic writing


@pytest.mark.parametrize(
    ("name", "rate", "message"),
    [
        ("a.xyz", RATE, "Cannot write {}; use one of the suffixes .wav .flac"),
        ("a", RATE, "Cannot write {}; use one of the suffixes .wav .flac"),
        ("folder.wav", RATE, "{} is a folder; name a file to write."),
        ("old.wav", RATE, "{} exists; pass --force to overwrite it."),
        ("old.wav/a.wav", RATE, "Cannot write {} (File exists); choose another folder"),
        ("old.wav/b/a.wav", RATE, "Cannot write {} (Not a directory); choose another folder"),
        ("n" * 300 + ".wav", RATE, "Cannot write {} (File name too long); choose another folder"),
        ("a.opus", 44100, "Cannot write {} (Error : Opus only supports sample rates of"),
        ("a.mp3", 96000, "Cannot write {} (Error : MPEG"),
    ],
)
def test_write_refuses_and_leaves_the_folder_as_it_was(tmp_path, name, rate, message):
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "old.wav").write_text("old")
    with pytest.raises(InputError) as caught:
        audio.write(tmp_path / name, stereo(), rate)
    assert str(caught.value).startswith(message.format(tmp_path / name))
    assert sorted(os.listdir(tmp_path)) == ["folder.wav", "old.wav"]
    assert (tmp_path / "old.wav").read_text() == "old"


def test_write_refuses_nan(tmp_path):
    with pytest.raises(InputError, match="Cannot write NaN or infinite samples to .*a.wav; check"):
        audio.write(tmp_path / "a.wav", np.full((1, 10), np.nan, np.float32), RATE)
    assert not os.listdir(tmp_path)


def test_force_does_not_override_write_protection(tmp_path, monkeypatch):
    path = tmp_path / "a.wav"
    path.write_text("old")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write to anything
    with pytest.raises(InputError, match="a.wav is write-protected; choose"):
        audio.write(path, stereo(), RATE, force=True)
    assert path.read_text() == "old"


def test_force_overwrites_and_folders_are_made(tmp_path):
    path = tmp_path / "deep" / "er" / "a.wav"
    audio.write(path, stereo(), RATE)
    audio.write(path, stereo()[:1], RATE, force=True)
    assert audio.read(path).samples.shape == (1, RATE // 2)
    assert os.listdir(path.parent) == ["a.wav"]


def test_others_may_read_what_the_umask_lets_them(tmp_path):
    (tmp_path / "plain").touch()
    audio.write(tmp_path / "a.wav", stereo(), RATE)
    assert (tmp_path / "a.wav").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize(
    ("failure", "raised"),
    [
        (OSError(28, "No space left on device"), InputError),
        (AssertionError(), InputError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (RuntimeError("a bug"), RuntimeError),
    ],
)
@pytest.mark.parametrize("old", [True, False])
def test_failure_midway_leaves_nothing(tmp_path, monkeypatch, failure, raised, old):
    path = tmp_path / "a.wav"
    if old:
        path.write_text("old")
    real, calls = soundfile.SoundFile.write, []

    def fail_at_second(self, data):
        calls.append(os.listdir(tmp_path))
        if len(calls) == 2:
            raise failure
        real(self, data)

    monkeypatch.setattr(soundfile.SoundFile, "write", fail_at_second)
    with pytest.raises(raised):
        audio.write(path, stereo(), RATE, force=True)
    assert len(calls[1]) == 1 + old  # it was being written beside the target
    assert os.listdir(tmp_path) == ["a.wav"] * old
    assert not old or path.read_text() == "old"


# Resampling


@pytest.mark.parametrize(
    ("source", "target"), [(48000, 16000), (16000, 48000), (44100, 16000), (8000, 11025)]
)
def test_resample_gives_the_sine_of_the_other_rate(source, target):
    found = audio.resample(sine(1000, source), source, target)
    expected = sine(1000, target)
    assert found.shape == expected.shape and found.dtype == np.float32
    assert relative_error(expected[500:-500], found[500:-500]) < 1e-3


def test_resample_agrees_with_scipy_in_the_pass_band():
    low = resample_poly(noise((2, 4000)), 4, 1, axis=1).astype(np.float32)  # noise below 2 of 8 kHz
    found, expected = audio.resample(low, 16000, 8000), resample_poly(low, 1, 2, axis=1)
    assert relative_error(expected[:, 200:-200], found[:, 200:-200]) < 0.01


def test_resample_removes_what_the_lower_rate_cannot_hold():
    assert np.abs(audio.resample(sine(6000, 16000), 16000, 8000)[100:-100]).max() < 1e-3


@pytest.mark.parametrize("count", [1, 3, 1001])
@pytest.mark.parametrize(
    ("source", "target"), [(192000, 1000), (1000, 192000), (44100, 16000), (16000, 16001)]
)
def test_resampled_length(count, source, target):
    expected = round(count * target / source)
    assert audio.resample(np.ones(count, np.float32), source, target).shape == (expected,)
    assert audio.resample(np.ones((2, count), np.float32), source, target).shape == (2, expected)


def test_resample_treats_channels_alone():
    both = audio.resample(stereo(), RATE, 8000)
    assert np.array_equal(both, np.stack([audio.resample(channel, RATE, 8000) for channel in stereo()]))


def test_resample_to_the_same_rate_is_the_identity():
    samples = stereo()
    assert audio.resample(samples, RATE, RATE) is samples


def test_resample_refuses_a_rate_that_is_none():
    with pytest.raises(UsageError, match="Cannot resample from 16000 to 0 Hz; give positive rates."):
        audio.resample(stereo(), RATE, 0)


def test_mono_is_the_mean():
    found = audio.mono(np.array([[1.0, 0.0], [0.0, -1.0]], np.float32))
    assert found.tolist() == [0.5, -0.5] and found.dtype == np.float32


# Piece by piece


def test_pieces_are_the_recording(tmp_path, monkeypatch):
    monkeypatch.setattr(audio.files, "CHUNK", 2000)
    samples = np.random.default_rng(0).uniform(-1, 1, (2, 4321)).astype(np.float32)
    audio.write(tmp_path / "a.wav", samples, 8000, subtype="FLOAT")
    file = audio.open_file(tmp_path / "a.wav")
    assert (file.sample_rate, file.channels, file.subtype) == (8000, 2, "FLOAT")
    for _ in range(2):  # as often as one likes
        pieces = list(file.chunks())
        assert [p.shape for p in pieces] == [(2, 1000)] * 4 + [(2, 321)]
        np.testing.assert_array_equal(np.concatenate(pieces, axis=1), samples)


def test_a_recording_is_written_piece_by_piece(tmp_path):
    samples = np.random.default_rng(0).uniform(-1, 1, (2, 999)).astype(np.float32)
    pieces = (samples[:, start : start + 100] for start in range(0, 999, 100))
    audio.write(tmp_path / "a.wav", pieces, 8000, channels=2, subtype="FLOAT")
    np.testing.assert_array_equal(audio.read(tmp_path / "a.wav").samples, samples)


def test_pieces_that_fail_in_the_middle_leave_no_file(tmp_path):
    def pieces():
        yield np.zeros((1, 100), np.float32)
        raise InputError("the source broke off")

    with pytest.raises(InputError, match="broke off"):
        audio.write(tmp_path / "a.wav", pieces(), 8000, channels=1)
    assert list(tmp_path.iterdir()) == []


def test_raw_samples_have_the_rate_that_is_said(tmp_path):
    ints = np.array([0, 1, -1, 32767, -32768, 256], "<i2")
    (tmp_path / "a.raw").write_bytes(ints.tobytes())
    file = audio.open_file(tmp_path / "a.raw", 8000)
    assert (file.sample_rate, file.channels) == (8000, 1)
    np.testing.assert_array_equal(np.concatenate(list(file.chunks()), axis=1)[0], ints / np.float32(32768))


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000])
def test_resampling_in_pieces_is_resampling_at_once(rate):
    samples = np.random.default_rng(0).standard_normal((2, 30011)).astype(np.float32)
    pieces = (samples[:, start : start + 777] for start in range(0, 30011, 777))
    found = np.concatenate(list(audio.resample_chunks(pieces, rate, 16000)), axis=1)
    expected = audio.resample(samples, rate, 16000)
    assert abs(found.shape[1] - expected.shape[1]) <= 1
    count = min(found.shape[1], expected.shape[1])
    np.testing.assert_allclose(found[:, :count], expected[:, :count], atol=1e-4)
