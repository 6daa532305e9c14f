"""The tiny recipe from its first stage to its last, as a user runs it, and the tools that recipes share."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from support import RECIPES, follow, run

from speechjem import phones
from speechjem.data import validation
from speechjem.data.kaldi import read_ctm, read_directory


def test_the_tiny_recipe_learns_the_phones_of_voices_it_has_not_heard(tiny):
    scores = json.loads((tiny / "exp/tiny/phones.json").read_text())
    assert scores["utterances"] == 40
    assert scores["accuracy"] > 0.5  # of 40 classes; silence alone is less than a fifth


def test_the_tiny_recipe_learns_to_denoise(tiny):
    table = (tiny / "exp/tiny/denoising.md").read_text()
    rows = {
        cells[1].strip(): cells
        for cells in (line.split("|") for line in table.splitlines())
        if len(cells) > 5
    }
    noisy, denoised = rows["noisy input"], rows["descent, 3 steps"]
    assert float(denoised[5]) > float(noisy[5]) + 2  # dB of SI-SDR
    assert float(denoised[4]) > float(noisy[4])  # ESTOI


def test_the_tiny_recipe_leaves_sound_and_pictures(tiny):
    assert soundfile.info(tiny / "exp/tiny/hello.wav").duration > 0.2
    for name in ("confusion.png", "chain.png"):
        assert (tiny / "exp/tiny" / name).read_bytes().startswith(b"\x89PNG")


def test_the_commands_of_the_tutorial_run(request, tiny, tmp_path):
    (tmp_path / "tiny").symlink_to(tiny)  # whose work is done
    follow(RECIPES.parent / "docs" / "tutorial.md", request.getfixturevalue("run"), tmp_path)


def test_what_is_done_is_not_done_again(tiny):
    spoken, model = tiny / "data/speech/wav.scp", tiny / "exp/tiny/model/model.safetensors"
    before = spoken.stat().st_mtime_ns, model.read_bytes()
    assert run(RECIPES / "tiny" / "run.sh", "--dir", tiny, "--stop-stage", 2).returncode == 0
    assert (spoken.stat().st_mtime_ns, model.read_bytes()) == before


def test_a_failing_stage_ends_the_recipe_and_shows_its_log(tiny, tmp_path):
    (tmp_path / "data").mkdir()
    finished = run(RECIPES / "tiny" / "run.sh", "--dir", tmp_path, "--stage", 2)
    assert finished.returncode == 1
    assert "data/speech/utt2spk; a data directory needs it" in finished.stderr
    assert "Stage 3" not in finished.stdout


@pytest.mark.parametrize("recipe", ["tiny", "mini_librispeech", "librispeech", "voicebank_demand", "timit"])
@pytest.mark.parametrize("words", [("--stagge", 1), ("--stage",)])
def test_a_wrong_option_shows_the_usage(recipe, words):
    finished = run(RECIPES / recipe / "run.sh", *words)
    assert finished.returncode == 2
    assert "there is no option" in finished.stderr
    assert "Usage:" in finished.stderr


def test_help_is_no_failure():
    finished = run(RECIPES / "tiny" / "run.sh", "--help")
    assert finished.returncode == 0
    assert finished.stdout.startswith("A corpus that is made here")


SAID = (
    "HE WAS NOT AN ILL DISPOSED YOUNG MAN UNLESS TO BE RATHER COLD HEARTED AND RATHER SELFISH "
    "IS TO BE ILL DISPOSED"
)


@pytest.fixture
def spoken(tmp_path: Path) -> Path:
    """A data directory with the shipped sample, and one whose text is another's."""
    sample = RECIPES.parent / "samples" / "clean.flac"
    (tmp_path / "wav.scp").write_text(f"austen {sample}\nshort {tmp_path}/short.wav\n")
    (tmp_path / "utt2spk").write_text("austen reader\nshort reader\n")
    (tmp_path / "text").write_text(f"austen {SAID}\nshort {SAID}\n")
    soundfile.write(tmp_path / "short.wav", np.zeros(1600), 16000)
    return tmp_path


def test_an_alignment_has_the_phones_of_the_text_and_its_silence_is_silent(spoken):
    finished = run(sys.executable, RECIPES / "steps" / "align.py", spoken)
    assert finished.returncode == 0, finished.stderr
    assert "short cannot be aligned" in finished.stderr
    assert validation.inspect(spoken).problems == []
    alignments = read_ctm(spoken / "ali.ctm")
    assert set(alignments) == {"austen"}
    alignment = alignments["austen"]
    names = [phones.PHONES[label] for label in alignment.labels]
    said = " ".join(name for name in names if name != "SIL")
    assert all(word in said for word in ("Y AH NG M AE N", "HH AA R T IH D", "S EH L F IH SH"))
    assert said.endswith("B IY IH L D IH S P OW Z D")
    samples, rate = soundfile.read(RECIPES.parent / "samples" / "clean.flac")
    frames = samples[: len(samples) // 160 * 160].reshape(-1, 160)
    silent = alignment.at((np.arange(len(frames)) + 0.5) * 160 / rate) == phones.index("SIL")
    levels = [10 * np.log10(np.mean(frames[which] ** 2)) for which in (silent, ~silent)]
    assert 0.02 < silent.mean() < 0.4
    assert levels[1] > levels[0] + 15


def test_librispeech_as_it_is_distributed_becomes_a_data_directory(tmp_path):
    for reader, chapter in (("19", "198"), ("26", "495")):
        folder = tmp_path / "LibriSpeech" / reader / chapter
        folder.mkdir(parents=True)
        rows = []
        for number in range(2):
            name = f"{reader}-{chapter}-{number:04d}"
            soundfile.write(folder / f"{name}.flac", np.zeros(1600), 16000)
            rows.append(f"{name} WORD\n")
        (folder / f"{reader}-{chapter}.trans.txt").write_text("".join(rows))
    script = RECIPES / "steps" / "prepare_librispeech.py"
    assert run(sys.executable, script, tmp_path / "LibriSpeech", tmp_path / "a").returncode == 0
    assert run(sys.executable, script, tmp_path / "a", tmp_path / "b").returncode == 0
    for folder in (tmp_path / "a", tmp_path / "b"):
        assert validation.inspect(folder).problems == []
        utterances = read_directory(folder)
        assert [(u.name, u.speaker) for u in utterances[1:3]] == [
            ("19-198-0001", "19"),
            ("26-495-0000", "26"),
        ]
    assert run(sys.executable, script, tmp_path / "nothing", tmp_path / "c").returncode == 2


def test_timit_becomes_data_directories_of_its_hand_labels(tmp_path):
    timit = tmp_path / "TIMIT"
    for part, region, speaker in (
        ("TRAIN", "DR1", "FCJF0"),
        ("TEST", "DR4", "FJLM0"),
        ("TEST", "DR4", "FADG0"),
    ):
        folder = timit / part / region / speaker
        folder.mkdir(parents=True)
        for sentence in ("SA1", "SX127"):
            soundfile.write(folder / f"{sentence}.WAV", np.zeros(16000, np.int16), 16000, format="NIST")
            (folder / f"{sentence}.PHN").write_text(
                "0 2000 h#\n2000 3000 tcl\n3000 3500 t\n3500 6000 ix\n"
                "6000 8000 axr\n8000 9000 q\n9000 16000 h#\n"
            )
    script = RECIPES / "timit" / "local" / "prepare.py"
    finished = run(sys.executable, script, timit, tmp_path / "data")
    assert finished.returncode == 0, finished.stderr
    for part, name in (("train", "fcjf0-sx127"), ("core_test", "fjlm0-sx127")):
        assert validation.inspect(tmp_path / "data" / part).problems == []
        (utterance,) = read_directory(tmp_path / "data" / part)
        assert (utterance.name, utterance.read().samples.shape) == (name, (1, 16000))
        assert [phones.PHONES[k] for k in utterance.alignment.labels] == ["SIL", "T", "IH", "ER", "SIL"]
        np.testing.assert_allclose(utterance.alignment.starts * 16000, [0, 3000, 3500, 6000, 8000], atol=1)
        np.testing.assert_allclose(utterance.alignment.ends[-1] * 16000, 16000, atol=2)


def test_confusions_are_folded_by_class(monkeypatch):
    monkeypatch.syspath_prepend(RECIPES / "steps")
    import phone_accuracy

    names = ["AA", "AO", "S"]
    counts, classes = phone_accuracy.folded(np.array([[5, 2, 1], [3, 7, 0], [0, 1, 9]]), names, 39)
    assert classes == ["aa", "s"]
    assert counts.tolist() == [[17, 1], [1, 9]]


def test_the_temperature_is_the_one_that_the_logits_were_divided_by(monkeypatch):
    monkeypatch.syspath_prepend(RECIPES / "energy" / "local")
    import calibration

    logits = 2 * torch.randn(20_000, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.distributions.Categorical(logits=logits).sample()
    assert calibration.fitted_temperature(3 * logits, labels) == pytest.approx(3, rel=0.05)


def test_most_recordings_lose_their_labels_and_none_is_lost(monkeypatch, toy_corpus):
    monkeypatch.syspath_prepend(RECIPES / "energy" / "local")
    import semi_supervised

    fewer = semi_supervised.with_fewer_labels(toy_corpus, 0.25)
    assert len(fewer.labelled) == len(toy_corpus.labelled) // 4
    assert all(recording.alignment is None for recording in fewer.unlabelled)
    names = {r.name for r in (*toy_corpus.labelled, *toy_corpus.unlabelled)}
    assert {r.name for r in (*fewer.labelled, *fewer.unlabelled)} == names


def test_a_log_has_the_command_line_and_its_output(tmp_path):
    finished = run(RECIPES / "utils" / "run.sh", tmp_path / "logs/a.log", "echo", "a b")
    assert finished.returncode == 0
    assert (tmp_path / "logs/a.log").read_text() == "# echo a b\na b\n"
