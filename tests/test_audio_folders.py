"""Which recordings a folder has, and what in it is named because it cannot be used."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechjem import audio
from speechjem.audio import formats
from speechjem.errors import InputError

RATE = 16000


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def listing(folder: Path, without: tuple[Path, ...] = ()) -> tuple[list[str], dict[str, str]]:
    """Names of what is found below a folder, and the reasons for what is not."""
    refused: dict[str, str] = {}

    def refuse(path: Path, error: InputError) -> None:
        refused[path.relative_to(folder).as_posix()] = str(error)

    found = audio.find([folder], refuse, without)
    return [source.relative.as_posix() for source in found], refused


def test_find_walks_sorts_and_keeps_the_tree(tmp_path):
    for name in ("b.wav", "a.FLAC", "sub/c.mp3", ".hidden.wav", ".git/d.wav", "notes.txt", "sub/._c.mp3"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.wav").mkdir()
    found = audio.find([tmp_path])
    assert [str(source.relative) for source in found] == ["a.FLAC", "b.wav", os.path.join("sub", "c.mp3")]
    assert all(source.path == tmp_path / source.relative for source in found)


def test_find_takes_files_as_they_are(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "speech.dat").touch()
    inputs = [tmp_path / "x" / "speech.dat", tmp_path / "missing.wav"]
    assert audio.find(inputs) == [
        audio.Source(inputs[0], Path("speech.dat")),
        audio.Source(inputs[1], Path("missing.wav")),
    ]


def test_find_refuses_a_folder_without_audio(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError) as caught:
        audio.find([tmp_path])
    assert str(caught.value).startswith(f"No audio files in {tmp_path}; give a folder")


@pytest.mark.parametrize("suffix", formats.SUFFIXES)
def test_what_is_written_is_found_and_read(tmp_path, suffix):
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE, dtype=np.float32)[None]
    audio.write(tmp_path / f"a{suffix}", wave, RATE)
    assert listing(tmp_path) == ([f"a{suffix}"], {})
    found = audio.read(tmp_path / f"a{suffix}").samples
    assert found.shape == wave.shape
    assert np.linalg.norm(found - wave) < 0.1 * np.linalg.norm(wave)  # of codecs


def test_what_soundfile_writes_under_other_names_is_read(tmp_path):
    for name, kind in (
        ("a.aifc", "AIFF"),
        ("a.oga", "OGG"),
        ("a.snd", "AU"),
        ("a.sph", "NIST"),
        ("a.voc", "VOC"),
    ):
        soundfile.write(tmp_path / name, np.zeros(RATE), RATE, format=kind)
        assert audio.read(tmp_path / name).samples.shape == (1, RATE)


def test_recordings_that_another_tool_reads_are_named_with_what_to_do(tmp_path):
    touch(tmp_path, "a.wav", "talk one.M4A", "film.mp4", "tape.raw", "notes.txt", "cover.jpg", ".hidden.m4a")
    found, refused = listing(tmp_path)
    assert (found, set(refused)) == (["a.wav"], {"talk one.M4A", "film.mp4", "tape.raw"})
    source, target = tmp_path / "talk one.M4A", tmp_path / "talk one.wav"
    assert f"ffmpeg -i '{source}' '{target}'" in refused["talk one.M4A"]
    assert "ffmpeg -f s16le -ar 16000 -ac 1 -i" in refused["tape.raw"]
    with pytest.raises(InputError, match="ffmpeg -i"):
        audio.read(source)


def test_what_was_converted_is_not_asked_for_again(tmp_path):
    touch(tmp_path, "a.m4a", "a.wav", "sub/a.m4a")
    assert listing(tmp_path)[0] == ["a.wav"]
    assert set(listing(tmp_path)[1]) == {"sub/a.m4a"}


def test_links_are_followed_or_named(tmp_path):
    touch(tmp_path, "in/a.wav", "elsewhere/b.wav", "in/sub/c.wav")
    for name, target in (
        ("disk", "../elsewhere"), ("again", "../elsewhere"), ("loop", "."), ("newest", "sub"),
        ("gone", "nowhere"), ("gone.wav", "nowhere.wav"), ("gone.txt", "nowhere.txt"), ("d.wav", "a.wav"),
    ):  # fmt: skip
        os.symlink(target, tmp_path / "in" / name)
    found, refused = listing(tmp_path / "in")
    assert found == ["a.wav", "again/b.wav", "d.wav", "sub/c.wav"]
    assert set(refused) == {"gone", "gone.wav"}
    with pytest.raises(InputError, match="gone.wav is a link to nowhere.wav, which is not there."):
        audio.read(tmp_path / "in" / "gone.wav")


def test_folders_can_be_passed_over(tmp_path):
    touch(tmp_path, "a.wav", "out/a.wav", "out/b.m4a", "sub/out/c.wav")
    assert listing(tmp_path, (tmp_path / "out",)) == (["a.wav", "sub/out/c.wav"], {})
    assert listing(tmp_path / "out", (tmp_path / "out",))[0] == ["a.wav"]


def test_nothing_is_passed_over_silently_without_a_listener(tmp_path, caplog):
    touch(tmp_path, "a.wav", "b.m4a", "films/c.mkv")
    with caplog.at_level(logging.WARNING):
        assert len(audio.find([tmp_path])) == 1
    assert ["b.m4a" in caplog.messages[0], "c.mkv" in caplog.messages[1]] == [True, True]
    with pytest.raises(InputError, match="c.mkv"):
        audio.find([tmp_path / "films"])
