"""The progress bar, as it comes to the terminal of a real process."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

RATE = 16000


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name, seconds in {"a": 1, "b": 1, "long": 300}.items():
        samples = rng.uniform(-0.1, 0.1, seconds * RATE).astype(np.float32)
        soundfile.write(tmp_path / f"{name}.wav", samples, RATE)
    return tmp_path


def start(folder: Path, *words: str) -> tuple[subprocess.Popen[str], Iterator[str]]:
    """The command line, and what its stderr shows, which is a terminal."""
    terminal, stderr = pty.openpty()
    command = [sys.executable, "-m", "speechjem", *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TERM": "xterm", "COLUMNS": "80"}
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment
    )
    os.close(stderr)
    return process, shown(terminal)


def shown(terminal: int) -> Iterator[str]:
    while True:
        try:
            yield os.read(terminal, 1 << 16).decode(errors="replace")
        except OSError:  # the process has ended
            os.close(terminal)
            return


def percentages(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"(\d+)%", text)]


def test_the_bar_moves_within_a_long_file(recordings):
    process, terminal = start(recordings, "denoise", "long.wav", "-o", "out.wav")
    moved = next(text for text in terminal if any(0 < share < 100 for share in percentages(text)))
    assert not (recordings / "out.wav").exists() and percentages(moved) == sorted(percentages(moved))
    process.send_signal(signal.SIGINT)
    assert "Interrupted" in "".join(terminal)
    assert process.wait() == 130


def test_what_is_printed_reaches_stdout_whole_beside_a_bar(recordings):
    process, terminal = start(recordings, "denoise", "a.wav", "no.wav", "b.wav", "-o", "out", "--json")
    text = "".join(terminal)
    out, _ = process.communicate()
    files = sorted(json.loads(line)["file"] for line in out.splitlines())
    assert (process.returncode, files) == (1, ["a.wav", "b.wav", "no.wav"])
    assert percentages(text)[-1] == 100
    assert "\x1b[2Kspeechjem: No such file: no.wav." in text  # on a line of its own


@pytest.mark.parametrize("told", ["--quiet", "--verbose"])
def test_there_is_no_bar_where_it_is_not_wanted(recordings, told):
    process, terminal = start(recordings, "denoise", "a.wav", "b.wav", "-o", "out", told)
    assert "%" not in "".join(terminal)
    assert process.wait() == 0
