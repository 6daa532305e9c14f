"""The LibriSpeech recipes on a corpus of a few seconds in LibriSpeech's layout, trained by two processes."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from support import ENVIRONMENT, RECIPES, TINY_FILE, run

from speechjem.data.kaldi import read_ctm

PARTS = {  # of the tiny recipe's voices, and their numbers as readers
    "train-clean-100": {"amy": 19, "bob": 26},
    "train-clean-360": {"cat": 14},
    "dev-clean": {"dot": 84, "hal": 174},
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sentences of each reader."""
    folder = tmp_path_factory.mktemp("corpus")
    spoken = run(sys.executable, RECIPES / "tiny" / "local" / "prepare.py", folder / "spoken")
    assert spoken.returncode == 0, spoken.stderr
    rows = dict(line.split(" ", 1) for line in (folder / "spoken/text").read_text().splitlines())
    for part, readers in PARTS.items():
        for name, reader in readers.items():
            chapter = folder / "LibriSpeech" / part / str(reader) / "7"
            chapter.mkdir(parents=True)
            for number in range(2):
                shutil.copy(
                    folder / f"spoken/audio/{name}-{number:02d}.wav", chapter / f"{reader}-7-{number}.flac"
                )
            said = [f"{reader}-7-{number} {rows[f'{name}-{number:02d}']}\n" for number in range(2)]
            (chapter / f"{reader}-7.trans.txt").write_text("".join(said))
    return folder / "LibriSpeech"


def librispeech(*words: object):
    return run(RECIPES / "librispeech" / "run.sh", *words)


def test_from_the_corpus_to_scores_and_nothing_twice(corpus, tmp_path):
    conf = tmp_path / "small.yaml"
    conf.write_text(json.dumps(TINY_FILE))
    options = ("--conf", conf, "--dir", tmp_path / "out", "--hours", 460, "--device", "cpu", "--workers", 1)
    finished = librispeech(*options, "--corpus", corpus, "--stop-stage", 5)
    assert finished.returncode == 0, finished.stderr
    assert "train_460: 6 utterances, 3 speakers" in finished.stdout
    exp = tmp_path / "out/exp/small_460"
    scores = json.loads((exp / "phones.json").read_text())
    assert 2 <= scores["utterances"] <= 4  # pocketsphinx does not understand all that eSpeak says
    assert "descent, 3 steps" in (exp / "denoising.md").read_text()
    rows = [json.loads(line) for line in (exp / "train.jsonl").read_text().splitlines()]
    assert [row["update"] for row in rows if "loss" in row] == [1, 2, 3, 4]

    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "out/data").rglob("*") if path.is_file()}
    again = librispeech(*options, "--stop-stage", 2)
    assert again.returncode == 0, again.stderr
    assert "preparing" not in again.stdout + again.stderr
    assert made == {path: path.stat().st_mtime_ns for path in made}


def test_the_small_corpus_goes_the_same_way(corpus, tmp_path):
    finished = run(
        RECIPES / "mini_librispeech" / "run.sh",
        "--corpus", corpus / "train-clean-100", "--dir", tmp_path, "--stop-stage", 2,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    assert "data/train: 4 utterances, 2 speakers" in finished.stdout
    assert len(read_ctm(tmp_path / "data/train/ali.ctm")) >= 2


def test_the_last_stage_puts_the_model_beside_its_card(tmp_path):
    model, shipped = tmp_path / "exp/base/model", tmp_path / "models/base"
    for path in (
        model / "config.json",
        tmp_path / "exp/base/vowels.png",
        shipped / "config.json",
        shipped / "README.md",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(path))
    finished = run(
        RECIPES / "mini_librispeech" / "run.sh",
        "--dir", tmp_path, "--models", tmp_path / "models", "--stage", 7,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    assert {path.name for path in shipped.iterdir()} == {"config.json", "vowels.png", "README.md"}
    assert (shipped / "config.json").read_text() == str(model / "config.json")


def test_what_is_missing_is_said_first(corpus, tmp_path):
    for words, said in (
        (("--corpus", tmp_path / "nowhere"), "is no folder"),
        (("--corpus", corpus, "--hours", 960), "there is no train-other-500 in"),
        (("--hours", 5), "--hours is 100, 460 or 960, not 5"),
    ):
        finished = librispeech("--dir", tmp_path / "out", *words)
        assert finished.returncode == 2
        assert said in finished.stderr
        assert not (tmp_path / "out" / "data").exists()


def test_a_download_is_complete_or_not_there_and_is_not_done_again(tmp_path, monkeypatch):
    (tmp_path / "curl").write_text(
        '#!/bin/bash\nwhile [ $# -gt 1 ]; do [ "$1" != --output ] || file=$2; shift; done\n'
        'echo "$1" >> "$file"\n[ "$(wc -l < "$file")" = 2 ]\n'  # breaks off at the first try
    )
    (tmp_path / "curl").chmod(0o755)
    monkeypatch.setitem(ENVIRONMENT, "PATH", f"{tmp_path}:{ENVIRONMENT['PATH']}")
    script, file = RECIPES / "utils" / "download.sh", tmp_path / "data" / "x.tar"
    assert run(script, "https://x", file).returncode == 1
    assert not file.exists()
    for _ in range(2):
        assert run(script, "https://x", file).returncode == 0
        assert file.read_text() == "https://x\nhttps://x\n"
