"""Titles, time codes and markers are there again after denoising, where the format has a place for them."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile

from speechjem import audio
from speechjem.audio import encoding
from speechjem.denoising.files import FileDenoiser

RATE = 16000
TEXTS = {
    "title": "Täglich",
    "artist": "Ärztin",
    "album": "Album",
    "comment": "a comment",
    "date": "2024",
    "genre": "Speech",
    "tracknumber": "7",
}
BEXT = b"bext" + struct.pack("<I", 602) + b"Interview 7".ljust(602, b"\0")
IXML = b"iXML" + struct.pack("<I", 21) + b"<BWFXML><TAPE/></BWF>" + b"\0"  # of odd length, padded
CUE = b"cue " + struct.pack("<IIII4sIII", 28, 1, 1, 100, b"data", 0, 0, 100)


def wave(seconds: float = 0.5) -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal(int(RATE * seconds))).astype(np.float32)


def tagged(kind: str, subtype: str | None, texts: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", RATE, 1, subtype, format=kind) as file:
        for name, text in texts.items():
            setattr(file, name, text)
        file.write(wave())
    return buffer.getvalue()


def texts_of(path) -> dict[str, str]:
    with soundfile.SoundFile(path) as file:
        return {name: text for name in TEXTS if (text := getattr(file, name))}


def broadcast(odd: bool = False) -> bytes:
    """A WAV with chunks before and after its samples."""
    buffer = io.BytesIO()
    soundfile.write(
        buffer, wave()[: RATE // 4 + odd], RATE, format="WAV", subtype="PCM_U8" if odd else "PCM_16"
    )
    data = buffer.getvalue()
    data = data[:12] + BEXT + data[12:] + b"\0" * (len(data) % 2) + IXML + CUE
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


@pytest.mark.parametrize(
    ("name", "kind", "subtype"),
    [
        ("a.flac", "FLAC", None),
        ("a.ogg", "OGG", "VORBIS"),
        ("a.opus", "OGG", "OPUS"),
        ("a.mp3", "MP3", None),
        ("a.wav", "WAV", None),
        ("a.caf", "CAF", None),
    ],
)
def test_texts_are_kept(tmp_path, name, kind, subtype):
    (tmp_path / name).write_bytes(tagged(kind, subtype, TEXTS))
    (tmp_path / "out").mkdir()
    FileDenoiser(())(tmp_path / name, tmp_path / "out" / name)
    assert texts_of(tmp_path / "out" / name) == TEXTS
    FileDenoiser(())(tmp_path / name, tmp_path / "out" / "other.flac")
    assert texts_of(tmp_path / "out" / "other.flac") == TEXTS


def test_the_title_of_an_id3_tag(tmp_path):
    """As other programs write it: version 2.3, before the first frame."""
    frame = b"TIT2" + struct.pack(">IH", 6, 0) + b"\0Title"
    data = b"ID3\x03\0\0" + bytes([0, 0, 0, len(frame)]) + frame + tagged("MP3", None, {})
    (tmp_path / "a.mp3").write_bytes(data)
    found = audio.read(tmp_path / "a.mp3")
    audio.write(tmp_path / "b.mp3", found.samples, RATE, tags=found.tags)
    assert texts_of(tmp_path / "b.mp3") == {"title": "Title"}


@pytest.mark.parametrize("odd", [False, True])
def test_the_chunks_of_broadcast_wave_are_kept(tmp_path, odd):
    (tmp_path / "a.wav").write_bytes(broadcast(odd))
    FileDenoiser(())(tmp_path / "a.wav", tmp_path / "b.wav")
    found = (tmp_path / "b.wav").read_bytes()
    assert found.endswith(BEXT + IXML + CUE)
    assert struct.unpack("<I", found[4:8])[0] == len(found) - 8
    assert audio.open_file(tmp_path / "b.wav").tags == audio.open_file(tmp_path / "a.wav").tags
    assert soundfile.info(tmp_path / "b.wav").frames == soundfile.info(tmp_path / "a.wav").frames


def test_chunks_in_rf64(tmp_path, monkeypatch):
    monkeypatch.setattr(encoding, "_LARGEST", 1000)
    (tmp_path / "a.wav").write_bytes(broadcast())
    first = audio.read(tmp_path / "a.wav")
    audio.write(tmp_path / "b.wav", first.samples, RATE, tags=first.tags)
    second = audio.read(tmp_path / "b.wav")
    assert (second.format, second.tags.chunks) == ("RF64", BEXT + IXML + CUE)
    np.testing.assert_array_equal(second.samples, first.samples)


@pytest.mark.parametrize("name", ["a.flac", "a.au", "a.w64", "a.voc", "a.aiff"])
def test_formats_without_a_place_are_written_all_the_same(tmp_path, name):
    (tmp_path / "a.wav").write_bytes(broadcast())
    first = audio.read(tmp_path / "a.wav")
    audio.write(tmp_path / name, first.samples, RATE, tags=first.tags)
    np.testing.assert_array_equal(audio.read(tmp_path / name).samples, first.samples)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF, 1 << 21])
def test_chunks_of_impossible_sizes_are_left_out(tmp_path, size):
    (tmp_path / "a.wav").write_bytes(broadcast() + b"bext" + struct.pack("<I", size) + b"x" * 100)
    assert audio.open_file(tmp_path / "a.wav").tags.chunks == BEXT + IXML + CUE
