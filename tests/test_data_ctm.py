"""A CTM of another tool becomes the alignment that it is; each line that cannot be is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from speechjem import phones
from speechjem.data import validation
from speechjem.data.ctm import import_alignment
from speechjem.data.kaldi import read_ctm
from speechjem.errors import InputError

SEGMENTS = "s1 rec 0.25 1.0\ns2 rec 1.0 2.5\ns3 rec 3.0 4.0\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data directory of two utterances of 1 s."""
    (tmp_path / "wav.scp").write_text("u1 a.wav\nu2 a.wav\n")
    (tmp_path / "utt2spk").write_text("u1 anna\nu2 bert\n")
    soundfile.write(tmp_path / "a.wav", np.zeros(8000), 8000)
    return tmp_path


@pytest.fixture
def segmented(folder: Path) -> Path:
    """Three utterances in a recording of 4 s, with a gap before the last."""
    (folder / "wav.scp").write_text("rec a.wav\n")
    (folder / "segments").write_text(SEGMENTS)
    (folder / "utt2spk").write_text("s1 anna\ns2 anna\ns3 anna\n")
    soundfile.write(folder / "a.wav", np.zeros(32000), 8000)
    return folder


def taken(folder: Path, ctm: str, **options: str) -> tuple[list[str], list[str]]:
    """Lines of ali.ctm, and what was noticed."""
    (folder / "in.ctm").write_text(ctm)
    notices = import_alignment(folder, folder / "in.ctm", **options)
    assert [p for p in validation.inspect(folder).problems if "ali.ctm" in p] == []
    return (folder / "ali.ctm").read_text().splitlines(), [n.replace(f"{folder}/", "") for n in notices]


def test_phones_are_those_of_the_product_in_the_order_of_utterances_and_time(folder):
    ctm = """;; of another aligner
u2 A 0.00 0.10 sil
u1 1 0.40 0.10 spn 0.9
u1 1 0.10 0.30 AH0_B
u2 A 0.10 0.20 ax-h
u1 1 0.00 0.10 SIL
"""
    assert taken(folder, ctm) == (
        [
            "u1 1 0.000 0.100 SIL",
            "u1 1 0.100 0.300 AH",
            "u1 1 0.400 0.100 SIL",
            "u2 1 0.000 0.100 SIL",
            "u2 1 0.100 0.200 AH",
        ],
        [],
    )


def test_utterances_without_phones_are_named(folder):
    lines, notices = taken(folder, "u2 1 0 1 AA\n")
    assert lines == ["u2 1 0.000 1.000 AA"]
    assert notices == ["u1 has no phones in in.ctm, and stays without an alignment."]


def test_phones_of_a_recording_go_to_its_segments(segmented):
    ctm = "rec 1 0.0 0.5 AA\nrec 1 0.5 0.5 S\nrec 1 1.0 1.0 IY\nrec 1 2.0 1.0 T\nrec 1 3.2 0.3 M\n"
    assert taken(segmented, ctm) == (
        [
            "s1 1 0.000 0.250 AA",
            "s1 1 0.250 0.500 S",
            "s2 1 0.000 1.000 IY",
            "s2 1 1.000 0.500 T",
            "s3 1 0.200 0.300 M",
        ],
        [],
    )


def test_phones_in_no_segment_are_counted_and_silence_is_not(segmented):
    ctm = (
        "rec 1 0.0 0.2 AA\nrec 1 0.3 0.2 S\nrec 1 1 1 SIL\nrec 1 2.5 0.2 AA\nrec 1 2.7 0.1 SIL\nrec 1 3 1 S\n"
    )
    _, notices = taken(segmented, ctm)
    assert notices == ["2 phones of rec lie in no utterance, and are left out."]


def test_times_of_a_segment_are_taken_as_they_are(segmented):
    lines, _ = taken(segmented, "s2 1 0.5 1.0 AA\n")
    assert lines == ["s2 1 0.500 1.000 AA"]


STEPS = st.lists(
    st.tuples(st.integers(0, 20), st.integers(1, 40), st.sampled_from(["AA", "S", "SIL"])),
    min_size=1,
    max_size=30,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=30)
@given(STEPS)
def test_labels_of_segments_are_those_of_the_recording_at_the_same_time(segmented, steps):
    now, lines, labels = 0, [], np.full(400, "SIL", dtype="<U3")
    for gap, length, phone in steps:
        start, now = now + gap, now + gap + length
        if now <= 400:
            lines.append(f"rec 1 {start / 100:.2f} {length / 100:.2f} {phone}\n")
            labels[start:now] = phone
    taken(segmented, "".join(reversed(lines)))
    alignments = read_ctm(segmented / "ali.ctm")
    for row in SEGMENTS.splitlines():
        name, _, start, end = row.split()
        expected = labels[round(float(start) * 100) : round(float(end) * 100)]
        middles = (np.arange(len(expected)) + 0.5) / 100
        got = alignments[name].at(middles) if name in alignments else np.zeros(len(expected), int)
        assert [phones.PHONES[k] for k in got] == expected.tolist()


def test_a_channel_is_the_recording_that_reco2file_and_channel_names(folder):
    (folder / "reco2file_and_channel").write_text("u1 call A\nu2 call B\n")
    lines, _ = taken(folder, "call A 0 0.5 AA\ncall B 0 0.5 S\n")
    assert lines == ["u1 1 0.000 0.500 AA", "u2 1 0.000 0.500 S"]


def test_phones_of_another_set_are_mapped(folder):
    (folder / "phones.map").write_text("a: AA\n12 s\n")
    lines, _ = taken(
        folder, "u1 1 0 0.5 a:\nu1 1 0.5 0.1 12\nu1 1 0.6 0.1 t\n", phone_map=folder / "phones.map"
    )
    assert [line.split()[-1] for line in lines] == ["AA", "S", "T"]


def test_rounding_is_no_overlap(folder):
    lines, _ = taken(folder, "u1 1 0.00 0.11 AA\nu1 1 0.10 0.20 S\n")
    assert lines == ["u1 1 0.000 0.100 AA", "u1 1 0.100 0.200 S"]


@pytest.mark.parametrize(
    ("ctm", "part"),
    [
        (
            "u1 1 0 0.5 AA\nu1 1 0.3 0.5 S\n",
            "in.ctm:2: S starts at 0.3 s, but AA before it (in.ctm:1) ends at 0.5",
        ),
        ("u1 1 0 0.5 AA\nu1 1 0 0.5 AA\n", "in.ctm:2: AA starts at 0 s, but AA before it"),
        ("u1 1 0.5 -0.2 AA\n", "in.ctm:1: AA from 0.5 to 0.3 s is reversed"),
        ("u1 1 -0.5 0.7 AA\n", "in.ctm:1: AA from -0.5 to 0.2 s is reversed, or does not start at 0 s"),
        ("u1 1 nan 0.7 AA\n", "in.ctm:1: AA from nan to nan s is reversed"),
        ("u1 1 0 inf AA\n", "in.ctm:1: AA from 0 to inf s is reversed"),
        ("u1 1 0.5 0.56 AA\n", "in.ctm:1: AA from 0.5 to 1.06 s ends too late; the recording lasts 1.00 s"),
        ("u1 1 0 1 AA\nu9 1 0 1 AA\n", "in.ctm:2: . has neither an utterance nor a recording u9"),
        (";; nothing\n", "in.ctm has no phones"),
        ("u1 1 0 1 QQ\n", "in.ctm:1: There is no phone 'QQ'"),
        ("u1 1 0 1\n", "in.ctm:1: expected 'name channel start duration phone'"),
        ("u1 1 0 x AA\n", "in.ctm:1: expected 'name channel start duration phone'"),
        ("u1 1 0 0.5 AA\nu1 2 0.5 0.5 S\n", "in.ctm:2: u1 has a channel 2 and a channel 1"),
    ],
)
def test_a_line_that_cannot_be_right_is_named_and_nothing_is_written(folder, ctm, part, monkeypatch):
    monkeypatch.chdir(folder)
    Path("in.ctm").write_text(ctm)
    Path("ali.ctm").write_text("as it was")
    with pytest.raises(InputError) as caught:
        import_alignment(Path(), Path("in.ctm"))
    assert part in str(caught.value)
    assert Path("ali.ctm").read_text() == "as it was"


@pytest.mark.parametrize(
    ("name", "text", "part"),
    [
        ("reco2file_and_channel", "u1 a\n", "reco2file_and_channel:1: expected 'recording file channel'"),
        ("phones.map", "a\n", "phones.map:1: expected 'PHONE OURS'"),
        ("phones.map", "a QQ\n", "phones.map:1: There is no phone 'QQ'"),
        ("phones.map", None, "No such file: .*phones.map. Check the path"),
    ],
)
def test_a_bad_table_beside_is_named(folder, name, text, part):
    (folder / "phones.map").write_text("a AA\n")
    (folder / "phones.map").unlink() if text is None else (folder / name).write_text(text)
    with pytest.raises(InputError, match=part):
        taken(folder, "u1 1 0 1 AA\n", phone_map=folder / "phones.map")


def test_a_pipe_is_not_run_and_its_length_not_known(folder):
    (folder / "wav.scp").write_text("u1 touch run |\nu2 a.wav\n")
    (folder / "in.ctm").write_text("u1 1 0 100 AA\n")
    import_alignment(folder, folder / "in.ctm")
    assert not (folder / "run").exists()
    assert read_ctm(folder / "ali.ctm")["u1"].ends.tolist() == [100]


def test_a_segment_to_the_end_of_its_recording_has_its_phones(segmented):
    (segmented / "segments").write_text("s1 rec 0.25 1.0\ns3 rec 3.0 -1\n")
    (segmented / "utt2spk").write_text("s1 anna\ns3 anna\n")
    ctm = segmented / "in.ctm"
    ctm.write_text("s3 1 0.0 1.0 AA\ns1 1 0.0 0.5 S\n")
    assert import_alignment(segmented, ctm) == []
    assert read_ctm(segmented / "ali.ctm")["s3"].ends.tolist() == [1.0]
    ctm.write_text("s3 1 0.0 1.2 AA\n")
    with pytest.raises(InputError, match=r"the recording lasts 1\.00 s"):
        import_alignment(segmented, ctm)
