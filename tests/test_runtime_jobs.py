"""Corpora by a real Dask cluster, a scheduler and two workers: what it does, survives and sends."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dask
import distributed
import numpy as np
import pytest
import soundfile

from speechjem.denoising import files as file_denoising
from speechjem.denoising.files import FileDenoiser
from speechjem.errors import ModelError
from speechjem.runtime import jobs

HERE = Path(__file__).parent
NOISY = soundfile.read(HERE.parent / "samples" / "noisy.flac", dtype="float32")[0]
RATE = 16000
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE)]),  # workers also import this file
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "60s",
}


@pytest.fixture(scope="module", autouse=True)
def _patient() -> Iterator[None]:
    """Clients in this process wait as long as those of others do."""
    with dask.config.set({"distributed.comm.timeouts.connect": "60s"}):
        yield


@contextlib.contextmanager
def program(*words: object, path: str = "") -> Iterator[subprocess.Popen]:
    """A Dask program in the background, ended by its number."""
    environment = os.environ | ENVIRONMENT
    environment["PYTHONPATH"] = os.pathsep.join([path, environment["PYTHONPATH"]])
    command = [sys.executable, "-m", *map(str, words), "--no-dashboard"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


@contextlib.contextmanager
def scheduler(path: str = "") -> Iterator[tuple[subprocess.Popen, int]]:
    """A scheduler and its port."""
    words = ("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", 0)
    with program(*words, path=path) as process:
        assert process.stderr
        said = ""
        for line in process.stderr:
            said += line
            if found := re.search(r"Scheduler at:\s+tcp://127.0.0.1:(\d+)", line):
                break
        assert found, said
        # Nobody may be left to fill the pipe.
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield process, int(found[1])


class Tap:
    """Passes connections on to a port, and counts the bytes that go either way."""

    def __init__(self, port: int):
        self.port, self.count = port, 0
        self.server = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self.server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.server.accept()
                far = socket.create_connection(("127.0.0.1", self.port))
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                self.count += len(data)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


@pytest.fixture(scope="module")
def tap() -> Iterator[Tap]:
    """Two worker processes, which talk to their scheduler through the tap; so shall the tests."""
    with scheduler() as (_, port):
        tap = Tap(port)
        words = ("distributed.cli.dask_worker", tap.address, "--nworkers", 2, "--nthreads", 1)
        with program(*words) as process:
            threading.Thread(target=process.stderr.read, daemon=True).start()
            with distributed.Client(tap.address) as client:
                client.wait_for_workers(2)
            yield tap
        tap.server.close()


def utterances(folder: Path, count: int, seconds: float = 0.5) -> list[Path]:
    """Pieces of the shipped sample, in two folders."""
    files = []
    for number in range(count):
        start = round(number * seconds * RATE) % (len(NOISY) - round(seconds * RATE))
        file = folder / f"speaker{number % 2}" / f"{number}.wav"
        file.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(file, NOISY[start : start + round(seconds * RATE)], RATE)
        files.append(file)
    return files


def rows(out: str) -> list[dict]:
    return [json.loads(line) for line in out.splitlines()]


def test_it_does_what_this_machine_does_and_names_a_bad_file(tap, run, tmp_path):
    files = utterances(Path("in"), 6)
    Path("in/bad.wav").write_text("no audio")
    code, out, err = run("denoise", "in", "-o", "far", "--scheduler", tap.address, "--json")
    assert code == 1
    assert f"Cannot read {tmp_path / 'in/bad.wav'}" in err
    assert "1 of 7 files failed" in err
    assert sorted(row["file"] for row in rows(out)) == sorted(map(str, [*files, "in/bad.wav"]))
    workers = {row["worker"] for row in rows(out)}  # one, where it is so much faster than the other
    assert workers and f"{socket.gethostname()}:{os.getpid()}" not in workers

    assert run("denoise", "in", "-o", "near", "-j", 1)[0] == 1
    for file in files:
        near, far = (soundfile.read(Path(place) / file.relative_to("in"))[0] for place in ("near", "far"))
        np.testing.assert_allclose(far, near, atol=2e-3)

    Path("in/bad.wav").unlink()
    judged = [run("score", "in", "far", "--json", *words) for words in ((), ("--scheduler", tap.address))]
    near, far = ({row["file"]: row["si_sdr"] for row in rows(out)} for _, out, _ in judged)
    assert len(near) == 6
    assert far == pytest.approx(near, abs=1e-6)


def test_a_killed_worker_loses_nothing_and_a_rerun_does_nothing_twice(tap, run, tmp_path):
    files = utterances(tmp_path / "in", 16)
    words = ["denoise", "in", "-o", "out", "--scheduler", tap.address, "--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "speechjem", *words],
        cwd=tmp_path, env=os.environ | ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout
        first = json.loads(process.stdout.readline())
        os.kill(int(first["worker"].rsplit(":")[-1]), signal.SIGKILL)
        out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    done = [first, *rows(out)]
    assert sorted(row["file"] for row in done) == sorted(str(file.relative_to(tmp_path)) for file in files)
    outputs = [tmp_path / "out" / file.relative_to(tmp_path / "in") for file in files]
    assert {soundfile.info(output).frames for output in outputs} == {RATE // 2}

    missing = outputs[3:6]
    for output in missing:
        output.unlink()
    before = {output: output.stat().st_mtime_ns for output in outputs if output.exists()}
    code, out, err = run(*words, "--skip-done")
    assert code == 0
    assert "13 of 16 outputs exist" in err
    assert sorted(row["output"] for row in rows(out)) == sorted(str(o.relative_to(tmp_path)) for o in missing)
    assert all(output.exists() for output in missing)
    assert before == {output: output.stat().st_mtime_ns for output in before}


def test_recordings_do_not_go_through_the_scheduler(tap, run):
    rng = np.random.default_rng(0)
    for number in range(4):
        Path("in").mkdir(exist_ok=True)
        soundfile.write(f"in/{number}.wav", 0.1 * rng.standard_normal((48000, 4)), 48000, subtype="DOUBLE")
    before = tap.count
    assert run("denoise", "in", "-o", "out", "--scheduler", tap.address)[0] == 0
    size = sum(file.stat().st_size for place in ("in", "out") for file in Path(place).iterdir())
    assert 0 < tap.count - before < 0.05 * size


def deadly(source: Path, target: Path) -> str:
    """Work that some files make a worker die of."""
    if source.name == "deadly":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)
    return source.name


def test_a_file_that_workers_die_of_is_named_and_no_other_is_blamed(tap):
    names = ["a", "b", "deadly", "c", "d", "e", "f"]
    outcomes = jobs.run(deadly, [(Path(name), Path("none")) for name in names], scheduler=tap.address)
    values = {outcome.job[0].name: (outcome.value, outcome.error) for outcome in outcomes}
    assert "workers die of it" in str(values.pop("deadly")[1])
    assert values == {name: (name, None) for name in names if name != "deadly"}


def unexpected(source: Path, target: Path) -> None:
    raise ZeroDivisionError(source.name)


def test_what_a_worker_stumbles_over_is_named(tap):
    outcomes = jobs.run(unexpected, [(Path(name), Path("none")) for name in "ab"], scheduler=tap.address)
    assert {(o.job[0].name, "ZeroDivisionError" in str(o.error)) for o in outcomes} == {("a", 1), ("b", 1)}


def test_a_model_that_is_wrong_ends_the_run(tap, run, tmp_path):
    utterances(tmp_path / "in", 3)
    words = ("denoise", "in", "-o", "out", "--scheduler", tap.address)
    code, _, err = run(*words, "--model", "nowhere")
    assert (code, err.count("\n")) == (1, 1)
    assert "nowhere is not a model folder" in err
    assert run(*words, "--steps", 99)[0] == 2
    assert not Path("out").exists()


def test_a_process_loads_the_model_once_a_run(tmp_path):
    files = utterances(tmp_path, 3, 0.1)
    sent = pickle.dumps(FileDenoiser((("strength", 0.5),)))
    assert len(sent) < 1000
    before = file_denoising._load.cache_info().misses
    for number, file in enumerate(files):
        assert pickle.loads(sent)(file, tmp_path / f"{number}.wav") == 0.1
    assert file_denoising._load.cache_info().misses == before + 1

    # What a later run finds under the same path may be another model.
    model = tmp_path / "model"
    shutil.copytree(HERE.parent / "models" / "base", model)
    settings = (("model", str(model)),)
    FileDenoiser(settings)(files[0], tmp_path / "with.wav")
    (model / "config.json").write_text("{}")
    with pytest.raises(ModelError):
        FileDenoiser(settings)(files[0], tmp_path / "without.wav")


def test_a_lost_scheduler_is_said(tmp_path):
    utterances(tmp_path / "in", 2)
    # So long a client tries to reach a scheduler, the first time and when it is lost.
    environment = os.environ | ENVIRONMENT | {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "10s"}
    with scheduler() as (process, port):
        words = ["denoise", "in", "-o", "out", "--scheduler", f"tcp://127.0.0.1:{port}"]
        with subprocess.Popen(
            [sys.executable, "-m", "speechjem", *words],
            cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True,
        ) as command:  # fmt: skip
            assert command.stderr
            assert "no workers yet" in command.stderr.readline()
            process.kill()
            assert "was lost; start it again" in command.stderr.readline()
            assert command.stderr.read() == ""
    assert command.returncode == 1


def test_workers_that_memory_will_stop_are_warned_of(tap, capsys):
    words = (
        "distributed.cli.dask_worker",
        tap.address,
        "--no-nanny",
        "--nthreads",
        1,
        "--memory-limit",
        "1GB",
    )
    with program(*words) as process, distributed.Client(tap.address) as client:
        threading.Thread(target=process.stderr.read, daemon=True).start()
        client.wait_for_workers(3)
        assert list(jobs.run(deadly, [(Path("a"), Path("none"))], scheduler=tap.address))
    assert "less than 1.5 GB" in capsys.readouterr().err


def test_another_version_is_refused(run, tmp_path):
    (tmp_path / "speechjem-9.9.dist-info").mkdir()
    (tmp_path / "speechjem-9.9.dist-info" / "METADATA").write_text("Name: speechjem\nVersion: 9.9\n")
    utterances(tmp_path / "in", 2)
    with scheduler(path=str(tmp_path)) as (_, port):
        code, _, err = run("denoise", "in", "-o", "out", "--scheduler", f"tcp://127.0.0.1:{port}")
    assert code == 1
    assert "The scheduler has speechjem 9.9, but here is" in err


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["in", "--scheduler", "tcp://127.0.0.1:9"], 1, "No Dask scheduler answers at tcp://127.0.0.1:9"),
        (["in", "--scheduler", "nowhere.json"], 1, "nowhere.json"),
        (["in", "--scheduler", "somewhere"], 2, "tcp://host:8786"),
        (["in", "--scheduler", "tcp://host:port"], 2, "tcp://host:8786"),
        (["in", "--scheduler", "tcp://host:8786", "-j", "2"], 2, "--jobs"),
        (["-", "--scheduler", "tcp://host:8786"], 2, "--scheduler is for files"),
    ],
)
def test_an_address_that_cannot_be_is_refused(run, tmp_path, words, code, part):
    utterances(tmp_path / "in", 1)
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
        done, _, err = run("denoise", *words, "-o", "out")
    assert done == code
    assert part in err
    assert err.count("\n") == 1
