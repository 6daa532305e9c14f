"""The folder of the page: written whole or not at all. The page itself is tried in tests/browser."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import speechjem
from speechjem.audio import level
from speechjem.errors import UsageError
from speechjem.runtime import atomic
from speechjem.web import folder


def export(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "speechjem", "export", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)


def test_a_runtime_that_cannot_be_had_leaves_nothing(tmp_path: Path) -> None:
    nowhere = {"NPM_CONFIG_REGISTRY": "http://127.0.0.1:9/", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = export("--web", tmp_path / "site", **nowhere)
    assert done.returncode == 1
    assert "onnxruntime-web-1.30.0.tgz cannot be had" in done.stderr
    assert "run 'npm pack onnxruntime-web@1.30.0', and copy the file to" in done.stderr
    assert "Traceback" not in done.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {"cache"}


def test_a_folder_that_exists_is_kept(tmp_path: Path) -> None:
    done = export("--web", tmp_path)
    assert (done.returncode, done.stderr) == (
        1,
        f"speechjem: {tmp_path} exists; pass --force to overwrite it.\n",
    )
    assert not list(tmp_path.iterdir())


def test_one_thing_is_written_at_a_time(tmp_path: Path) -> None:
    done = export("--web", tmp_path / "site", "-o", tmp_path / "a.onnx")
    assert done.returncode == 2
    assert (
        done.stderr == "speechjem: One thing is written at a time; give one of --out, --ladspa and --web.\n"
    )


def test_more_steps_than_trained_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="1 to"):
        folder.write(tmp_path / "site", steps=9)
    assert not list(tmp_path.iterdir())


def test_a_model_that_hears_the_future_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="choose the model 'stream'"):
        folder.write(tmp_path / "site", "base")
    assert not list(tmp_path.iterdir())


def test_the_page_knows_the_constants_of_the_stream() -> None:
    known = folder.settings(speechjem.load_model("stream"))
    assert (known["rate"], known["hop"], len(known["window"])) == (16000, 160, 480)
    assert known["latency"] == pytest.approx(speechjem.StreamDenoiser(16000).latency)
    gains = level.PastGain(1, -26.0, known["rate"]).push(np.zeros((1, 1), np.float32))
    assert 20 * np.log10(gains[0, 0]) == pytest.approx(known["target"] - known["usual"], abs=1e-4)


def test_a_folder_that_is_written_over_keeps_the_files_of_others(tmp_path: Path) -> None:
    old = tmp_path / "site"
    (old / "runtime").mkdir(parents=True)
    for name in ("mine", "page", "runtime/mine", "runtime/code"):
        (old / name).write_text("old")
    with atomic.folder_beside(old) as partial:
        (partial / "runtime").mkdir()
        for name in ("page", "runtime/code", "runtime/more"):
            (partial / name).write_text("new")
    files = {path.relative_to(old).as_posix(): path.read_text() for path in old.rglob("*") if path.is_file()}
    assert files == {
        "mine": "old", "page": "new", "runtime/mine": "old", "runtime/code": "new", "runtime/more": "new",
    }  # fmt: skip
    assert list(tmp_path.iterdir()) == [old]


def test_a_folder_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def write() -> None:
        with atomic.folder_beside(tmp_path / "site") as partial:
            (partial / "page").write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert not list(tmp_path.iterdir())
