"""Validation of Kaldi data directories: every fault with file and line; and how to mend them.

Kaldi's own tools (`utils/validate_data_dir.sh`, `utils/fix_data_dir.sh`) are the model for what is looked at.
"""

from __future__ import annotations

import contextlib
import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .. import audio, phones
from ..errors import InputError, UsageError
from .kaldi import ctm_lines, segment
from .tables import fields, files, kind, lines, spk2utt_rows, write_table

NEEDED = ("wav.scp", "utt2spk")
TABLES = (*NEEDED, "text", "spk2utt", "segments", "ali.ctm")
NAMES = {"name": "utterance", "speaker": "speaker", "recording": "recording"}  # of the kinds of `KEYS`
SLACK = 0.05  # seconds that a time may lie beyond the end of its recording
ROUNDING = 0.015  # seconds that phones may overlap, for start and duration may be rounded to 0.01 s each


@dataclass(frozen=True)
class Line:
    """One line of a table: where it is, its key and its value as it stands."""

    path: Path
    number: int
    key: str
    value: str

    @property
    def fields(self) -> list[str]:
        return fields(self.value)

    @property
    def is_pipe(self) -> bool:
        return self.value.endswith("|")

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
    seconds = _durations(tables["segments"], lengths) if "segments" in tables else lengths
    utterances = {line.key for line in tables.get("segments", tables["wav.scp"])}
    found = [problem for problem in unopened if problem]
    found += _problems(tables, lengths, seconds, utterances)
    speakers = {line.value for line in tables["utt2spk"]}
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
    yield from _strays(tables, utterances)
    if "spk2utt" in tables:
        yield from _speakers(tables["spk2utt"], tables["utt2spk"])
    if "ali.ctm" in tables:
        yield from _alignment(tables["ali.ctm"], utterances, seconds)


@dataclass(frozen=True)
class Mended:
    """The result of mending: what was left out, and which files were not read.

    Attributes:
        left_out: names of utterances, sorted.
        unknown: files that are none of the tables that are known.
    """

    left_out: list[str]
    unknown: list[str]


def fix(directory: Path) -> Mended:
    """Sort the tables, and leave out utterances that wav.scp (or segments), utt2spk or text lacks.

    They go from every table of `tables.KEYS`, as do speakers and recordings that no utterance is left of.
    spk2utt is written anew. Of a key that is there twice the first line stays. Recordings are not looked at.

    Args:
        directory: as in `inspect`. Its tables are written over; as they were, they stay in `.backup`.

    Raises:
        InputError: if a file cannot be read as text, or one that is needed is missing.
    """
    tables = _read(directory)
    backup = directory / ".backup"
    backup.mkdir(exist_ok=True)
    for name in tables:
        shutil.copy(directory / name, backup / name)
    first = {name: _first_of_each(table) for name, table in tables.items()}
    everything, kept = _complete(first)
    known = _names(tables, kept)
    for name, table in tables.items():
        names = known[kind(name) or ""]
        found = [line for line in table if line.key in names]
        if name == "ali.ctm":
            found.sort(key=lambda line: _number(line.fields[1:2]))
        else:
            found = list(_first_of_each(found).values())
        write_table(directory / name, [[line.key, *filter(None, [line.value])] for line in found])
    speakers = ((key, first["utt2spk"][key].value) for key in kept)
    write_table(directory / "spk2utt", spk2utt_rows(speakers))
    return Mended(sorted(everything - kept), [path.name for path in files(directory) if not kind(path.name)])


def _complete(first: dict[str, dict[str, Line]]) -> tuple[set[str], set[str]]:
    """All utterances, and those that all tables have."""
    sources = [set(first[name]) for name in ("utt2spk", "text") if name in first]
    segments = first.get("segments")
    everything = set().union(*sources, first["wav.scp"] if segments is None else segments)
    if segments is None:
        return everything, everything.intersection(*sources, first["wav.scp"])
    found = {key for key, line in segments.items() if line.fields[:1] and line.fields[0] in first["wav.scp"]}
    return everything, everything.intersection(*sources, found)


def _read(directory: Path) -> dict[str, list[Line]]:
    others = [path for path in files(directory) if kind(path.name)] if directory.is_dir() else []
    paths = dict.fromkeys([*(directory / name for name in TABLES), *others])
    return {
        path.name: [Line(path, number, key, " ".join(value)) for number, (key, *value) in _lines(path)]
        for path in paths
        if path.name in NEEDED or path.exists()
    }


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    return ctm_lines(path) if path.name == "ali.ctm" else lines(path, 1)


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
        if not line.value:
            yield line.says(f"{line.key} has no value.")


def _open(line: Line, lengths: dict[str, float]) -> str | None:
    """Record the duration of a recording, or the reason why it cannot be opened."""
    if line.is_pipe:
        return line.says(f"{line.key} is a pipe; pass --allow-pipes, or write the audio to a file.")
    path = line.path.parent / line.value
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
            piece = segment(line.value)
        except InputError as error:
            yield line.says(str(error))
            continue
        name = piece.recording
        length = lengths.get(name, math.inf)
        if name not in recordings:
            yield line.says(f"recording {name} is not in wav.scp.")
        elif piece.start >= length:
            yield line.says(f"it starts at {piece.start:g} s, but {name} lasts {length:.2f} s.")
        elif piece.end and piece.end > length + SLACK:
            yield line.says(f"it ends at {piece.end:g} s, but {name} lasts {length:.2f} s.")


def _durations(segments: list[Line], lengths: dict[str, float]) -> dict[str, float]:
    """Duration of every valid segment whose end is known."""
    seconds = {}
    for line in segments:
        with contextlib.suppress(InputError):
            piece = segment(line.value)
            end = lengths.get(piece.recording) if piece.end is None else piece.end
            if end is not None:
                seconds[line.key] = max(end - piece.start, 0.0)
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


def _strays(tables: dict[str, list[Line]], utterances: set[str]) -> Iterator[str]:
    """Lines without an utterance, in the tables that are not checked otherwise."""
    known = _names(tables, utterances)
    for name, table in tables.items():
        if name in TABLES:
            continue
        what = kind(name) or ""
        for line in table:
            if line.key not in known[what]:
                yield line.says(f"{line.key} is no {NAMES[what]} of this directory.")


def _names(tables: dict[str, list[Line]], utterances: set[str]) -> dict[str, set[str]]:
    """Utterances, and their speakers and recordings, by the kinds of `KEYS`."""
    segments = [line for line in tables.get("segments", []) if line.key in utterances]
    return {
        "name": utterances,
        "speaker": {line.value for line in tables["utt2spk"] if line.key in utterances},
        "recording": {line.fields[0] for line in segments if line.value}
        if "segments" in tables
        else utterances,
    }


def _speakers(spk2utt: list[Line], utt2spk: list[Line]) -> Iterator[str]:
    speaker = {line.key: line.value for line in utt2spk}
    listed = set()
    for line in spk2utt:
        for utterance in line.fields:
            listed.add(utterance)
            if speaker.get(utterance) != line.key:
                yield line.says(f"utt2spk does not give {utterance} to {line.key}.")
    for line in utt2spk:
        if line.key not in listed:
            yield line.says(f"{line.key} is not in spk2utt.")


def _alignment(table: list[Line], utterances: set[str], ends: dict[str, float]) -> Iterator[str]:
    """Unknown phones, and phones in no utterance, past its end, or overlapping."""
    last: dict[str, float] = {}
    for line in table:
        rest = line.fields
        start, duration = (_number(rest[k : k + 1]) for k in (1, 2))
        if len(rest) < 4 or not (start >= 0 and duration >= 0):
            yield line.says("expected 'utterance channel start duration phone', times in seconds from 0 on.")
            continue
        try:
            phones.index(rest[3])
        except UsageError as error:
            yield line.says(str(error))
        if line.key not in utterances:
            yield line.says(f"{line.key} is no utterance of this directory.")
        elif start + duration > ends.get(line.key, start + duration) + SLACK:
            end = f"{start + duration:.2f}"
            yield line.says(f"{rest[3]} ends at {end} s, but {line.key} lasts {ends[line.key]:.2f} s.")
        if start < last.get(line.key, 0.0) - ROUNDING:
            yield line.says(f"{rest[3]} starts before the phone in front of it ends.")
        last[line.key] = start + duration


def _number(fields: list[str]) -> float:
    """The number in the only field, or nan, which fails every comparison."""
    try:
        return float(fields[0])
    except (IndexError, ValueError):
        return float("nan")
