"""What is wrong with a Kaldi data directory, all of it, each with file and line; and what can be mended.

Kaldi's own tools (`utils/validate_data_dir.sh`, `utils/fix_data_dir.sh`) are the model for what is looked at.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .. import audio, phones
from ..errors import InputError, UsageError
from .kaldi import lines, segment, spk2utt_rows, write_table

NEEDED = ("wav.scp", "utt2spk")
TABLES = (*NEEDED, "text", "spk2utt", "segments", "ali.ctm")
SLACK = 0.05  # seconds that a time may lie beyond the end of its recording
ROUNDING = 0.015  # seconds that phones may overlap, for start and duration may be rounded to 0.01 s each


@dataclass(frozen=True)
class Line:
    """One line of a table: where it is, its key and the other fields."""

    path: Path
    number: int
    key: str
    rest: list[str]

    @property
    def is_pipe(self) -> bool:
        return bool(self.rest) and self.rest[-1].endswith("|")

    def says(self, problem: str) -> str:
        return f"{self.path}:{self.number}: {problem}"


@dataclass(frozen=True)
class Report:
    """What was found in a data directory.

    Attributes:
        problems: a sentence for everything that is wrong, with file and line.
        utterances, speakers: their numbers.
        hours: length of the utterances whose recordings could be opened.
    """

    problems: list[str]
    utterances: int
    speakers: int
    hours: float


def inspect(directory: Path, allow_pipes: bool = False) -> Report:
    """Look at a data directory.

    Args:
        directory: has wav.scp and utt2spk, and where there are any text, spk2utt, segments and ali.ctm.
            Recordings are opened, not decoded.
        allow_pipes: do not call a pipe in wav.scp a problem; it is not run.

    Raises:
        InputError: if a file cannot be read as text, or one that is needed is missing.
    """
    tables = _read(directory)
    lengths: dict[str, float] = {}
    unopened = [_open(line, lengths) for line in tables["wav.scp"] if not (allow_pipes and line.is_pipe)]
    seconds = _durations(tables["segments"]) if "segments" in tables else lengths
    utterances = {line.key for line in tables.get("segments", tables["wav.scp"])}
    found = [problem for problem in unopened if problem]
    found += _problems(tables, lengths, seconds, utterances)
    speakers = {" ".join(line.rest) for line in tables["utt2spk"]}
    return Report(found, len(utterances), len(speakers), sum(seconds.values()) / 3600)


def _problems(
    tables: dict[str, list[Line]], lengths: dict[str, float], seconds: dict[str, float], utterances: set[str]
) -> Iterator[str]:
    """All that is wrong with the tables; lengths are those of recordings, seconds those of utterances."""
    for name, table in tables.items():
        yield from _disorder(table, may_repeat=name == "ali.ctm")
        yield from _emptiness(table)
    if "segments" in tables:
        yield from _segments(tables["segments"], {line.key for line in tables["wav.scp"]}, lengths)
    yield from _same_keys(tables, utterances)
    if "spk2utt" in tables:
        yield from _speakers(tables["spk2utt"], tables["utt2spk"])
    if "ali.ctm" in tables:
        yield from _alignment(tables["ali.ctm"], utterances, seconds)


def fix(directory: Path) -> list[str]:
    """Sort the tables, and leave out utterances that wav.scp (or segments), utt2spk or text lacks.

    spk2utt is written anew. Of a key that is there twice the first line stays. Recordings are not looked at.

    Args:
        directory: as in `inspect`. Its tables are written over; as they were, they stay in `.backup`.

    Returns:
        Names of the utterances left out, sorted.

    Raises:
        InputError: if a file cannot be read as text, or one that is needed is missing.
    """
    tables = _read(directory)
    backup = directory / ".backup"
    backup.mkdir(exist_ok=True)
    for name in tables:
        shutil.copy(directory / name, backup / name)
    first = {name: _first_of_each(table) for name, table in tables.items() if name != "ali.ctm"}
    sources = [first[name] for name in ("segments", "utt2spk", "text") if name in first]
    if "segments" not in first:
        sources.append(first["wav.scp"])
    everything = set().union(*sources)
    kept = everything.intersection(*sources)
    for name, table in first.items():
        if name == "spk2utt":
            continue
        keys = set(table) if name == "wav.scp" and "segments" in first else kept
        write_table(directory / name, [[key, *table[key].rest] for key in keys & set(table)])
    write_table(
        directory / "spk2utt", spk2utt_rows((key, " ".join(first["utt2spk"][key].rest)) for key in kept)
    )
    if "ali.ctm" in tables:
        aligned = [line for line in tables["ali.ctm"] if line.key in kept]
        aligned.sort(key=lambda line: _number(line.rest[1:2]))
        write_table(directory / "ali.ctm", [[line.key, *line.rest] for line in aligned])
    return sorted(everything - kept)


def _read(directory: Path) -> dict[str, list[Line]]:
    paths = [directory / name for name in TABLES]
    return {
        path.name: [Line(path, number, fields[0], fields[1:]) for number, fields in lines(path)]
        for path in paths
        if path.name in NEEDED or path.exists()
    }


def _first_of_each(table: list[Line]) -> dict[str, Line]:
    return {line.key: line for line in reversed(table)}


def _disorder(table: list[Line], may_repeat: bool) -> Iterator[str]:
    """Keys that are there twice, and the first that is out of order (that of bytes, as LC_ALL=C sort)."""
    seen: dict[str, int] = {}
    for line in table:
        if line.key in seen and not may_repeat:
            yield line.says(f"{line.key} is there twice, first in line {seen[line.key]}; remove one.")
        seen.setdefault(line.key, line.number)
    for before, line in zip(table, table[1:], strict=False):
        if line.key.encode() < before.key.encode():
            yield line.says(f"{line.key} comes after {before.key}; sort the file (LC_ALL=C sort).")
            break


def _emptiness(table: list[Line]) -> Iterator[str]:
    for line in table:
        if not line.rest:
            yield line.says(f"{line.key} has no value.")


def _open(line: Line, lengths: dict[str, float]) -> str | None:
    """Note the seconds of a recording, or say why it cannot be opened."""
    if line.is_pipe:
        return line.says(f"{line.key} is a pipe; pass --allow-pipes, or write the audio to a file.")
    path = line.path.parent / " ".join(line.rest)
    try:
        file = audio.open_file(path)
    except InputError:
        return line.says(f"{path} is missing or is no audio.")
    lengths[line.key] = file.frames / file.sample_rate
    return None if lengths[line.key] > 0 else line.says(f"{path} has no samples.")


def _segments(table: list[Line], recordings: set[str], lengths: dict[str, float]) -> Iterator[str]:
    """Segments of recordings that are not there, reversed ones, and those that end too late."""
    for line in table:
        try:
            recording, _, end = segment(line.rest)
        except InputError as error:
            yield line.says(str(error))
            continue
        if recording not in recordings:
            yield line.says(f"recording {recording} is not in wav.scp.")
        elif end > lengths.get(recording, end) + SLACK:
            yield line.says(f"it ends at {end:g} s, but {recording} lasts {lengths[recording]:.2f} s.")


def _durations(segments: list[Line]) -> dict[str, float]:
    """Seconds of every segment that is one."""
    seconds = {}
    for line in segments:
        with contextlib.suppress(InputError):
            _, start, end = segment(line.rest)
            seconds[line.key] = end - start
    return seconds


def _same_keys(tables: dict[str, list[Line]], utterances: set[str]) -> Iterator[str]:
    source = "segments" if "segments" in tables else "wav.scp"
    for name in ("utt2spk", "text"):
        if name not in tables:
            continue
        keys = {line.key for line in tables[name]}
        for line in tables[name]:
            if line.key not in utterances:
                yield line.says(f"{line.key} is not in {source}.")
        for line in tables[source]:
            if line.key not in keys:
                yield line.says(f"{line.key} is not in {name}.")


def _speakers(spk2utt: list[Line], utt2spk: list[Line]) -> Iterator[str]:
    speaker = {line.key: " ".join(line.rest) for line in utt2spk}
    listed = set()
    for line in spk2utt:
        for utterance in line.rest:
            listed.add(utterance)
            if speaker.get(utterance) != line.key:
                yield line.says(f"utt2spk does not give {utterance} to {line.key}.")
    for line in utt2spk:
        if line.key not in listed:
            yield line.says(f"{line.key} is not in spk2utt.")


def _alignment(table: list[Line], utterances: set[str], ends: dict[str, float]) -> Iterator[str]:
    """Phones that are none, or lie in no utterance, past its end, or over one another."""
    last: dict[str, float] = {}
    for line in table:
        start, duration = (_number(line.rest[k : k + 1]) for k in (1, 2))
        if len(line.rest) < 4 or not (start >= 0 and duration >= 0):
            yield line.says("expected 'utterance channel start duration phone', times in seconds from 0 on.")
            continue
        try:
            phones.index(line.rest[3])
        except UsageError as error:
            yield line.says(str(error))
        if line.key not in utterances:
            yield line.says(f"{line.key} is no utterance of this directory.")
        elif start + duration > ends.get(line.key, start + duration) + SLACK:
            end = f"{start + duration:.2f}"
            yield line.says(f"{line.rest[3]} ends at {end} s, but {line.key} lasts {ends[line.key]:.2f} s.")
        if start < last.get(line.key, 0.0) - ROUNDING:
            yield line.says(f"{line.rest[3]} starts before the phone in front of it ends.")
        last[line.key] = start + duration


def _number(fields: list[str]) -> float:
    """The number in the only field, or nan, which fails every comparison."""
    try:
        return float(fields[0])
    except (IndexError, ValueError):
        return float("nan")
