"""Shards: what was written comes back, every process hears its part, and it matters not when one starts."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
import webdataset
from support import TINY, write_corpus

from speechjem.data import shards
from speechjem.data.dataset import Batches, load_corpus
from speechjem.data.shards import Shards, Window
from speechjem.errors import InputError
from speechjem.training.speech import SpeechTrainer

RATE = 16000


@pytest.fixture(scope="module")
def directory(toy_corpus, tmp_path_factory) -> Path:
    """A data directory of twelve utterances by six speakers, about 3 s each; the last two have no phones."""
    folder = write_corpus(tmp_path_factory.mktemp("data"), toy_corpus)
    ctm = (folder / "ali.ctm").read_text().splitlines(keepends=True)
    (folder / "ali.ctm").write_text("".join(line for line in ctm if not line.startswith("180")))
    return folder


@pytest.fixture(scope="module")
def written(directory) -> Path:
    out = directory.parent / "deep" / "shards"
    assert len(shards.write(directory, out, minutes=0.07, jobs=2)) == 6
    return out


def streamed(written: Path, window: Window | None = None, **more):
    return load_corpus(f"{written}/*.tar", None, None, [], RATE, window=window or Window(2, 3), **more)


def test_what_was_written_comes_back(directory, written):
    expected = {r.name: r for r in load_corpus(directory, None, None, ["180"], RATE).labelled}
    corpus = streamed(written, Window(6, 1)).at(0)
    assert {r.name for r in corpus.labelled} == set(expected)
    assert {r.name for r in corpus.unlabelled} == {"180-0", "180-1"}
    for recording in corpus.labelled:
        known = expected[recording.name]
        assert np.array_equal(recording.samples, known.samples)
        assert recording.rms == pytest.approx(known.rms, rel=1e-4)
        np.testing.assert_array_equal(recording.alignment.labels, known.alignment.labels)
        np.testing.assert_allclose(recording.alignment.starts, known.alignment.starts, atol=1e-4)
        np.testing.assert_allclose(recording.alignment.ends, known.alignment.ends, atol=2e-4)


def test_webdataset_reads_them_too(directory, written):
    samples = list(webdataset.WebDataset([str(p) for p in sorted(written.iterdir())], shardshuffle=False))
    described = [json.loads(sample["json"]) for sample in samples]
    lines = (directory / "utt2spk").read_text().splitlines()
    assert {(d["utterance"], d["speaker"]) for d in described} == {tuple(line.split()) for line in lines}
    assert all(sample["flac"].startswith(b"fLaC") for sample in samples)
    assert [d["utterance"] for d in described] != sorted(d["utterance"] for d in described)  # shuffled


def test_every_shard_is_heard_by_one_process_in_each_pass(written, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    stream = Shards(f"{written}/*.tar", RATE, seed=1, window=Window(1, 5))
    passes = []
    for start in (0, 15, 30):
        heard = [
            stream.present(2 * update + rank)[0] for update in range(start, start + 15) for rank in (0, 1)
        ]
        assert sorted(heard) == sorted([*range(6)] * 5)
        passes.append(heard)
    assert passes[0] != passes[1] != passes[2]


def test_a_window_has_so_many_shards_and_moves_by_one(written):
    stream = Shards(f"{written}/*.tar", RATE, window=Window(3, 4))
    windows = [stream.present(number) for number in range(24)]
    assert all(a == b for n, (a, b) in enumerate(zip(windows, windows[1:], strict=False), 1) if n % 4)
    assert all(windows[n][1:] == windows[n + 4][:-1] for n in range(0, 20, 4))
    assert len({len(window) for window in windows}) == 1
    for number in (0, 9, 23):
        assert len(stream.at(number)) == 2 * len(set(windows[number]))  # two utterances in each


def test_a_batch_is_the_same_whenever_it_is_drawn(written):
    def batches() -> Batches:
        return Batches(streamed(written), 3, 0.4, 160, -26.0, 0)

    went, fresh = batches(), batches()
    for number in range(11):
        drawn = went.draw(number)
    alone = fresh.draw(10)
    assert all(
        torch.equal(getattr(drawn, part), getattr(alone, part)) for part in ("clean", "noisy", "labels")
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_a_training_on_shards_goes_on_bit_for_bit(written, workers):
    config = replace(TINY, batch=2)
    whole, first, second = (
        SpeechTrainer(config, streamed(written), workers=n) for n in (0, workers, workers)
    )
    for _ in range(8):
        whole.step()
    for _ in range(4):
        first.step()
    second.load_state_dict(first.state_dict())
    for _ in range(4):
        second.step()
    for name, weights in whole.model.state_dict().items():
        assert torch.equal(weights, second.model.state_dict()[name]), name


def test_held_out_speakers_are_heard_from_a_directory_only(directory, written):
    corpus = load_corpus(
        f"{written}/*.tar", None, None, ["100", "180"], RATE, held_out=directory, window=Window(6, 1)
    )
    now = corpus.at(0)
    assert {r.name.split("-")[0] for r in now.labelled} == {"125", "160", "200", "140"}
    assert not now.unlabelled
    assert len(corpus.held_out) == len(now.held_out) == 12


def test_labelled_speech_in_memory_and_unlabelled_shards(directory, written):
    corpus = load_corpus(directory, f"{written}/*.tar", None, ["180"], RATE, window=Window(2, 1))
    assert len(corpus.labelled) == 10
    assert {
        r.name for n in range(6) for r in corpus.at(n).unlabelled
    } == set()  # those of the speaker held out
    assert len(corpus.at(0).labelled) > 10


def test_object_storage_is_read_like_a_disk(written):
    store = fsspec.filesystem("memory")
    for path in written.iterdir():
        store.pipe(f"/bucket/{path.name}", path.read_bytes())
    local, remote = Shards(f"{written}/*.tar", RATE), Shards("memory://bucket/*.tar", RATE)
    assert [r.name for r in local.at(0)] == [r.name for r in remote.at(0)]


@pytest.mark.parametrize("pattern", ["{}/*.tar", "{}/000000.tar"])
def test_where_no_shards_are_it_is_said(tmp_path, pattern):
    with pytest.raises(InputError, match="No shards at"):
        Shards(pattern.format(tmp_path), RATE)


def test_a_file_system_that_is_not_there_is_named():
    with pytest.raises(InputError, match="nosuch://bucket"):
        Shards("nosuch://bucket/*.tar", RATE)


@pytest.mark.parametrize("damage", [lambda b: b[:5000], lambda b: b"", lambda b: b.replace(b"fLaC", b"xxxx")])
def test_a_damaged_shard_is_named(written, tmp_path, damage):
    path = tmp_path / "x.tar"
    path.write_bytes(damage((written / "000000.tar").read_bytes()))
    with pytest.raises(InputError, match="x.tar cannot be read"):
        Shards(str(path), RATE).at(0)


def test_shards_without_phones_train_nothing(directory, tmp_path):
    bare = tmp_path / "bare"
    shutil.copytree(directory, bare)
    (bare / "ali.ctm").unlink()
    shards.write(bare, tmp_path / "out")
    with pytest.raises(InputError, match="No utterance of these shards is aligned"):
        streamed(tmp_path / "out").at(0)


def test_nothing_is_written_over_and_nothing_half_written_stays(directory, written, tmp_path):
    with pytest.raises(InputError, match="exists"):
        shards.write(directory, written)
    broken = tmp_path / "broken"
    shutil.copytree(directory, broken)
    (broken / "140-1.wav").unlink()
    with pytest.raises(InputError, match="140-1.wav"):
        shards.write(broken, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken"]
