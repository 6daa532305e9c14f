"""TextGrids written by Praat itself become the alignment that they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import parselmouth
import pytest
import soundfile
from parselmouth.praat import call

from speechjem import phones
from speechjem.data.kaldi import read_ctm
from speechjem.data.textgrid import import_alignment
from speechjem.errors import InputError

MARKS = [(0.0, 0.2, ""), (0.2, 0.5, "AA1"), (0.5, 0.8, "s"), (0.8, 1.0, "sp")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data directory of two utterances of 1 s."""
    (tmp_path / "wav.scp").write_text("u1 a.wav\nu2 a.wav\n")
    (tmp_path / "utt2spk").write_text("u1 anna\nu2 bert\n")
    soundfile.write(tmp_path / "a.wav", np.zeros(16000), 16000)
    return tmp_path


def write(path: Path, marks=MARKS, tiers: str = "words phones", short: bool = False) -> None:
    """By Praat, with the marks in the last tier."""
    path.parent.mkdir(parents=True, exist_ok=True)
    grid = call(parselmouth.Sound(np.zeros(16000), 16000), "To TextGrid", tiers, "")
    tier = len(tiers.split())
    for number, (start, _, label) in enumerate(marks, 1):
        if start > 0:
            call(grid, "Insert boundary", tier, start)
        call(grid, "Set interval text", tier, number, label)
    call(grid, "Save as short text file" if short else "Save as text file", str(path))


@pytest.mark.parametrize("short", [False, True])
def test_phones_and_times_are_those_of_the_textgrid(folder, short):
    write(folder / "mfa" / "anna" / "u1.TextGrid", short=short)
    assert import_alignment(folder, folder / "mfa") == ["u2"]
    alignment = read_ctm(folder / "ali.ctm")["u1"]
    np.testing.assert_allclose(alignment.starts, [start for start, _, _ in MARKS], atol=1e-3)
    np.testing.assert_allclose(alignment.ends, [end for _, end, _ in MARKS], atol=1e-3)
    assert [phones.PHONES[label] for label in alignment.labels] == ["SIL", "AA", "S", "SIL"]


def test_a_tier_may_have_another_name(folder):
    write(folder / "u1.TextGrid", tiers="words segments")
    import_alignment(folder, folder, "segments")
    assert len(read_ctm(folder / "ali.ctm")["u1"].labels) == 4


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ({"tiers": "words"}, "has no interval tier 'phones'; it has: words"),
        ({"marks": [(0.0, 1.0, "QQ")]}, "u1.TextGrid, tier phones, 0.00 s: There is no phone 'QQ'"),
        (b"not a TextGrid", "cannot be read as a TextGrid"),
        (b"\xff\xfe\x00", "cannot be read as a TextGrid"),
        (b"", "cannot be read as a TextGrid"),
    ],
)
def test_what_cannot_be_read_is_named_and_leaves_no_file(folder, content, part):
    if isinstance(content, bytes):
        (folder / "u1.TextGrid").write_bytes(content)
    else:
        write(folder / "u1.TextGrid", **content)
    with pytest.raises(InputError) as caught:
        import_alignment(folder, folder)
    assert part in str(caught.value)
    assert not (folder / "ali.ctm").exists()


def test_textgrids_of_other_utterances_are_none(folder):
    write(folder / "u9.TextGrid")
    with pytest.raises(InputError, match="no TextGrid that is called like an utterance"):
        import_alignment(folder, folder)


def test_the_suffix_may_be_in_any_case(folder):
    write(folder / "mfa" / "u1.textgrid")
    write(folder / "mfa" / "u2.TEXTGRID")
    assert import_alignment(folder, folder / "mfa") == []


def test_two_of_one_name_are_refused(folder):
    for name in ("anna", "bert"):
        write(folder / "mfa" / name / "u1.TextGrid")
    with pytest.raises(InputError, match=r"anna/u1.TextGrid and .*bert/u1.TextGrid are of one utterance"):
        import_alignment(folder, folder / "mfa")


def test_a_phone_after_the_end_of_the_recording_is_refused(folder):
    soundfile.write(folder / "a.wav", np.zeros(14400), 16000)  # 0.9 s
    write(folder / "u1.TextGrid")
    with pytest.raises(
        InputError, match=r"u1.TextGrid, tier phones, 0.80 s: SIL .* the recording lasts 0.90 s"
    ):
        import_alignment(folder, folder)
    assert not (folder / "ali.ctm").exists()


def test_a_map_says_what_phones_of_another_set_are(folder):
    write(folder / "u1.TextGrid", marks=[(0.0, 0.5, "Q1"), (0.5, 1.0, "6")])
    (folder / "map").write_text("Q1 aa\n6 ER\n")
    import_alignment(folder, folder, phone_map=folder / "map")
    labels = read_ctm(folder / "ali.ctm")["u1"].labels
    assert [phones.PHONES[label] for label in labels] == ["AA", "ER"]


def test_recordings_may_be_commands(folder):
    (folder / "wav.scp").write_text("u1 cat a.wav |\nu2 b.wav\n")
    write(folder / "u1.TextGrid")
    assert import_alignment(folder, folder) == ["u2"]
