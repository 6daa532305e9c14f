"""Commands on folders: what they take, what they name, and how they end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechjem.models import checkpoint

RATE = 16000


def write(*paths, seconds=0.5, seed=0):
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    buzz = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 20))
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * buzz + 0.02 * rng.standard_normal(len(time)), RATE)


def tree(folder):
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


# What is not read


def test_what_is_not_read_is_named_and_counted_while_the_rest_is_done(run):
    write("in/a.wav")
    Path("in/talk.m4a").write_bytes(b"\0\0\0\x20ftypM4A ")
    os.symlink("nowhere.flac", "in/gone.flac")
    code, _, err = run("denoise", "in", "-o", "out")
    assert (code, tree("out")) == (1, ["a.wav"])
    assert "ffmpeg -i in/talk.m4a in/talk.wav" in err
    assert "in/gone.flac is a link to nowhere.flac" in err
    assert "2 of 3 files failed" in err
    code, out, err = run("classify", "in", "--ctm")
    assert (code, {line.split()[0] for line in out.splitlines()}) == (1, {"a"})
    assert "2 of 3 files failed" in err
    rows = [json.loads(line) for line in run("denoise", "in", "-o", "new", "--json")[1].splitlines()]
    assert [row["file"] for row in rows if "error" in row] == ["in/gone.flac", "in/talk.m4a"]


def test_an_empty_folder_does_not_keep_the_others_from_being_done(run):
    write("in/a.wav")
    Path("empty").mkdir()
    code, _, err = run("denoise", "in", "empty", "-o", "out")
    assert (code, tree("out")) == (1, ["a.wav"])
    assert "No audio files in empty" in err


@pytest.mark.parametrize("name", ["clean.m4a", "clean.MP4", "clean.mp2", "clean.raw"])
def test_an_output_of_a_format_that_is_not_written_is_refused(run, name):
    write("a.wav")
    code, _, err = run("denoise", "a.wav", "-o", name)
    assert code == 2
    assert name in err
    assert ".flac" in err
    assert not Path(name).exists()


def test_a_folder_that_cannot_be_listed_or_a_file_that_cannot_be_read_is_named(bound, tmp_path):
    write(*(tmp_path / name for name in ("in/a.wav", "in/b.wav", "in/closed/c.wav", "in/halfway/d.wav")))
    (tmp_path / "in/b.wav").chmod(0)
    (tmp_path / "in/closed").chmod(0o300)
    (tmp_path / "in/halfway").chmod(0o600)
    result = bound("denoise", "in", "-o", "out")
    assert (result.returncode, tree(tmp_path / "out")) == (1, ["a.wav"])
    assert "in/b.wav is not yours to read" in result.stderr
    assert "folder in/closed cannot be listed (Permission denied)" in result.stderr
    assert "Cannot open in/halfway/d.wav (Permission denied)" in result.stderr
    assert "3 of 4 files failed" in result.stderr


# Outputs that lie among the inputs


def test_the_output_folder_is_no_input(run):
    write("rec/a.wav", "rec/sub/b.wav")
    for _ in range(2):
        assert run("denoise", "rec", "-o", "rec/clean", "--force") == (0, "", "")
    assert tree("rec/clean") == ["a.wav", "sub/b.wav"]


def test_outputs_of_another_run_are_no_inputs(run):
    write("rec/a.wav", "rec/sub/b.wav", "rec/other/a.wav")
    assert run("denoise", "rec", "-o", "rec/full") == (0, "", "")
    code, _, err = run("denoise", "rec", "-o", "rec/half", "--strength", 0.5)
    assert (code, tree("rec/half")) == (0, ["a.wav", "other/a.wav", "sub/b.wav"])
    assert "3 inputs are outputs" in err
    assert run("denoise", "rec/full", "-o", "twice") == (0, "", "")  # asked for by name
    assert tree("twice") == tree("rec/half")


def test_outputs_beside_their_inputs_are_no_inputs(run):
    write("g/a.wav", "g/b.wav", "g/lonely-denoised.wav")
    assert run("denoise", "g/a.wav", "g/b.wav")[0] == 0
    code, _, err = run("denoise", *sorted(Path("g").iterdir()), "--force")
    assert code == 0
    assert "2 inputs are outputs of others of them, and are left out: g/a-denoised.wav, g/b-" in err
    names = ["a-denoised.wav", "a.wav", "b-denoised.wav", "b.wav"]
    assert tree("g") == [*names, "lonely-denoised-denoised.wav", "lonely-denoised.wav"]
    assert run("denoise", "g/a-denoised.wav", "-o", "twice.wav")[0] == 0  # asked for by name
    assert Path("twice.wav").exists()


# Going on with a corpus


def done_again(run, *words):
    code, out, err = run("denoise", "in", "-o", "out", "--skip-done", "--json", *words)
    assert code == 0, err
    return sorted(Path(json.loads(line)["file"]).name for line in out.splitlines()), err


@pytest.fixture
def corpus(run):
    write("in/a.wav", "in/b.wav", "in/c.wav")
    assert run("denoise", "in", "-o", "out") == (0, "", "")
    assert done_again(run)[0] == []


def test_an_output_older_than_its_input_is_made_again(run, corpus):
    write("in/b.wav", seed=1)
    names, err = done_again(run)
    assert names == ["b.wav"]
    assert "older than their inputs, and are made again: out/b.wav" in err
    fresh = run("denoise", "in/b.wav", "-o", "fresh.wav")
    assert fresh[0] == 0
    assert Path("fresh.wav").read_bytes() == Path("out/b.wav").read_bytes()


def test_an_input_that_was_replaced_by_an_older_one_is_seen_by_its_length(run, corpus):
    write("in/b.wav", seconds=0.7)
    os.utime("in/b.wav", (1e9, 1e9))
    assert done_again(run)[0] == ["b.wav"]
    assert soundfile.info("out/b.wav").frames == round(0.7 * RATE)


@pytest.mark.parametrize(
    "words", [("--strength", 0.5), ("--steps", 1), ("--mode", "prior"), ("--model", "mine")]
)
def test_outputs_of_other_settings_are_made_again(run, corpus, words):
    model = checkpoint.load()
    next(model.parameters()).data *= 1.01
    checkpoint.save(model, Path("mine"))
    names, err = done_again(run, *words)
    assert names == ["a.wav", "b.wav", "c.wav"]
    assert "of other settings, and are made again: out/a.wav, out/b.wav, out/c.wav" in err
    assert done_again(run, *words)[0] == []


def test_settings_are_told_by_what_they_are_and_not_by_how_they_are_given(run, corpus):
    assert done_again(run, "--strength", 1, "--mode", "descent", "--steps", 3, "--model", "base")[0] == []


def test_an_empty_or_shortened_output_is_made_again(run, corpus):
    Path("out/a.wav").write_bytes(b"")
    whole = Path("out/b.wav").read_bytes()
    Path("out/b.wav").write_bytes(whole[: len(whole) // 2])
    assert done_again(run)[0] == ["a.wav", "b.wav"]
    assert Path("out/b.wav").read_bytes() == whole


def test_what_is_not_ours_is_not_overwritten(run, corpus):
    write("out/b.wav", seconds=0.3)
    before = Path("out/b.wav").read_bytes()
    code, _, err = run("denoise", "in", "-o", "out", "--skip-done")
    assert (code, Path("out/b.wav").read_bytes()) == (1, before)
    assert "out/b.wav exists, is not what in/b.wav would give" in err


def test_outputs_that_cannot_tell_how_they_were_made_stay_if_nothing_speaks_against_them(run):
    Path("in").mkdir()
    for name in ("a.au", "b.mp3"):
        soundfile.write(f"in/{name}", 0.1 * np.random.default_rng(0).standard_normal(RATE), RATE)
    assert run("denoise", "in", "-o", "out")[0] == 0
    names, err = done_again(run, "--strength", 0.5)
    assert names == []
    assert "do not say with which settings they were made, and stay: out/a.au, out/b.mp3" in err
    os.utime("in/a.au")
    assert done_again(run)[0] == ["a.au"]


def test_a_pipe_gets_no_more_than_the_recording():
    noisy = Path(__file__).parents[1] / "samples" / "noisy.flac"
    words = [sys.executable, "-m", "speechjem", "denoise", noisy, "-o", "-"]
    out = subprocess.run(words, capture_output=True, check=True).stdout
    assert len(out) == 44 + 2 * soundfile.info(noisy).frames


# What is removed


def lsb_of_sum(noisy, output, removed):
    """The largest error of output + removed = input, in steps of 16 bits."""
    waves = [soundfile.read(path, dtype="float64")[0] for path in (noisy, output, removed)]
    return np.abs(waves[1] + waves[2] - waves[0]).max() * 2**15


def test_output_and_what_is_removed_add_up_to_the_input(run):
    write("in/a.wav", "in/sub/b.wav", seconds=20)
    assert run("denoise", "in", "-o", "in/clean", "--removed", "in/noise") == (0, "", "")
    assert tree("in/clean") == tree("in/noise") == ["a.wav", "sub/b.wav"]
    for name in tree("in/clean"):
        assert lsb_of_sum(f"in/{name}", f"in/clean/{name}", f"in/noise/{name}") <= 1.01
        assert np.abs(soundfile.read(f"in/noise/{name}")[0]).max() > 0.01
    assert run("denoise", "in/a.wav", "--removed", "taken.flac") == (0, "", "")
    assert lsb_of_sum("in/a.wav", "in/a-denoised.wav", "taken.flac") <= 1.01
    os.unlink("in/noise/a.wav")
    words = ("denoise", "in", "-o", "in/clean", "--removed", "in/noise", "--skip-done", "--json")
    rows = [json.loads(line) for line in run(*words)[1].splitlines()]
    assert [(row["file"], row["removed"]) for row in rows] == [("in/a.wav", "in/noise/a.wav")]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("in", "-o", "out", "--removed", "out"), "would both be written to out/a.wav"),
        (("in", "-o", "out", "--removed", "noise.wav"), "noise.wav is one file"),
        (("in/a.wav", "-o", "x.wav", "--removed", "noise.m4a"), "noise.m4a"),
        (("in/a.wav", "-o", "x.wav", "--removed", "-"), "Name a file"),
    ],
)
def test_what_is_removed_needs_a_place_of_its_own(run, words, part):
    write("in/a.wav")
    code, _, err = run("denoise", *words)
    assert code == 2
    assert part in err
    assert tree(".") == ["in/a.wav"]


# Scores


def test_what_matches_is_scored_and_what_does_not_is_named(run):
    write(
        "clean/a.wav", "clean/b.wav", "clean/unused.wav", "out/a.wav", "out/b.wav", "out/more.wav", seconds=1
    )
    soundfile.write("out/b.wav", np.zeros(RATE), RATE)
    code, out, err = run("score", "clean", "out")
    assert code == 1
    assert "out/more.wav has no reference" in err
    assert "1 of 3 references have no output, such as clean/unused.wav" in err
    assert "1 of 3 files failed" in err
    means = next(line for line in out.splitlines() if "mean of 2" in line)
    assert "of 1" in means.replace("mean of 2", "")
