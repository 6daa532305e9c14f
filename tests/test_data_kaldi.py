"""Data directories: what is read from them, and the sentence with file and line when it cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from speechjem import phones
from speechjem.data.kaldi import Alignment, Utterance, read_ctm, read_directory
from speechjem.errors import InputError

FILES = {"wav.scp": "u1 a.wav\nu2 b.wav\n", "utt2spk": "u1 anna\nu2 bert\n", "ali.ctm": "u1 1 0.5 0.25 AA\n"}
AA, S, SIL = (phones.PHONES.index(name) for name in ("AA", "S", "SIL"))


def write(folder: Path, **changed: str) -> Path:
    """A data directory with some files of other content; wav_scp stands for wav.scp."""
    files = FILES | {name.replace("_", ".", 1): text for name, text in changed.items()}
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def read(folder: Path) -> dict[str, Utterance]:
    return {utterance.name: utterance for utterance in read_directory(folder)}


def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_directory(folder)
    return str(caught.value)


# What is read


def test_a_pipe_is_run_only_when_allowed_and_in_the_directory(tmp_path):
    soundfile.write(tmp_path / "a b.wav", np.arange(100, dtype=np.int16), 8000)
    write(tmp_path, wav_scp="u1 cat 'a b.wav' && touch run |\nu2 false |\n")
    with pytest.raises(InputError, match="wav.scp:1: u1 is a pipe; pass --allow-pipes"):
        read_directory(tmp_path)
    first, second = read_directory(tmp_path, allow_pipes=True)
    assert not (tmp_path / "run").exists()
    recording = first.read()
    assert (tmp_path / "run").exists()
    assert recording.sample_rate == 8000
    np.testing.assert_array_equal(recording.samples[0] * 32768, np.arange(100))
    with pytest.raises(InputError, match="The pipe .*false.* failed"):
        second.read()


def test_a_pipe_that_says_why_is_quoted(tmp_path):
    write(tmp_path, wav_scp="u1 echo 'no such disc' >&2; exit 3 |\n")
    with pytest.raises(InputError, match="failed: no such disc"):
        read_directory(tmp_path, allow_pipes=True)[0].read()


def test_utterances_have_their_speakers_and_the_order_of_wav_scp(tmp_path):
    write(tmp_path, wav_scp="u2 b.wav\nu1 a.wav\n")
    assert [(u.name, u.speaker) for u in read_directory(tmp_path)] == [("u2", "bert"), ("u1", "anna")]


def test_a_relative_path_starts_at_the_data_directory(tmp_path, monkeypatch):
    write(tmp_path, wav_scp="u1 wav/a.wav\n")
    monkeypatch.chdir("/")
    assert read(tmp_path)["u1"].audio == tmp_path / "wav" / "a.wav"


def test_an_absolute_path_stays(tmp_path):
    write(tmp_path, wav_scp="u1 /somewhere/a.wav\n")
    assert read(tmp_path)["u1"].audio == Path("/somewhere/a.wav")


def test_a_path_may_have_a_space(tmp_path):
    write(tmp_path, wav_scp="u1 my recordings/a b.wav\n")
    assert read(tmp_path)["u1"].audio == tmp_path / "my recordings" / "a b.wav"


def test_a_path_may_have_two_spaces_or_one_that_does_not_break(tmp_path):
    write(tmp_path, wav_scp="u1  my  recordings/a\u00a0b\u3000c.wav \r\n")
    assert read(tmp_path)["u1"].audio == tmp_path / "my  recordings" / "a\u00a0b\u3000c.wav"


def test_a_command_is_run_as_it_stands(tmp_path):
    soundfile.write(tmp_path / "a  b.wav", np.arange(100, dtype=np.int16), 8000)
    write(tmp_path, wav_scp="u1 cat 'a  b.wav' |\n")
    (utterance,) = read_directory(tmp_path, allow_pipes=True)
    assert utterance.read().samples.shape == (1, 100)


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    marked = {name.replace(".", "_"): "\ufeff" + text for name, text in FILES.items()}
    utterances = read(write(tmp_path, **marked))
    assert list(utterances) == ["u1", "u2"]
    assert utterances["u1"].alignment.labels.tolist() == [AA]


def test_a_byte_order_mark_inside_a_file_is_refused(tmp_path):
    """As `cat` of two files leaves it."""
    write(tmp_path, wav_scp="\ufeffu1 a.wav\n\ufeffu2 b.wav\n")
    assert refusal(tmp_path).startswith(f"{tmp_path / 'wav.scp'}:2: the line begins with a byte order mark")


def test_a_segment_may_name_its_channel_and_end_with_the_recording(tmp_path):
    samples = np.arange(200, dtype=np.int16).reshape(100, 2)
    soundfile.write(tmp_path / "a.wav", samples, 100)
    segments = "s1 u1 0.25 -1 1\ns2 u1 0.0 0.5 0\ns3 u1 0.5 -1\ns4 u1 0.0 0.5 2\n"
    write(tmp_path, segments=segments, utt2spk="".join(f"s{n} anna\n" for n in (1, 2, 3, 4)))
    utterances = read(tmp_path)
    for name, expected in (("s1", samples[25:, 1:]), ("s2", samples[:50, :1]), ("s3", samples[50:])):
        np.testing.assert_array_equal(np.round(utterances[name].read().samples * 32768), expected.T)
    with pytest.raises(InputError, match="has no channel 2 for s4"):
        utterances["s4"].read()


def test_names_may_be_in_any_script(tmp_path):
    write(tmp_path, wav_scp="höre ö.wav\n", utt2spk="höre 張\n")
    assert read(tmp_path)["höre"].speaker == "張"


def test_an_utterance_that_the_ctm_lacks_has_no_alignment(tmp_path):
    utterances = read(write(tmp_path))
    assert utterances["u2"].alignment is None
    assert utterances["u1"].alignment.labels.tolist() == [AA]


def test_without_a_ctm_nothing_is_aligned(tmp_path):
    (write(tmp_path) / "ali.ctm").unlink()
    assert [utterance.alignment for utterance in read_directory(tmp_path)] == [None, None]


def test_ctm_gives_start_end_and_phone(tmp_path):
    write(tmp_path, ali_ctm="u1 1 0.5 0.25 aa1\nu1 1 0.75 0.5 s\n")
    alignment = read_ctm(tmp_path / "ali.ctm")["u1"]
    assert alignment.starts.tolist() == [0.5, 0.75]
    assert alignment.ends.tolist() == [0.75, 1.25]
    assert alignment.labels.tolist() == [AA, S]


def test_ctm_rows_may_be_in_any_order_with_other_utterances_between(tmp_path):
    write(tmp_path, ali_ctm="u1 1 0.75 0.5 S\nu2 1 0 9 T\nu1 1 0.5 0.25 AA\n")
    alignment = read_ctm(tmp_path / "ali.ctm")["u1"]
    assert alignment.starts.tolist() == [0.5, 0.75]
    assert alignment.labels.tolist() == [AA, S]


def test_ctm_may_have_a_confidence_column(tmp_path):
    write(tmp_path, ali_ctm="u1 1 0.5 0.25 AA 0.98\n")
    assert read_ctm(tmp_path / "ali.ctm")["u1"].labels.tolist() == [AA]


# Labels at a time


@pytest.mark.parametrize(
    ("time", "label"),
    [
        (-1.0, SIL),  # before
        (0.0, SIL),
        (0.4999, SIL),
        (0.5, AA),  # a start belongs to its phone
        (0.7499, AA),
        (0.75, S),  # an end does not
        (1.2499, S),
        (1.25, SIL),
        (1.4999, SIL),  # a gap
        (1.5, AA),
        (2.0, SIL),  # after
        (1e9, SIL),
    ],
)
def test_label_at_a_time(time, label):
    alignment = Alignment(np.array([0.5, 0.75, 1.5]), np.array([0.75, 1.25, 2.0]), np.array([AA, S, AA]))
    assert alignment.at(np.array([time])).tolist() == [label]


def test_a_phone_of_no_duration_is_nowhere(tmp_path):
    write(tmp_path, ali_ctm="u1 1 0.5 0 S\nu1 1 0.5 0.25 AA\nu1 1 0.75 0 S\n")
    labels = read_ctm(tmp_path / "ali.ctm")["u1"].at(np.array([0.4, 0.5, 0.6, 0.75, 0.8]))
    assert labels.tolist() == [SIL, AA, AA, SIL, SIL]


def test_labels_have_the_shape_of_the_times():
    alignment = Alignment(np.array([0.0]), np.array([1.0]), np.array([AA]))
    assert alignment.at(np.zeros((2, 3))).shape == (2, 3)


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 3), st.integers(1, 5), st.integers(1, 39)), min_size=1, max_size=8
    ),
    times=st.lists(st.integers(-5, 70), max_size=20),
)
def test_labels_agree_with_looking_through_all_phones(steps, times):
    segments, now = [], 0
    for gap, length, label in steps:
        segments.append((now + gap, now + gap + length, label))
        now += gap + length
    alignment = Alignment(*map(np.array, zip(*segments, strict=True)))
    expected = [next((label for a, b, label in segments if a <= time < b), SIL) for time in times]
    assert alignment.at(np.array(times)).tolist() == expected


# What is refused


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("ali.ctm", "u1 1 0.5 0.25"),
        ("ali.ctm", "u1"),
        ("ali.ctm", "u1 1 0.5 -0.25 AA"),
        ("ali.ctm", "u1 1 -0.5 0.25 AA"),
        ("ali.ctm", "u1 1 0.5 nan AA"),
        ("ali.ctm", "u1 1 nan 0.25 AA"),
        ("ali.ctm", "u1 1 0.5 inf AA"),
        ("ali.ctm", "u1 1 half 0.25 AA"),
        ("ali.ctm", "u1 1 0.5 0.25 XX"),
        ("wav.scp", "u3"),
        ("wav.scp", "u1 again.wav"),
        ("wav.scp", "u2 sph2pipe -f wav b.sph |"),
        ("wav.scp", "u3 c.wav"),  # without a speaker
        ("utt2spk", "u3"),
        ("utt2spk", "u1 anna"),
    ],
)
def test_a_malformed_line_is_refused_with_its_file_and_number(tmp_path, file, line):
    write(tmp_path)
    first = FILES[file].splitlines()[0]
    (tmp_path / file).write_text(f"{first}\n\n{line}\n")
    assert refusal(tmp_path).startswith(f"{tmp_path / file}:3: ")


def test_an_unknown_phone_is_named(tmp_path):
    write(tmp_path, ali_ctm="u1 1 0.5 0.25 XX\n")
    assert "'XX'" in refusal(tmp_path)


@pytest.mark.parametrize("file", ["wav.scp", "utt2spk"])
def test_a_missing_file_is_named(tmp_path, file):
    (write(tmp_path) / file).unlink()
    assert refusal(tmp_path).startswith(f"No such file: {tmp_path / file}")


@pytest.mark.parametrize("file", list(FILES))
def test_a_file_that_is_not_utf_8_is_refused(tmp_path, file):
    (write(tmp_path) / file).write_bytes("u1 1 0.5 0.25 ä\n".encode("latin-1"))
    assert refusal(tmp_path).startswith(f"{tmp_path / file} cannot be read as text")


def test_a_folder_in_place_of_a_file_is_refused(tmp_path):
    (write(tmp_path) / "wav.scp").unlink()
    (tmp_path / "wav.scp").mkdir()
    assert refusal(tmp_path).startswith(f"{tmp_path / 'wav.scp'} cannot be read as text")


def test_a_pitch_that_was_measured_comes_with_the_utterance(tmp_path):
    np.savez(write(tmp_path) / "pitch.npz", u1=np.array([0.0, 120.5]))
    found = read(tmp_path)
    assert found["u1"].pitch.tolist() == [0, 120.5]
    assert found["u2"].pitch is None


@pytest.mark.parametrize("track", [[[1.0]], [-1.0], [], [float("nan")]])
def test_a_pitch_that_is_none_is_refused(tmp_path, track):
    np.savez(write(tmp_path) / "pitch.npz", u1=np.array(track))
    assert "pitch.npz: u1 has no frequencies" in refusal(tmp_path)


def test_a_file_that_is_no_table_of_pitches_is_refused(tmp_path):
    (write(tmp_path) / "pitch.npz").write_bytes(b"PK\x03\x04 nothing")
    assert "measure the pitch again" in refusal(tmp_path)
