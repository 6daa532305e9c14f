"""Data directories are judged as Kaldi judges them: every fault is named, with file and line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from speechjem.data import validation
from speechjem.data.kaldi import read_directory
from speechjem.errors import InputError

RATE = 16000
FILES = {
    "wav.scp": "u1 a.wav\nu2 b.wav\n",
    "utt2spk": "u1 anna\nu2 bert\n",
    "spk2utt": "anna u1\nbert u2\n",
    "text": "u1 YES\nu2 NO\n",
    "ali.ctm": "u1 1 0.0 0.5 SIL\nu1 1 0.5 0.5 AA\nu2 1 0.0 1.9 S\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory without fault: a.wav lasts 1 s and b.wav 2 s."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    soundfile.write(tmp_path / "a.wav", np.zeros(RATE), RATE)
    soundfile.write(tmp_path / "b.wav", np.zeros(2 * RATE), RATE)
    return tmp_path


def found(folder: Path) -> list[str]:
    """The problems, without the folder's name."""
    return [problem.replace(f"{folder}/", "") for problem in validation.inspect(folder).problems]


def test_a_directory_without_fault_has_no_problems(folder):
    assert found(folder) == []
    report = validation.inspect(folder)
    assert (report.utterances, report.speakers) == (2, 2)
    assert report.hours == pytest.approx(3 / 3600)


def test_a_segment_in_the_second_of_two_joined_files_is_inside(folder):
    soundfile.write(folder / "a.flac", np.zeros(RATE), RATE)
    (folder / "a.flac").write_bytes(2 * (folder / "a.flac").read_bytes())
    (folder / "wav.scp").write_text("u1 a.flac\nu2 b.wav\n")
    assert validation.inspect(folder).hours == pytest.approx(4 / 3600)


def test_only_wav_scp_and_utt2spk_are_needed(folder):
    for name in ("spk2utt", "text", "ali.ctm"):
        (folder / name).unlink()
    assert found(folder) == []
    for name in ("wav.scp", "utt2spk"):
        (folder / name).rename(folder / "away")
        with pytest.raises(InputError, match=name):
            validation.inspect(folder)
        (folder / "away").rename(folder / name)


FAULTS = [
    ("wav.scp", "u2 b.wav\nu1 a.wav\n", ["wav.scp:2: u1 comes after u2"]),
    ("wav.scp", "u1 a.wav\nu2 b.wav\nu2 b.wav\n", ["wav.scp:3: u2 is there twice, first in line 2"]),
    ("wav.scp", "u1 a.wav\nu2 c.wav\n", ["c.wav is missing or is no audio"]),
    ("wav.scp", "u1 a.wav\nu2 text\n", ["text is missing or is no audio"]),
    ("wav.scp", "u1 a.wav\nu2 sox b.wav -t wav - |\n", ["wav.scp:2: u2 is a pipe"]),
    ("wav.scp", "u1 a.wav\nu2 b.wav\nu3 a.wav\n", ["wav.scp:3: u3 is not in utt2spk", "u3 is not in text"]),
    ("utt2spk", "u1\nu2 bert\n", ["utt2spk:1: u1 has no value", "does not give u1 to anna"]),
    ("utt2spk", "u1 anna\nu2 anna\n", ["spk2utt:2: utt2spk does not give u2 to bert"]),
    ("utt2spk", "u1 anna\nu2 bert\nu3 cora\n", ["utt2spk:3: u3 is not in wav.scp", "u3 is not in spk2utt"]),
    ("spk2utt", "anna u1\n", ["utt2spk:2: u2 is not in spk2utt"]),
    ("text", "u1 YES\n", ["wav.scp:2: u2 is not in text"]),
    ("ali.ctm", "u1 1 0.5 0.56 AA\n", ["ali.ctm:1: AA ends at 1.06 s, but u1 lasts 1.00 s"]),
    (
        "ali.ctm",
        "u1 1 0.0 0.5 AA\nu1 1 0.4 0.5 S\n",
        ["ali.ctm:2: S starts before the phone in front of it ends"],
    ),
    ("ali.ctm", "u1 1 0.0 0.5 QQ\n", ["ali.ctm:1:", "QQ"]),
    ("ali.ctm", "u1 1 0.0 -0.5 AA\n", ["ali.ctm:1: expected"]),
    ("ali.ctm", "u1 1 nan 0.5 AA\n", ["ali.ctm:1: expected"]),
    ("ali.ctm", "u1 1 0.5\n", ["ali.ctm:1: expected"]),
    ("ali.ctm", "u9 1 0.0 0.5 AA\n", ["ali.ctm:1: u9 is no utterance"]),
]


@pytest.mark.parametrize(("name", "text", "parts"), FAULTS)
def test_a_fault_is_named_with_file_and_line_and_nothing_else_is(folder, name, text, parts):
    (folder / name).write_text(text)
    problems = found(folder)
    assert all(any(part in problem for problem in problems) for part in parts), problems
    assert len(problems) <= len(parts)


def test_an_allowed_pipe_is_no_problem_and_is_not_run(folder):
    (folder / "wav.scp").write_text("u1 a.wav\nu2 touch run |\n")
    assert validation.inspect(folder, allow_pipes=True).problems == []
    assert not (folder / "run").exists()


SEGMENTS = "s1 rec 0.0 0.7\ns2 rec 0.7 1.0\n"


@pytest.fixture
def segmented(folder: Path) -> Path:
    """One recording of 1 s in two utterances."""
    texts = {
        "wav.scp": "rec a.wav\n",
        "segments": SEGMENTS,
        "utt2spk": "s1 anna\ns2 bert\n",
        "spk2utt": "anna s1\nbert s2\n",
        "text": "s1 YES\ns2 NO\n",
        "ali.ctm": "s1 1 0.0 0.7 AA\ns2 1 0.1 0.2 S\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    return folder


def test_segments_are_utterances(segmented):
    assert found(segmented) == []
    samples = np.arange(RATE, dtype=np.int16)
    soundfile.write(segmented / "a.wav", samples, RATE)
    first, second = read_directory(segmented)
    assert (first.name, first.speaker, second.speaker) == ("s1", "anna", "bert")
    np.testing.assert_array_equal(np.round(first.read().samples[0] * 32768), samples[: round(0.7 * RATE)])
    np.testing.assert_array_equal(np.round(second.read().samples[0] * 32768), samples[round(0.7 * RATE) :])


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("s2 rec 0.7 1.2", "segments:2: it ends at 1.2 s, but rec lasts 1.00 s"),
        ("s2 rec 0.7 0.7", "segments:2: a segment from 0.7 to 0.7 s is reversed or empty"),
        ("s2 rec 0.9 0.7", "segments:2: a segment from 0.9 to 0.7 s is reversed or empty"),
        ("s2 rec -1 0.7", "segments:2: a segment from -1 to 0.7 s is reversed or empty"),
        ("s2 other 0.7 1.0", "segments:2: recording other is not in wav.scp"),
        ("s2 rec 0.7", "segments:2: expected 'utterance recording start end'"),
        ("s2 rec 0.7 end", "segments:2: expected 'utterance recording start end'"),
        ("s2 rec 0.7 inf", "segments:2: a segment from 0.7 to inf s is reversed or empty"),
    ],
)
def test_an_impossible_segment_is_named_and_refused(segmented, line, part):
    (segmented / "segments").write_text(f"s1 rec 0.0 0.7\n{line}\n")
    assert any(part in problem for problem in found(segmented))
    if "ends at" in part:
        return  # which shows only when the recording is opened
    assert validation.inspect(segmented).hours in (pytest.approx(0.7 / 3600), pytest.approx(1 / 3600))
    with pytest.raises(InputError) as caught:
        read_directory(segmented)
    assert part in str(caught.value)


def test_a_segment_after_the_end_of_its_recording_cannot_be_read(segmented):
    (segmented / "segments").write_text("s1 rec 1.5 1.7\n")
    (utterance,) = read_directory(segmented)
    with pytest.raises(InputError, match="no samples for s1"):
        utterance.read()


# Mending


def test_what_is_fixed_is_valid_and_what_was_valid_stays(folder):
    before = {name: (folder / name).read_text() for name in FILES}
    assert validation.fix(folder).left_out == []
    assert {name: (folder / name).read_text() for name in FILES} == before


def test_the_tables_as_they_were_are_kept(folder):
    (folder / "text").write_text("u2 NO\n")
    validation.fix(folder)
    kept = {name: (folder / ".backup" / name).read_text() for name in FILES}
    assert kept == FILES | {"text": "u2 NO\n"}


def test_utterances_that_a_table_lacks_are_left_out_everywhere(folder):
    (folder / "text").write_text("u2 NO\n")
    assert validation.fix(folder).left_out == ["u1"]
    assert found(folder) == []
    assert [utterance.name for utterance in read_directory(folder)] == ["u2"]
    assert (folder / "spk2utt").read_text() == "bert u2\n"
    assert (folder / "ali.ctm").read_text() == "u2 1 0.0 1.9 S\n"


def test_fixing_segments_keeps_the_recordings(segmented):
    (segmented / "segments").write_text("s2 rec 0.7 1.0\ns1 rec 0.0 0.7\ns3 rec 0.0 0.1\n")
    assert validation.fix(segmented).left_out == ["s3"]
    assert (segmented / "segments").read_text() == SEGMENTS
    assert (segmented / "wav.scp").read_text() == "rec a.wav\n"
    assert found(segmented) == []


def test_what_is_left_out_goes_from_the_tables_of_features_speakers_and_recordings_too(segmented):
    """kaldi#4813. utils/fix_data_dir.sh leaves out unused recordings as well."""
    others = {
        "wav.scp": "lost b.wav\nrec a.wav\n",
        "text": "s1 YES\n",
        "utt2dur": "s1 0.7\ns2 0.3\n",
        "utt2num_frames": "s1 70\ns2 30\n",
        "feats.scp": "s1 raw.ark:3\ns2 raw.ark:  44\n",
        "cmvn.scp": "anna cmvn.ark:5\nbert cmvn.ark:9\n",
        "spk2gender": "anna f\nbert m\n",
        "reco2dur": "lost 2.0\nrec 1.0\n",
    }
    for name, text in others.items():
        (segmented / name).write_text(text)
    (segmented / "stm").write_text("s2")
    mended = validation.fix(segmented)
    assert (mended.left_out, mended.unknown) == (["s2"], ["stm"])
    kept = {name: (segmented / name).read_text() for name in others}
    assert kept == {name: text.splitlines(keepends=True)[0] for name, text in others.items()} | {
        "wav.scp": "rec a.wav\n",
        "reco2dur": "rec 1.0\n",
    }
    assert (segmented / ".backup" / "utt2dur").read_text() == others["utt2dur"]
    assert found(segmented) == []


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("utt2dur", "s1 0.7\ns2 0.3\ns9 1.0\n", "utt2dur:3: s9 is no utterance"),
        ("spk2gender", "anna f\ncora f\n", "spk2gender:2: cora is no speaker"),
        ("reco2dur", "gone 1.0\nrec 1.0\n", "reco2dur:1: gone is no recording"),
    ],
)
def test_a_line_of_what_is_in_no_utterance_is_named(segmented, name, text, problem):
    (segmented / name).write_text(text)
    assert found(segmented) == [f"{problem} of this directory."]


def test_a_segment_of_a_recording_that_is_not_there_is_left_out(segmented):
    (segmented / "segments").write_text("s1 rec 0.0 0.7\ns2 gone 0.7 1.0\n")
    assert validation.fix(segmented).left_out == ["s2"]
    assert found(segmented) == []


def test_a_text_keeps_every_sign_that_is_no_blank_of_ascii(folder):
    """Unicode has more ends of lines than Kaldi."""
    texts = "u1 one\u2028two\u0085three  four\u00a0five\x1csix\nu2 seven\feight\vnine\n"
    (folder / "text").write_text(texts, encoding="utf-8", newline="")
    assert found(folder) == []
    assert validation.fix(folder).left_out == []
    assert (folder / "text").read_bytes().decode() == texts


def test_comments_of_a_ctm_are_no_phones(folder):
    (folder / "ali.ctm").write_text(";; made by hand\n" + FILES["ali.ctm"])
    assert found(folder) == []
    assert read_directory(folder)[0].alignment.ends.tolist() == [0.5, 1.0]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("s2 rec 0.7 -1", None),
        ("s2 rec 0.7 -1.0 0", None),
        ("s2 rec 0.7 1.0 0", None),
        ("s2 rec 1.7 -1", "segments:2: it starts at 1.7 s, but rec lasts 1.00 s"),
        ("s2 rec 0.7 1.0 -1", "segments:2: there is no channel -1"),
        ("s2 rec 0.7 1.0 A", "segments:2: expected 'utterance recording start end'"),
        ("s2 rec 0.7 1.0 0 0", "segments:2: expected 'utterance recording start end'"),
        ("s2 rec 0.7 -2", "segments:2: a segment from 0.7 to -2 s is reversed or empty"),
    ],
)
def test_segments_to_the_end_and_of_a_channel_are_as_extract_segments_has_them(segmented, line, problem):
    (segmented / "segments").write_text(f"s1 rec 0.0 0.7\n{line}\n")
    if problem:
        assert any(problem in one for one in found(segmented))
    else:
        assert found(segmented) == []
        assert validation.inspect(segmented).hours == pytest.approx(1 / 3600)


KEYS = st.lists(st.sampled_from(["u1", "u2", "ü", "U1", "v"]), min_size=1, max_size=6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=40)
@given(KEYS, KEYS, KEYS)
def test_any_jumble_of_tables_is_mended(folder, recordings, speakers, texts):
    (folder / "wav.scp").write_text("".join(f"{key} b.wav\n" for key in recordings))
    (folder / "utt2spk").write_text("".join(f"{key} speaker\n" for key in speakers))
    (folder / "text").write_text("".join(f"{key} WORD\n" for key in texts))
    left_out = validation.fix(folder).left_out
    everything = set(recordings) | set(speakers) | set(texts)
    common = set(recordings) & set(speakers) & set(texts)
    assert set(left_out) == everything - common
    assert {utterance.name for utterance in read_directory(folder)} == common
    assert [problem for problem in found(folder) if "ali.ctm" not in problem] == []
