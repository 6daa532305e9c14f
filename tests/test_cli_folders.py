"""Commands on folders: what they take, what they name, and how they end."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

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
    assert [row["file"] for row in rows if "error" in row] == ["in/talk.m4a", "in/gone.flac"]


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


def test_outputs_beside_their_inputs_are_no_inputs(run):
    write("g/a.wav", "g/b.wav", "g/lonely-denoised.wav")
    assert run("denoise", "g/a.wav", "g/b.wav")[0] == 0
    code, _, err = run("denoise", *sorted(Path("g").iterdir()), "--force")
    assert code == 0
    assert "2 inputs are outputs" in err
    names = ["a-denoised.wav", "a.wav", "b-denoised.wav", "b.wav"]
    assert tree("g") == [*names, "lonely-denoised-denoised.wav", "lonely-denoised.wav"]
    assert run("denoise", "g/a-denoised.wav", "-o", "twice.wav")[0] == 0  # asked for by name
    assert Path("twice.wav").exists()


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
