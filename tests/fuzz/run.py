"""Fuzz the readers, guided by coverage (needs: pip install atheris).

    python tests/fuzz/run.py --seconds 3600            # shared among all targets; or --target train.yaml

What is found goes to tests/regressions/TARGET/, where the test suite reads it from then on. Coverage is that
of Python code; libsndfile and the safetensors library are not instrumented, and see mutations of valid files.
Exit code 1 if anything was found.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

HERE = Path(__file__).parent
REGRESSIONS = HERE.parent / "regressions"
SLOWEST = 2  # seconds
LARGEST = 2048  # MB of the whole process, of which torch takes half


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("--target", help="one target only")
    parser.add_argument("--corpus", type=Path, help="folder to keep what was learnt; else a temporary one")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.target, arguments.corpus, arguments.seconds)
        return
    sys.path.insert(0, str(HERE))
    from targets import TARGETS

    names = [arguments.target] if arguments.target else list(TARGETS)
    with tempfile.TemporaryDirectory() as temporary:
        corpus = arguments.corpus or Path(temporary)
        found = [fuzz(name, corpus / name, arguments.seconds // len(names)) for name in names]
    print(f"{sum(found)} inputs found")
    sys.exit(1 if any(found) else 0)


def fuzz(name: str, corpus: Path, seconds: int) -> int:
    """Fuzz one target in a process of its own, again after each hang; print a row; give the number found."""
    before = _found(name)
    end, runs, covered, hangs = time.monotonic() + seconds, 0, 0, 0
    while (left := round(end - time.monotonic())) > 0:
        command = [sys.executable, __file__, "--worker", "--target", name, "--corpus", str(corpus)]
        finished = subprocess.run([*command, "--seconds", str(left)], capture_output=True, text=True)
        numbers = [int(n) for n in re.findall(r"^#(\d+)\s", finished.stderr, re.M)]
        runs += max(numbers, default=0)
        covered = max([covered, *(int(n) for n in re.findall(r"cov: (\d+)", finished.stderr))])
        if finished.returncode == 0:
            break
        hangs += 1
        print(finished.stderr[-2000:], file=sys.stderr)
        if not numbers:
            break
    found = len(_found(name) - before)
    print(f"| {name} | {seconds} | {runs} | {covered} | {found} | {hangs} |", flush=True)
    return found


def _found(name: str) -> set[Path]:
    return set((REGRESSIONS / name).glob("*"))


def work(name: str, corpus: Path, seconds: int) -> None:
    """Fuzz one target in this process."""
    import atheris

    sys.path.insert(0, str(HERE))
    with atheris.instrument_imports(include=["speechjem", "yaml", "praatio", "json", "soundfile"]):
        import json  # noqa: F401

        import praatio.textgrid  # noqa: F401
        import targets
        import yaml  # noqa: F401

    target, places = targets.TARGETS[name], set()
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    regressions = REGRESSIONS / name
    regressions.mkdir(parents=True, exist_ok=True)
    for path in regressions.iterdir():
        (corpus / path.name).write_bytes(path.read_bytes())

    def once(content: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            try:
                targets.run(target, content, Path(folder))
            except Exception as error:
                frame = traceback.extract_tb(error.__traceback__)[-1]
                place = (type(error), frame.filename, frame.lineno)
                if place not in places:
                    places.add(place)
                    digest = hashlib.sha256(content).hexdigest()[:12]
                    (regressions / f"{type(error).__name__}-{digest}").write_bytes(content)
                    traceback.print_exc()

    options = {
        "max_total_time": seconds,
        "timeout": SLOWEST,
        "rss_limit_mb": LARGEST,
        "max_len": 1 << 20 if name != "train.yaml" else 1 << 16,
        "artifact_prefix": f"{regressions}/",
        "print_final_stats": 1,
    }
    for seed in target.seeds():
        once(seed)  # what is imported at the first use shall not count as a hang
    atheris.Setup([sys.argv[0], *(f"-{key}={value}" for key, value in options.items()), str(corpus)], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
