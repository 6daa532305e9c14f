"""Faults that happen to real processes: killed, interrupted, out of space, disturbed.

Nothing half-written stays, nothing finished is lost, and the same command again does the rest.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from support import differences, make_model, rows, state, write_corpus

from speechjem import audio
from speechjem.errors import InputError
from speechjem.models import checkpoint

RATE = 16000
SPEECHJEM = [sys.executable, "-m", "speechjem"]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.1, 0.1, round(seconds * RATE)).astype(np.float32)


def recordings(folder: Path, count: int, seconds: float) -> Path:
    folder.mkdir()
    for number in range(count):
        soundfile.write(folder / f"{number}.wav", noise(seconds, number), RATE)
    return folder


def start(*words: object, limit: int | None = None, **options: object) -> subprocess.Popen[str]:
    """The command line; with a limit, no file can grow beyond so many bytes, as on a full disk."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = [*SPEECHJEM, *map(str, words)]
    chosen = {"stderr": subprocess.PIPE, "text": True, "env": ENVIRONMENT} | options
    return subprocess.Popen(command, preexec_fn=limited if limit else None, **chosen)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, said = process.communicate()
    assert "Traceback" not in (said or "")
    return process.returncode, said


def wait_for(process: subprocess.Popen[str], condition: Callable[[], object]) -> None:
    """Wait until a process, which goes on, has done something."""
    while not condition():
        assert process.poll() is None
        time.sleep(0.005)


def outputs(folder: Path) -> dict[str, bytes]:
    """What anyone would take for a result."""
    if not folder.exists():
        return {}
    return {p.name: p.read_bytes() for p in folder.iterdir() if not p.name.startswith(".")}


def partial(folder: Path) -> list[Path]:
    return list(folder.glob(".*")) if folder.exists() else []


@pytest.fixture(scope="module")
def batch(tmp_path_factory) -> tuple[Path, dict[str, bytes]]:
    """A folder of recordings, and what it becomes undisturbed."""
    folder = tmp_path_factory.mktemp("batch")
    recordings(folder / "in", 8, 6.0)
    soundfile.write(folder / "in" / "8.wav", noise(60.0), RATE)  # long enough to be interrupted in
    assert finish(start("denoise", folder / "in", "-o", folder / "out"))[0] == 0
    return folder / "in", outputs(folder / "out")


# Killed


def test_a_batch_that_is_killed_has_whole_files_only_and_goes_on(batch, tmp_path):
    source, expected = batch
    process = start("denoise", source, "-o", tmp_path)
    wait_for(process, lambda: len(outputs(tmp_path)) >= 2 and partial(tmp_path))
    process.kill()
    finish(process)
    done = outputs(tmp_path)
    assert 2 <= len(done) < 9
    assert all(expected[name] == content for name, content in done.items())
    assert all(path.suffix not in audio.SUFFIXES for path in partial(tmp_path))
    times = {name: (tmp_path / name).stat().st_mtime_ns for name in done}
    assert finish(start("denoise", source, "-o", tmp_path, "--skip-done"))[0] == 0
    assert outputs(tmp_path) == expected
    assert all((tmp_path / name).stat().st_mtime_ns == time for name, time in times.items())


@pytest.fixture(scope="module")
def training(toy_corpus, tmp_path_factory) -> tuple[Path, Path]:
    """Settings of a training, and the folder of one that nothing happened to."""
    folder = tmp_path_factory.mktemp("training")
    content = {
        "model": {"network": {"channels": 16, "hidden": 16, "dilations": [1, 2]}, "descent": {"steps": 2}},
        "data": {"labelled": str(write_corpus(folder, toy_corpus))},
        "energy": {"frames": 16, "chunks": 4, "chains": 3, "slots": 4, "langevin": {"steps": 1}},
        "updates": 60,
        "batch": 2,
        "seconds": 0.4,
        "log_every": 1,
        "save_every": 10,
    }
    (folder / "train.yaml").write_text(yaml.safe_dump(content))
    assert finish(start("train", folder / "train.yaml", "-o", folder / "whole"))[0] == 0
    return folder / "train.yaml", folder / "whole"


def is_the_whole(out: Path, whole: Path) -> bool:
    weights = [(folder / "model" / "model.safetensors").read_bytes() for folder in (out, whole)]
    assert rows(out, "loss") == rows(whole, "loss")
    return differences(state(out), state(whole)) == [] and weights[0] == weights[1]


def test_a_training_that_is_killed_goes_on_to_the_same_bits(training, tmp_path):
    config, whole = training
    process = start("train", config, "-o", tmp_path)
    log = tmp_path / "train.jsonl"
    wait_for(process, lambda: log.exists() and log.read_bytes().count(b"\n") >= 12)
    process.kill()
    finish(process)
    assert state(tmp_path)["update"] < 60
    assert finish(start("train", config, "-o", tmp_path))[0] == 0
    assert is_the_whole(tmp_path, whole)


KILLED_WHILE_SAVING = """
import os, signal, sys
from speechjem import cli
from speechjem.runtime import atomic
real, calls = atomic.replace_file, []

def replace_file(path, write):
    def half(target):
        write(target)
        os.truncate(target, target.stat().st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)
    calls.append(path.name)
    real(path, half if calls.count({name!r}) == 2 else write)

atomic.replace_file = replace_file
cli.main()
"""


@pytest.mark.parametrize(("name", "update"), [("checkpoint.pt", 10), ("model.safetensors", 20)])
def test_a_kill_in_the_middle_of_a_checkpoint_costs_the_updates_since_the_last(
    training, tmp_path, name, update
):
    config, whole = training
    script = KILLED_WHILE_SAVING.format(name=name)
    command = [sys.executable, "-c", script, "train", str(config), "-o", str(tmp_path)]
    assert subprocess.run(command, env=ENVIRONMENT, capture_output=True).returncode == -signal.SIGKILL
    assert state(tmp_path)["update"] == update
    checkpoint.load(tmp_path / "model")  # whole, if older
    assert finish(start("train", config, "-o", tmp_path))[0] == 0
    assert is_the_whole(tmp_path, whole)


# Interrupted


@pytest.mark.parametrize(("number", "jobs"), [(signal.SIGINT, 2), (signal.SIGTERM, 1)])
def test_an_interrupted_batch_ends_within_two_seconds_and_says_what_is_done(tmp_path, number, jobs):
    source, out = recordings(tmp_path / "in", 2, 600.0), tmp_path / "out"
    for n in range(3):
        soundfile.write(source / f"-{n}.wav", noise(1.0, n), RATE)  # come first, and are short
    process = start("denoise", source, "-o", out, "-j", jobs)
    wait_for(process, lambda: len(outputs(out)) == 3 and len(partial(out)) == jobs)
    before = used = cpu_seconds(process.pid)
    process.send_signal(number)
    while process.poll() is None:
        used = max(used, cpu_seconds(process.pid))
        assert used - before < 2.0
        time.sleep(0.01)
    code, said = finish(process)
    assert code == 130
    assert "3 of 5 files are done" in said and "Interrupted" in said
    assert len(outputs(out)) == 3 and partial(out) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_batch_counts_what_ends_while_it_stops(tmp_path, number):
    source, out = recordings(tmp_path / "in", 60, 1.0), tmp_path / "out"
    process = start("denoise", source, "-o", out, "-j", 4)
    wait_for(process, lambda: len(outputs(out)) > 5)
    process.send_signal(number)
    code, said = finish(process)
    assert code == 130
    assert f"{len(outputs(out))} of 60 files are done" in said


def cpu_seconds(pid: int) -> float:
    """CPU time of a process: a busy machine does not slow it down."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# Full, or not to be written to


def test_a_full_disk_fails_the_files_that_do_not_fit(tmp_path):
    source = recordings(tmp_path / "in", 2, 1.0)
    soundfile.write(source / "long.wav", noise(5.0), RATE)
    code, said = finish(start("denoise", source, "-o", tmp_path / "out", limit=100_000))
    assert code == 1
    assert (
        "Cannot write" in said and "long.wav" in said and "1 of 3 files failed; the others are done" in said
    )
    assert sorted(outputs(tmp_path / "out")) == ["0.wav", "1.wav"]
    assert partial(tmp_path / "out") == []
    assert finish(start("denoise", source, "-o", tmp_path / "out", "--skip-done"))[0] == 0
    assert soundfile.info(tmp_path / "out" / "long.wav").frames == 5 * RATE


def test_a_full_disk_ends_a_training_and_leaves_no_half_checkpoint(training, tmp_path):
    config, whole = training
    code, said = finish(start("train", config, "-o", tmp_path, limit=50_000))
    assert code == 1
    assert f"{tmp_path / 'checkpoint.pt'} cannot be written (File too large)" in said
    assert not list(tmp_path.glob("*.pt")) and partial(tmp_path) == []
    assert finish(start("train", config, "-o", tmp_path))[0] == 0
    assert is_the_whole(tmp_path, whole)


@pytest.mark.parametrize("words", [("phones",), ("denoise", "a.wav", "-o", "-")])
def test_a_full_standard_output_is_said(tmp_path, words):
    soundfile.write(tmp_path / "a.wav", noise(1.0), RATE)
    with open("/dev/full", "w") as full:
        code, said = finish(start(*words, stdout=full, cwd=tmp_path))
    assert code == 1
    assert "cannot be written (No space left on device)" in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [
        ("train", "train.yaml", "-o", "file/exp"),
        ("denoise", "in", "-o", "file/out"),
    ],
)
def test_a_folder_that_cannot_be_made_is_named(training, tmp_path, words):
    (tmp_path / "file").touch()  # to root, a folder is never read-only
    recordings(tmp_path / "in", 1, 0.5)
    (tmp_path / "train.yaml").write_bytes(training[0].read_bytes())
    code, said = finish(start(*words, cwd=tmp_path))
    assert code == 1
    assert "file" in said.splitlines()[0]


# Disturbed


@pytest.mark.parametrize("change", ["shrinks", "grows", "is replaced", "vanishes"])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, change):
    path, target = tmp_path / "a.wav", tmp_path / "out.wav"
    soundfile.write(path, noise(60.0), RATE)

    def disturbed() -> Iterator[np.ndarray]:
        file = audio.open_file(path)
        for number, chunk in enumerate(file.chunks()):
            if number == 1:
                if change == "shrinks":
                    os.truncate(path, path.stat().st_size // 2)
                elif change == "grows":
                    with path.open("ab") as end:
                        end.write(bytes(1000))
                else:
                    path.unlink()
                    if change == "is replaced":
                        soundfile.write(path, noise(60.0, 1), RATE)
            yield chunk

    with pytest.raises(InputError, match="a.wav was changed while it was read; try again"):
        audio.write(target, disturbed(), RATE, channels=1)
    assert not target.exists() and partial(tmp_path) == []


def test_an_output_that_comes_meanwhile_is_not_overwritten(tmp_path):
    def pieces() -> Iterator[np.ndarray]:
        yield noise(0.1)[None]
        (tmp_path / "a.wav").write_text("somebody's")

    with pytest.raises(InputError, match="exists; pass --force"):
        audio.write(tmp_path / "a.wav", pieces(), RATE, channels=1)
    assert outputs(tmp_path) == {"a.wav": b"somebody's"} and partial(tmp_path) == []


def test_two_processes_that_write_to_one_folder_leave_whole_files(batch, tmp_path):
    source, expected = batch
    for process in [start("denoise", source, "-o", tmp_path, "--force") for _ in range(2)]:
        assert finish(process)[0] == 0
    assert outputs(tmp_path) == expected and partial(tmp_path) == []


def test_many_threads_that_save_one_model_leave_a_whole_one(tmp_path):
    models = [make_model(seed) for seed in range(4)]
    with ThreadPoolExecutor(len(models)) as pool:
        list(pool.map(checkpoint.save, models, [tmp_path] * len(models)))  # raises what one of them raised
    found = checkpoint.load(tmp_path).state_dict()
    assert any(all(torch.equal(found[k], v) for k, v in m.state_dict().items()) for m in models)
    assert sorted(outputs(tmp_path)) == ["config.json", "model.safetensors"]


def test_a_pipe_or_a_device_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.wav")
    for path in (tmp_path / "a.wav", Path("/dev/zero")):
        with pytest.raises(InputError, match="is a pipe or a device"):
            audio.read(path)
