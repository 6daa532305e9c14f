"""No input makes a reader fail otherwise than with a sentence, in less than 2 s and 1 GB. See tests/fuzz/."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from speechjem import audio
from speechjem.errors import InputError

sys.path.insert(0, str(Path(__file__).parent / "fuzz"))
import targets  # noqa: E402

SLOWEST = 2.0  # seconds of CPU
LARGEST = 1 << 20  # kB


@pytest.fixture(scope="module", autouse=True)
def _imported(tmp_path_factory):
    """What is imported at the first use shall not count."""
    for name, target in targets.TARGETS.items():
        for number, seed in enumerate(target.seeds()):
            targets.run(target, seed, tmp_path_factory.mktemp(f"{name}-{number}"))


def check(name: str, content: bytes, folder: Path) -> bool:
    before, memory = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    taken = targets.run(targets.TARGETS[name], content, folder)
    assert time.process_time() - before < SLOWEST
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < LARGEST
    return taken


@st.composite
def damaged(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A valid file with some bytes replaced, taken out, put in or said again."""
    content = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = start + draw(st.sampled_from([0, 1, 2, 4, 8, 64]))
        piece = st.sampled_from(
            [b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"-1", b"1e999", b"nan", b"{", b"*a"]
        )
        content[start:end] = draw(piece | st.binary(max_size=8) | st.just(bytes(content[start:end]) * 40))
    return bytes(content[: draw(st.sampled_from([len(content), draw(st.integers(0, len(content)))]))])


@pytest.mark.parametrize("name", targets.TARGETS)
def test_damaged_files_are_read_or_refused(name, tmp_path_factory):
    @settings(max_examples=30, suppress_health_check=list(HealthCheck), database=None)
    @given(damaged(targets.TARGETS[name].seeds()))
    def attempt(content: bytes) -> None:
        check(name, content, tmp_path_factory.mktemp("fuzz"))

    attempt()


@pytest.mark.parametrize("name", [name for name in targets.TARGETS if name != "raw"])
def test_the_files_that_are_damaged_are_good(name, tmp_path_factory):
    for seed in targets.TARGETS[name].seeds():
        assert check(name, seed, tmp_path_factory.mktemp("seed")), seed


@pytest.mark.parametrize(
    ("name", "path"), list(targets.regressions()), ids=lambda value: getattr(value, "name", value)
)
def test_what_was_once_a_defect_is_read_or_refused(name, path, tmp_path):
    check(name, path.read_bytes(), tmp_path)


MEGABYTE = {
    "wav.scp": b"".join(b"u%04d sub/%s.wav\n" % (n, b"b" * 200) for n in range(4900)),  # each is looked for
    "utt2spk": b"u1 anna\n" + b"u " * 500_000,
    "segments": b"".join(b"s%06d u1 0.0 0.1\n" % n for n in range(58_000)),
    "ali.ctm": b"u1 1 0.00 0.05 AA\n" * 58_000,
    "TextGrid": targets.GRID.encode() + b"        intervals [3]:\n" * 45_000,
    "train.yaml": b"a: &a [" + b"[" * (1 << 20),
    "config.json": b"[" * (1 << 20),
    "model.safetensors": (1 << 20).to_bytes(8, "little") + b'{"a":' * 200_000,
    "audio": targets.TARGETS["audio"].seeds()[0] + b"\0" * (1 << 20),
}


@pytest.mark.parametrize("name", MEGABYTE)
def test_a_megabyte_is_no_trouble(name, tmp_path):
    check(name, MEGABYTE[name], tmp_path)


def nested(levels: int, merged: bool) -> bytes:
    """Ten times as much in every line, by aliases: the "billion laughs"."""
    lines = ["a0: &a0 {k: v}" if merged else "a0: &a0 [x, x, x]"]
    for n in range(levels):
        ten = ", ".join([f"*a{n}"] * 10)
        lines.append(f"a{n + 1}: &a{n + 1} " + (f"{{<<: [{ten}]}}" if merged else f"[{ten}]"))
    return "\n".join(lines).encode()


@pytest.mark.parametrize("merged", [False, True])
def test_aliases_that_multiply_are_refused(tmp_path, merged):
    assert not check("train.yaml", nested(9, merged), tmp_path)


def test_silence_that_unfolds_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(audio.files, "_LARGEST", 1 << 20)
    soundfile.write(tmp_path / "a.flac", np.zeros(1 << 22), 8000)
    with pytest.raises(InputError, match="unfolds to more than 512 times its size"):
        audio.read(tmp_path / "a.flac")
    assert sum(chunk.shape[1] for chunk in audio.open_file(tmp_path / "a.flac").chunks()) == 1 << 22
    soundfile.write(tmp_path / "a.wav", np.zeros(1 << 22), 8000)  # as long, and as large as it seems
    assert audio.read(tmp_path / "a.wav").samples.shape == (1, 1 << 22)
