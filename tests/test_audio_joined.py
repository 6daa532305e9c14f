"""Files that libsndfile by itself reads only in part: their lengths are known from how they were made."""

from __future__ import annotations

import contextlib
import io
import re
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechjem import audio
from speechjem.audio import mpeg
from speechjem.errors import InputError

RATE = 16000
KINDS = [
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", None),
    ("FLAC", None),
    ("WAV", None),
    ("AIFF", None),
    ("AU", None),
    ("CAF", None),
    ("W64", None),
]


def tone(frequency: float, seconds: float, channels: int = 1, rate: int = RATE) -> np.ndarray:
    wave = 0.3 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)
    return np.tile(wave[:, None], (1, channels))


def encoded(samples: np.ndarray, kind: str, subtype: str | None = None, rate: int = RATE, **options) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=kind, subtype=subtype, **options)
    return buffer.getvalue()


def frequency(samples: np.ndarray) -> float:
    """Of the strongest component, in Hz."""
    return float(np.abs(np.fft.rfft(samples)).argmax() * RATE / len(samples))


@pytest.fixture
def read(tmp_path):
    """What is read of a file with these bytes; the length promised is that."""

    def reader(data: bytes) -> np.ndarray:
        (tmp_path / "a.bin").write_bytes(data)
        samples = audio.read(tmp_path / "a.bin").samples
        assert audio.open_file(tmp_path / "a.bin").frames == samples.shape[1]
        return samples

    return reader


@pytest.mark.parametrize(("kind", "subtype"), KINDS)
def test_joined_files_are_read_to_the_end(read, kind, subtype):
    first, second = tone(300, 2.0), tone(600, 3.1)
    found = read(encoded(first, kind, subtype) + encoded(second, kind, subtype))[0]
    assert len(found) == len(first) + len(second)
    assert frequency(found[: len(first)]) == pytest.approx(300, abs=1)
    assert frequency(found[len(first) :]) == pytest.approx(600, abs=1)


@pytest.mark.parametrize(("kind", "subtype"), KINDS)
def test_a_file_by_itself_is_what_libsndfile_reads(read, kind, subtype):
    data = encoded(tone(300, 1.0, 2), kind, subtype)
    expected = soundfile.read(io.BytesIO(data), dtype="float32")[0].T
    np.testing.assert_allclose(read(data), expected, rtol=0, atol=1e-7)


def test_a_change_in_the_middle_is_refused_with_its_second(tmp_path):
    (tmp_path / "a.ogg").write_bytes(encoded(tone(300, 2.0), "OGG") + encoded(tone(300, 1.0, 2), "OGG"))
    with pytest.raises(InputError, match=r"2 channels at 16000 Hz after 2\.0 s of 1 at 16000 Hz; cut it"):
        audio.read(tmp_path / "a.ogg")


def variable_mp3() -> bytes:
    """Half noise and half silence, which takes few bits; without the frame that says how many there are."""
    noise = 0.3 * np.random.default_rng(0).standard_normal(20 * RATE)
    silence = np.zeros(20 * RATE)
    data = encoded(np.r_[noise, silence], "MP3", bitrate_mode="VARIABLE", compression_level=0.5)
    first = mpeg.frame(data[:4])
    assert b"Xing" in data[: first.length]
    return data[first.length :]


def test_mp3_of_variable_bit_rate_that_does_not_say_how_long_it_is(read):
    data = variable_mp3()
    assert soundfile.info(io.BytesIO(data)).frames < 30 * RATE  # what libsndfile would read
    for copies in (1, 2):
        assert read(copies * data).shape[1] == pytest.approx(copies * 40 * RATE, abs=copies * 2000)


def test_mp3_that_goes_on_after_the_frames_that_it_promises(read):
    """Joined, the second without a header: the first one's promise is then wrong."""
    data, more = encoded(tone(300, 2.0), "MP3"), encoded(tone(300, 3.0), "MP3")
    more = more[mpeg.frame(more[:4]).length :]
    assert read(data + more).shape[1] == pytest.approx(5 * RATE, abs=2000)


def test_tags_and_rubbish_between_mp3s(read):
    data = encoded(tone(300, 2.0), "MP3")
    picture = np.random.default_rng(0).bytes(5000)
    id3 = b"ID3\x03\0\0" + bytes([0, 0, len(picture) >> 7, len(picture) & 0x7F]) + picture
    tag = b"TAG".ljust(128, b"\0")
    assert read(id3 + data + tag + id3 + data + picture + data + tag).shape[1] == 6 * RATE


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8000, 11025, 22050, 24000, 32000, 44100, 48000])
def test_frames_of_all_versions_are_counted(rate, channels):
    """Against LAME, which says how many it wrote."""
    data = encoded(tone(300, 1.0, channels, rate), "MP3", rate=rate)
    (run,) = mpeg.runs(io.BytesIO(data), 0, len(data))
    assert run.promised == len(run.places) - 2  # but for the first; the last place is the end
    assert (run.kind, run.places[-1]) == ((rate, 3, channels), len(data))


def with_size(data: bytes, place: int, kind: str, size: int) -> bytes:
    return data[:place] + struct.pack(kind, size) + data[place + struct.calcsize(kind) :]


@pytest.mark.parametrize(
    ("kind", "places", "size"),
    [
        ("WAV", {40: "<I"}, 0),
        ("WAV", {4: "<I", 40: "<I"}, 0),
        ("WAV", {4: "<I", 40: "<I"}, 2**32 - 1),
        ("AU", {8: "<I"}, 0),
        ("AU", {8: "<I"}, 2**32 - 1),
        ("CAF", {re.compile(b"data"): ">Q"}, 2**64 - 1),
    ],
)
def test_a_header_without_the_length(read, kind, places, size):
    """What programs leave there that write into a pipe."""
    data = encoded(tone(300, 1.0), kind)
    expected = read(data)
    for place, number in places.items():
        start = place if isinstance(place, int) else place.search(data).end()
        data = with_size(data, start, number, size)
    np.testing.assert_array_equal(read(data), expected)


def test_flac_without_the_length(read):
    data = bytearray(encoded(tone(300, 2.0), "FLAC"))
    data[21] &= 0xF0  # 36 bits
    data[22:26] = bytes(4)
    np.testing.assert_array_equal(read(bytes(data)), read(encoded(tone(300, 2.0), "FLAC")))


def test_a_wav_that_goes_on_after_its_header_ends_is_refused(tmp_path):
    """A recorder that was interrupted wrote the size some time ago."""
    data = encoded(np.random.default_rng(0).uniform(-1, 1, 10 * RATE), "WAV")
    (tmp_path / "a.wav").write_bytes(with_size(data, 40, "<I", 3 * 2 * RATE))
    with pytest.raises(InputError, match=r"ends at 3\.0 s, and 7\.0 s of samples may follow; repair it"):
        audio.open_file(tmp_path / "a.wav")


@pytest.mark.parametrize(
    "rest", [bytes(100000), b"TAG".ljust(128, b"x"), b"junk" + bytes([4, 0, 0, 0]) + b"1234"]
)
def test_what_else_follows_the_samples_of_a_wav_does_no_harm(read, rest):
    data = encoded(tone(300, 1.0), "WAV")
    np.testing.assert_array_equal(read(data + rest), read(data))


@pytest.mark.parametrize("rest", [b"", b"LIST\4\0\0\0INFO"])
def test_a_wav_that_is_empty_stays_so(tmp_path, rest):
    path = tmp_path / "a.wav"
    path.write_bytes(encoded(np.zeros(0), "WAV") + rest)
    with pytest.raises(InputError, match="has no samples"):
        audio.read(path)


def test_a_wav_whose_size_went_over_four_gigabytes(tmp_path):
    """Its header has the size but for 2^32; the file is sparse."""
    path = tmp_path / "a.wav"
    with path.open("wb") as file:
        file.write(with_size(encoded(np.zeros((1, 2)), "WAV"), 40, "<I", 8000))
        file.truncate(44 + 2**32 + 8000)
    assert audio.open_file(path).frames == (2**32 + 8000) // 4


def test_damage_is_named_with_its_second(tmp_path):
    path = Path(tmp_path, "a.flac")
    data = bytearray(encoded(np.random.default_rng(0).uniform(-1, 1, 10 * RATE), "FLAC"))
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"Cannot read .* after \d\.\d s\); give an intact"):
        for _ in audio.open_file(path).chunks():
            pass


HOSTILE = {
    "chunks of nothing": b"RIFF\0\0\0\0WAVE" + b"LIST\0\0\0\0" * 100000,
    "chunks beyond the end of the world": b"caff\0\1\0\0" + b"data" + b"\x7f" + b"\xff" * 7,
    "pages that are lost again and again": (b"OggS" + bytes(23) + b"x") * 30000,
    "frames that no other follows": (b"\xff\xfb\x90\0") * 200000,
    "beginnings only": b"fLaC\0\0\0\x22" * 100000,
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=list(HOSTILE))
def test_hostile_files_take_no_time(tmp_path, data):
    path, before = tmp_path / "a.bin", time.process_time()
    path.write_bytes(data)
    with contextlib.suppress(InputError):
        audio.read(path)
    assert time.process_time() - before < 2.0


def test_joined_mp3s_are_read_without_a_word_of_the_decoder(tmp_path, capfd):
    """It warns of a first header that does not have the size of the file."""
    path = tmp_path / "a.mp3"
    path.write_bytes(2 * encoded(tone(300, 2.0), "MP3"))
    assert audio.read(path).samples.shape[1] == 4 * RATE
    assert capfd.readouterr().err == ""
