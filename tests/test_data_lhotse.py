"""Data directories to lhotse's manifests and back, as lhotse itself reads and checks them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import lhotse
import numpy as np
import pytest
import soundfile
from lhotse import AudioSource, CutSet, MonoCut, Recording, RecordingSet, SupervisionSegment, SupervisionSet
from lhotse.supervision import AlignmentItem

import speechjem
from speechjem import phones
from speechjem.data import validation
from speechjem.data.kaldi import read_directory
from speechjem.data.lhotse import MANIFESTS, export_manifests, import_manifests, load, save
from speechjem.errors import InputError

RATE = 8000
TABLES = {
    "wav.scp": "rec1 audio/a b.flac\nrec2 cat 'audio/c.wav' |\n",
    "segments": "u1 rec1 0.25 1.0\nu2 rec1 1.0 2.0\nu3 rec2 0.0 0.5\n",
    "utt2spk": "u1 anna\nu2 bert\nu3 bert\n",
    "spk2utt": "anna u1\nbert u2 u3\n",
    "spk2gender": "anna f\nbert m\n",
    "utt2lang": "u1 en\nu2 en\nu3 de\n",
    "text": "u1 YES SIR\nu2 NO\nu3 JA\n",
    "ali.ctm": "u1 1 0.000 0.250 AA\nu1 1 0.250 0.500 S\nu3 1 0.100 0.200 SIL\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data directory with all tables: a FLAC file of 2 s with two segments, and a pipe of 0.5 s."""
    data = tmp_path / "data"
    (data / "audio").mkdir(parents=True)
    for name, text in TABLES.items():
        (data / name).write_text(text)
    soundfile.write(data / "audio" / "a b.flac", np.arange(2 * RATE, dtype=np.int16), RATE)
    soundfile.write(data / "audio" / "c.wav", np.arange(RATE // 2, dtype=np.int16), RATE)
    return data


def tone(path: Path, seconds: float = 1.0, channels: int = 1) -> Recording:
    path.parent.mkdir(exist_ok=True)
    soundfile.write(path, np.full((round(seconds * RATE), channels), 0.25), RATE)
    return Recording.from_file(path)


def supervision(recording: Recording, **changed: object) -> SupervisionSegment:
    whole = SupervisionSegment(recording.id, recording.id, 0.0, recording.duration, speaker="anna")
    return replace(whole, **changed)


def imported(
    directory: Path, recordings: list[Recording], supervisions: list[SupervisionSegment]
) -> list[str]:
    left_out = import_manifests(
        RecordingSet.from_recordings(recordings), SupervisionSet.from_segments(supervisions), directory
    )
    assert validation.inspect(directory, allow_pipes=True).problems == []
    return left_out


# To lhotse


def test_manifests_are_valid_and_load_the_samples_of_every_utterance(folder, tmp_path):
    save(tmp_path / "manifests", *export_manifests(folder, allow_pipes=True))
    recordings, supervisions = (lhotse.load_manifest(tmp_path / "manifests" / name) for name in MANIFESTS)
    lhotse.qa.validate_recordings_and_supervisions(recordings, supervisions, read_data=True)
    cuts = CutSet.from_manifests(recordings, supervisions).trim_to_supervisions()
    samples = {cut.supervisions[0].id: cut.load_audio() for cut in cuts}
    for utterance in read_directory(folder, allow_pipes=True):
        np.testing.assert_array_equal(samples[utterance.name], utterance.read().samples)


def test_a_channel_goes_there_and_back(folder, tmp_path):
    stereo = np.arange(2 * RATE, dtype=np.int16).reshape(-1, 2)
    soundfile.write(folder / "audio" / "a b.flac", stereo, RATE)
    (folder / "ali.ctm").unlink()
    (folder / "segments").write_text("u1 rec1 0.25 0.5 1\nu2 rec1 0.5 -1 0\nu3 rec2 0 -1\n")
    recordings, supervisions = export_manifests(folder, allow_pipes=True)
    cuts = CutSet.from_manifests(recordings, supervisions).trim_to_supervisions()
    samples = {cut.supervisions[0].id: cut.load_audio() for cut in cuts}
    np.testing.assert_array_equal(samples["u1"] * 32768, stereo[RATE // 4 : RATE // 2, 1][None])
    import_manifests(recordings, supervisions, tmp_path / "back")
    before, after = (read_directory(path, allow_pipes=True) for path in (folder, tmp_path / "back"))
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one.read().samples, other.read().samples)


def test_a_supervision_has_what_the_tables_say_in_times_of_the_recording(folder):
    _, supervisions = export_manifests(folder, allow_pipes=True)
    first, second, third = supervisions
    assert first == SupervisionSegment(
        "u1", "rec1", 0.25, 0.75, 0, "YES SIR", "en", "anna", "f",
        alignment={"phone": [AlignmentItem("AA", 0.25, 0.25), AlignmentItem("S", 0.5, 0.5)]},
    )  # fmt: skip
    assert (second.start, second.end, second.speaker, second.alignment) == (1.0, 2.0, "bert", None)
    assert (third.recording_id, third.text, third.language) == ("rec2", "JA", "de")


def test_a_pipe_is_not_run_unless_allowed(folder):
    with pytest.raises(InputError, match="rec2 is a pipe; pass --allow-pipes"):
        export_manifests(folder)


def test_a_segment_after_its_recording_is_named(folder):
    (folder / "segments").write_text("u1 rec1 0.25 1.0\nu2 rec1 3.0 4.0\nu3 rec1 0.0 0.5\n")
    with pytest.raises(InputError, match="u2 starts at 3 s, but rec1 lasts 2.00 s"):
        export_manifests(folder, allow_pipes=True)


# There and back


def test_a_data_directory_comes_back_as_it_was(folder, tmp_path, monkeypatch):
    save(tmp_path / "manifests", *export_manifests(folder, allow_pipes=True))
    monkeypatch.chdir(tmp_path)
    assert import_manifests(*load(*(Path("manifests") / name for name in MANIFESTS)), Path("again")) == []
    monkeypatch.chdir("/")
    again = tmp_path / "again"
    assert validation.inspect(again, allow_pipes=True).problems == []
    for name in ("utt2spk", "spk2utt", "spk2gender", "utt2lang", "text", "ali.ctm"):
        assert (again / name).read_text() == TABLES[name]
    assert {path.name for path in again.iterdir()} == set(TABLES)
    for before, after in zip(read_directory(folder, True), read_directory(again, True), strict=True):
        assert (before.recording, before.start, before.end) == (after.recording, after.start, after.end)
        np.testing.assert_array_equal(before.read().samples, after.read().samples)


def test_manifests_come_back_as_they_were(tmp_path):
    recordings = [tone(tmp_path / f"r{k}.wav", 1 + k / 3) for k in range(2)]
    spoken = [
        supervision(recordings[0], text="A", language="en", gender="f"),
        supervision(recordings[1], id="u", start=0.125, duration=0.5, text="B", language="en", gender="f"),
    ]
    imported(tmp_path / "data", recordings, spoken)
    back, supervisions = export_manifests(tmp_path / "data")
    assert list(back) == recordings
    assert list(supervisions) == spoken


# From lhotse


def test_whole_recordings_need_no_segments(tmp_path):
    recordings = [tone(tmp_path / f"r{k}.wav", 1 / 3) for k in range(3)]
    assert imported(tmp_path / "data", recordings, [supervision(r) for r in recordings[:2]]) == ["r2"]
    assert {p.name for p in (tmp_path / "data").iterdir()} == {"wav.scp", "utt2spk", "spk2utt"}
    assert [u.name for u in read_directory(tmp_path / "data")] == ["r0", "r1"]


def test_cuts_become_utterances_by_way_of_lhotse(tmp_path):
    recording = tone(tmp_path / "r.wav", 4.0)
    alignment = {"phone": [AlignmentItem("aa1", 2.0, 0.5), AlignmentItem("SPN", 2.5, 0.5)]}
    spoken = supervision(recording, id="u", start=2.0, duration=1.0, alignment=alignment)
    cuts = CutSet.from_cuts(
        [MonoCut("c", 1.5, 2.0, 0, recording=recording, supervisions=[spoken.with_offset(-1.5)])]
    )
    recordings, supervisions, _ = cuts.decompose()
    imported(tmp_path / "data", list(recordings), list(supervisions))
    (utterance,) = read_directory(tmp_path / "data")
    assert (utterance.name, utterance.start, utterance.end) == ("u", 2.0, 3.0)
    assert utterance.alignment.starts.tolist() == [0.0, 0.5]
    assert [phones.PHONES[k] for k in utterance.alignment.labels] == ["AA", "SIL"]


def test_relative_paths_start_in_the_current_folder(tmp_path, monkeypatch):
    tone(tmp_path / "audio" / "r.wav")
    monkeypatch.chdir(tmp_path / "audio")
    recording = Recording.from_file("r.wav")
    imported(Path("../deep/data"), [recording], [supervision(recording)])
    assert (tmp_path / "deep" / "data" / "wav.scp").read_text() == "r ../../audio/r.wav\n"


def test_a_supervision_without_speaker_is_its_own(tmp_path):
    recording = tone(tmp_path / "r.wav")
    imported(tmp_path / "data", [recording], [supervision(recording, speaker=None)])
    assert (tmp_path / "data" / "utt2spk").read_text() == "r r\n"


def test_all_channels_of_a_recording_are_an_utterance(tmp_path):
    recording = tone(tmp_path / "r.wav", channels=2)
    imported(tmp_path / "data", [recording], [supervision(recording, channel=[0, 1])])
    (back,) = export_manifests(tmp_path / "data")[1]
    assert back.channel == [0, 1]


def phone(*items: AlignmentItem) -> dict[str, object]:
    return {"alignment": {"phone": list(items)}}


@pytest.mark.parametrize(
    ("recorded", "spoken", "part"),
    [
        ({}, {"recording_id": "other"}, "Supervision r: there is no recording other."),
        ({}, {"id": "a b"}, "Supervision a b: 'a b' has spaces"),
        ({}, {"speaker": "Anna K"}, "Supervision r: 'Anna K' has spaces"),
        ({}, {"duration": 1.5}, "Supervision r: 0 to 1.5 s is not within its recording, which lasts 1.00 s"),
        ({}, {"duration": 0.0}, "Supervision r: 0 to 0 s is not within"),
        ({}, {"channel": 1}, "Supervision r is of channel [1] of [0]"),
        ({}, phone(AlignmentItem("QQ", 0.5, 0.1)), "Supervision r, phone at 0.5 s: There is no phone 'QQ'"),
        (
            {},
            phone(AlignmentItem("S", 0.5, 1.0)),
            "Supervision r, phone at 0.5 s: S from 0.5 to 1.5 s ends too late",
        ),
        (
            {},
            phone(AlignmentItem("S", 0.0, 0.5), AlignmentItem("T", 0.2, 0.5)),
            "Supervision r, phone at 0.2 s: T starts at 0.2 s, but S before it",
        ),
        (
            {"sources": [AudioSource("url", [0], "http://a/b.wav")]},
            {},
            "Recording r is not one file or command",
        ),
        ({"transforms": [{"name": "Speed", "kwargs": {"factor": 1.1}}]}, {}, "Recording r is not one file"),
    ],
)
def test_what_a_data_directory_cannot_say_is_named_and_nothing_is_written(tmp_path, recorded, spoken, part):
    recording = replace(tone(tmp_path / "r.wav"), **recorded)
    with pytest.raises(InputError) as caught:
        imported(tmp_path / "data", [recording], [supervision(recording, **spoken)])
    assert part in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["r.wav"]


def test_two_of_one_name_and_none_at_all_are_refused(tmp_path):
    recording = tone(tmp_path / "r.wav")
    with pytest.raises(InputError, match="two of the name r"):
        imported(tmp_path / "data", [recording, recording], [supervision(recording)])
    with pytest.raises(InputError, match="There are no supervisions"):
        imported(tmp_path / "data", [recording], [])


def test_a_directory_that_is_there_stays(tmp_path):
    recording = tone(tmp_path / "r.wav")
    (tmp_path / "data").mkdir()
    with pytest.raises(InputError, match="data exists; remove it"):
        imported(tmp_path / "data", [recording], [supervision(recording)])


@pytest.mark.parametrize("content", [b"{", b"not gzip", None])
def test_a_file_that_is_no_manifest_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "x.jsonl.gz").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.jsonl\.gz"):
        load(tmp_path / "x.jsonl.gz", tmp_path / "x.jsonl.gz")


def test_a_manifest_of_another_kind_is_named(folder, tmp_path):
    save(tmp_path, *export_manifests(folder, allow_pipes=True))
    recordings, supervisions = (tmp_path / name for name in MANIFESTS)
    with pytest.raises(InputError, match=r"supervisions.jsonl.gz cannot be read as a RecordingSet"):
        load(supervisions, recordings)


def test_a_folder_that_cannot_be_written_is_named(folder, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file/manifests cannot be written"):
        save(tmp_path / "file" / "manifests", *export_manifests(folder, allow_pipes=True))


# Denoising


def test_lhotse_denoises_a_cut_set(tmp_path):
    recording = Recording.from_file(Path(__file__).parents[1] / "samples" / "noisy.flac")
    spoken = supervision(recording, id="u", start=1.0, duration=1.0)
    cuts = CutSet.from_cuts(
        [MonoCut("c", 0.75, 1.5, 0, recording=recording, supervisions=[spoken.with_offset(-0.75)])]
    )
    denoiser = speechjem.Denoiser()
    (clean,) = cuts.save_audios(tmp_path, augment_fn=denoiser)
    (noisy,) = cuts
    assert clean.supervisions == noisy.supervisions
    expected = denoiser(noisy.load_audio(), noisy.sampling_rate)
    np.testing.assert_allclose(clean.load_audio(), expected, atol=1 / 32768)
    assert np.abs(expected - noisy.load_audio()).max() > 0.01
