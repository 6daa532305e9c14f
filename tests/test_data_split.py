"""Parts of a data directory are data directories, and put together they are the whole."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from speechjem.data import validation
from speechjem.data.kaldi import read_directory
from speechjem.data.split import parse_parts, split
from speechjem.errors import InputError, UsageError


def make(folder: Path, sizes: list[int]) -> Path:
    """A data directory without segments: as many speakers as sizes, with so many utterances each."""
    folder.mkdir(parents=True)
    names = [f"s{s:02d}-{n:03d}" for s, size in enumerate(sizes) for n in range(size)]
    soundfile.write(folder / "a.wav", np.arange(1600, dtype=np.int16), 16000)
    tables = {
        "wav.scp": [f"{name} a.wav" for name in names],
        "utt2spk": [f"{name} {name[:3]}" for name in names],
        "spk2gender": [f"s{s:02d} f" for s in range(len(sizes))],
        "text": [f"{name} word of {name}" for name in names],
        "utt2dur": [f"{name} 0.1" for name in names],
        "ali.ctm": [
            f"{name} 1 {t / 20:.2f} 0.05 {phone}" for name in names for t, phone in enumerate(("AA", "S"))
        ],
    }
    for name, rows in tables.items():
        (folder / name).write_text("".join(f"{row}\n" for row in rows))
    return folder


def rows(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_parts_are_valid_and_together_they_are_the_whole(tmp_path):
    whole = make(tmp_path / "all", [3, 5, 2, 4, 6, 1])
    split(whole, tmp_path / "parts", parse_parts(["train=0.6", "dev=0.2", "test=0.2"]))
    parts = [tmp_path / "parts" / name for name in ("train", "dev", "test")]
    assert sorted(tmp_path.joinpath("parts").iterdir()) == sorted(parts)
    for part in parts:
        assert validation.inspect(part).problems == []
        assert {path.name for path in part.iterdir()} == {
            "wav.scp", "utt2spk", "spk2utt", "spk2gender", "text", "utt2dur", "ali.ctm"
        }  # fmt: skip
    for name in ("utt2spk", "text", "utt2dur", "ali.ctm", "spk2gender"):
        assert Counter(row for part in parts for row in rows(part / name)) == Counter(rows(whole / name))
    speakers = Counter(speaker for part in parts for speaker in {u.speaker for u in read_directory(part)})
    assert speakers == {f"s{s:02d}": 1 for s in range(6)}


@settings(max_examples=20)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=4, max_size=25),
    weights=st.lists(st.integers(1, 20), min_size=1, max_size=4),
    rest=st.integers(0, 10),
    seed=st.integers(0, 1000),
)
def test_sizes_follow_the_shares_as_far_as_speakers_allow(sizes, weights, rest, seed):
    shares = {str(k): Fraction(weight, sum(weights) + rest) for k, weight in enumerate(weights)}
    with tempfile.TemporaryDirectory() as folder:
        done = split(make(Path(folder) / "all", sizes), Path(folder) / "parts", shares, seed)
    total, largest = sum(sizes), max(sizes)
    assert sum(count for count, _ in done.parts.values()) + done.left_out == total
    for name, (count, speakers) in done.parts.items():
        assert speakers >= 1
        assert abs(count - total * shares[name]) <= largest * (len(shares) + 1)


@settings(max_examples=10)
@given(st.lists(st.integers(1, 9), min_size=4, max_size=20), st.integers(1, 4), st.integers(0, 99))
def test_jobs_differ_by_one_speaker_at_most_and_by_one_utterance_without_speakers(sizes, jobs, seed):
    with tempfile.TemporaryDirectory() as folder:
        whole = make(Path(folder) / "all", sizes)
        shares = parse_parts([str(jobs)])
        by_speaker = split(whole, Path(folder) / "one", shares, seed).parts
        by_utterance = split(whole, Path(folder) / "two", shares, seed, per_utterance=True).parts
    assert list(by_speaker) == [str(k + 1) for k in range(jobs)]
    for parts, step in ((by_speaker, max(sizes)), (by_utterance, 1)):
        counts = [count for count, _ in parts.values()]
        assert max(counts) - min(counts) <= step


def test_the_seed_decides(tmp_path):
    whole = make(tmp_path / "all", [2] * 20)
    shares = parse_parts(["train=0.7", "dev=0.3"])
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        split(whole, tmp_path / name, shares, seed)
    first, again, other = (rows(tmp_path / name / "dev" / "utt2spk") for name in "abc")
    assert first == again != other
    assert len(first) == len(other) == 12


def test_every_speaker_is_held_out_about_as_often(tmp_path):
    whole = make(tmp_path / "all", [1] * 5)
    held = Counter()
    for seed in range(50):
        split(whole, tmp_path / "parts", parse_parts(["train=0.8", "dev=0.2"]), seed)
        held.update(u.speaker for u in read_directory(tmp_path / "parts" / "dev"))
        shutil.rmtree(tmp_path / "parts")
    assert sum(held.values()) == 50
    # Binomial of 50 and 0.2: 10 +- 3.
    assert all(0 < held[f"s{s:02d}"] < 22 for s in range(5)), held


def test_segments_take_their_recordings_along(tmp_path):
    whole = make(tmp_path / "all", [1, 1])
    tables = {
        "wav.scp": "both a.wav\none a.wav\n",
        "reco2dur": "both 0.1\none 0.1\n",
        "segments": "s00-000 both 0 0.05\ns00-001 one 0 0.1\ns01-000 both 0.05 0.1\n",
        "utt2spk": "s00-000 s00\ns00-001 s00\ns01-000 s01\n",
    }
    for name, text in tables.items():
        (whole / name).write_text(text)
    split(whole, tmp_path / "parts", parse_parts(["2"]))
    parts = [tmp_path / "parts" / name for name in "12"]
    names = {tuple(u.name for u in read_directory(part)): part for part in parts}
    assert set(names) == {("s00-000", "s00-001"), ("s01-000",)}
    assert [row.split()[0] for row in rows(names["s01-000",] / "wav.scp")] == ["both"]
    assert rows(names["s01-000",] / "reco2dur") == ["both 0.1"]
    (last,) = read_directory(names["s01-000",])
    np.testing.assert_array_equal(last.read().samples[0] * 32768, np.arange(800, 1600))


def test_paths_and_pipes_lead_to_the_same_audio_from_another_folder(tmp_path, monkeypatch):
    whole = make(tmp_path / "all", [1, 1, 1])
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "far")
    absolute = whole / "a.wav"
    (whole / "wav.scp").write_text(f"s00-000 a.wav\ns01-000 {absolute}\ns02-000 cat a.wav |\n")
    monkeypatch.chdir(tmp_path)
    split(Path("all"), Path("link") / "parts", parse_parts(["all=1"]))
    monkeypatch.chdir("/")
    utterances = read_directory(tmp_path / "far" / "parts" / "all", allow_pipes=True)
    assert len(utterances) == 3
    for utterance in utterances:
        np.testing.assert_array_equal(utterance.read().samples[0] * 32768, np.arange(1600))
    assert rows(tmp_path / "far" / "parts" / "all" / "wav.scp")[0] == "s00-000 ../../../all/a.wav"
    assert rows(tmp_path / "far" / "parts" / "all" / "wav.scp")[1] == f"s01-000 {absolute}"


def test_files_that_are_no_tables_are_named(tmp_path):
    whole = make(tmp_path / "all", [1, 1])
    for name in ("stm", "utt2lang", "cmvn.scp"):
        (whole / name).write_text("s00 x\n")
    (whole / "split2").mkdir()
    assert split(whole, tmp_path / "parts", parse_parts(["2"])).unknown == ["stm"]


def test_what_is_wrong_is_named_and_nothing_is_written(tmp_path):
    def refusal(parts: list[str], **options: bool) -> str:
        with pytest.raises(InputError) as caught:
            split(whole, tmp_path / "parts", parse_parts(parts), **options)
        return str(caught.value).replace(f"{tmp_path}/", "")

    whole = make(tmp_path / "all", [2, 1])
    assert "all cannot be 3 parts: it has 2 speakers, and --per-utt is not given." in refusal(["3"])
    assert "all cannot be 4 parts: it has 3 utterances." in refusal(["4"], per_utterance=True)
    (whole / "utt2spk").write_text("s00-000 s00\ns00-001 s00\ns01-000 s01\ns09-000 s09\n")
    assert "all/utt2spk:4: s09-000 is in no other table" in refusal(["2"])
    (whole / "utt2spk").write_text("s00-000 s00\ns00-001 s00\n")
    assert "all/wav.scp:3: s01-000 has no speaker" in refusal(["2"])
    assert not (tmp_path / "parts").exists()
    (tmp_path / "parts" / "2").mkdir(parents=True)
    (whole / "utt2spk").write_text("s00-000 s00\ns00-001 s00\ns01-000 s01\n")
    assert "parts/2 exists; remove it" in refusal(["2"])
    assert [path.name for path in (tmp_path / "parts").iterdir()] == ["2"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    whole = make(tmp_path / "all", [1])
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file/parts cannot be written"):
        split(whole, tmp_path / "file" / "parts", parse_parts(["1"]))


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["train"], "'train' is neither a part with its share"),
        (["0"], "'0' is neither"),
        (["2", "3"], "'2' is neither"),
        (["train=much"], "'train=much' is neither"),
        (["train=1/0"], "'train=1/0' is neither"),
        (["train=nan"], "'train=nan' is neither"),
        (["=0.5"], "'=0.5' needs the name of a folder"),
        (["a=0.5", "a=0.5"], "'a=0.5' needs the name of a folder that no other part has"),
        (["../a=0.5"], "needs the name of a folder"),
        (["..=0.5"], "needs the name of a folder"),
        (["a=0"], "is not above 0"),
        (["a=-0.5"], "is not above 0"),
        (["a=0.7", "b=0.4"], "add up to 1.1"),
    ],
)
def test_impossible_parts_are_refused(words, part):
    with pytest.raises(UsageError) as caught:
        parse_parts(words)
    assert part in str(caught.value)


def test_shares_that_are_one_in_decimals_are_one():
    assert sum(parse_parts([f"{name}=0.1" for name in "abcdefghij"]).values()) == 1
