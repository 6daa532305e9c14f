"""Load: thousands of short files in one run, and one very long file.

    python tests/load/load.py --files 10000 --hours 3

Prints a row of a Markdown table for each: the work, minutes of wall clock and of CPU, the most memory (MB) in
the first and in the second half of the run, and how far the progress shown was from the files there were.
Exit code 1 if outputs are missing or too short, or the memory grew by more than 20 MB.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pty
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import soundfile

RATE = 16000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000, help="of one second; 0 for none")
    parser.add_argument("--hours", type=float, default=3.0, help="length of the long file; 0 for none")
    arguments = parser.parse_args()
    good = True
    print("| work | minutes | CPU minutes | MB early | MB late | progress off by (%) |", flush=True)
    for name, count, seconds in (
        (f"{arguments.files} files of 1 s", arguments.files, 1.0),
        (f"1 file of {arguments.hours:g} h", 1, 3600 * arguments.hours),
    ):
        if count and seconds:
            with tempfile.TemporaryDirectory() as folder:
                good &= measure(name, Path(folder), count, seconds)
    sys.exit(0 if good else 1)


def measure(name: str, folder: Path, count: int, seconds: float) -> bool:
    source, out = folder / "in", folder / "out"
    source.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        with soundfile.SoundFile(source / f"{number:05}.wav", "w", RATE, 1) as file:
            for _ in range(round(seconds)):
                file.write(0.1 * rng.standard_normal(RATE).astype(np.float32))
    began = time.monotonic()
    terminal, stderr = pty.openpty()
    command = [sys.executable, "-m", "speechjem", "denoise", str(source), "-o", str(out), "-j", "1"]
    process = subprocess.Popen(command, stderr=stderr)
    os.close(stderr)
    shown = Shown(terminal)
    samples: list[tuple[float, int]] = []  # seconds, MB
    cpu, wrong = 0.0, 0.0
    while process.poll() is None:
        before = shown.percent
        done = 100 * len(list(out.glob("*.wav"))) / count
        if before is not None and count > 1:
            wrong = max(wrong, min(abs(before - done), abs((shown.percent or 0) - done)))
        with contextlib.suppress(FileNotFoundError, IndexError, ProcessLookupError):
            samples.append((time.monotonic() - began, memory(process.pid)))
            cpu = cpu_seconds(process.pid)
        time.sleep(0.5)
    minutes = (time.monotonic() - began) / 60
    early = max(mb for when, mb in samples if when <= 30 * minutes)
    late = max(mb for when, mb in samples if when > 30 * minutes)
    complete = all(soundfile.info(p).frames == round(seconds) * RATE for p in out.glob("*.wav"))
    complete &= len(list(out.iterdir())) == count and process.returncode == 0
    progress = f"{wrong:.0f}" if count > 1 else ""
    print(f"| {name} | {minutes:.1f} | {cpu / 60:.1f} | {early} | {late} | {progress} |", flush=True)
    return complete and late - early <= 20


class Shown:
    """The percentage that the progress bar shows last, read from the terminal in the background."""

    def __init__(self, terminal: int):
        self.percent: float | None = None
        self._terminal = terminal
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # the end of a terminal
            while text := os.read(self._terminal, 1 << 16).decode(errors="replace"):
                for percent in re.findall(r"(\d+)%", text):
                    self.percent = float(percent)


def memory(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) // 1024


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
