"""Kaldi data directories: wav.scp, segments, utt2spk and a phone alignment in CTM.

Paths in wav.scp are relative to the directory that holds it. Pipes (entries that end in "|") are commands for
the shell: they are refused unless allowed, and run in the directory, when their recording is read.
"""

from __future__ import annotations

import math
import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .. import phones
from ..audio import Audio
from ..audio import read as read_audio
from ..errors import InputError, UsageError
from .tables import Rows, fields, lines, pairs, write_table

PITCH = "pitch.npz"
PITCH_SECONDS = 0.01  # distance of two values of it


@dataclass(frozen=True)
class Alignment:
    """Phones over time.

    Attributes:
        starts: start of each phone in seconds, ascending, shape (n,).
        ends: end of each phone in seconds, shape (n,).
        labels: index of each phone in `phones.PHONES`, shape (n,).
    """

    starts: np.ndarray
    ends: np.ndarray
    labels: np.ndarray

    def at(self, times: np.ndarray) -> np.ndarray:
        """Labels at some times in seconds, shape of `times`; silence outside every phone."""
        place = np.searchsorted(self.starts, times, side="right") - 1
        inside = (place >= 0) & (times < self.ends[place.clip(0)])
        return np.where(inside, self.labels[place.clip(0)], phones.index("SIL"))


@dataclass(frozen=True)
class Utterance:
    """One utterance of a data directory.

    Attributes:
        name, speaker: as in utt2spk.
        recording: name in wav.scp of the recording that it is, or is a segment of.
        audio: that recording's file; a command that writes it, if it ends in "|".
        alignment: its phones, or None where the CTM does not have it.
        start, end: of the segment in the recording, in seconds; None is the recording's end.
        channel: of the recording, from 0 on; None is all of them.
        pitch: as in `read_pitch`, or None where it is not known.
    """

    name: str
    recording: str
    audio: Path | str
    speaker: str
    alignment: Alignment | None
    start: float = 0.0
    end: float | None = None
    channel: int | None = None
    pitch: np.ndarray | None = None

    def read(self) -> Audio:
        """Its samples.

        Raises:
            InputError: if the recording cannot be read, ends before the segment starts, or lacks the channel.
        """
        recording = _piped(self.audio) if isinstance(self.audio, str) else read_audio(self.audio)
        rate = recording.sample_rate
        length = recording.samples.shape[1]
        end = length if self.end is None else round(min(self.end * rate, length))
        samples = recording.samples[:, round(min(self.start * rate, length)) : end]
        if samples.shape[1] == 0:
            raise InputError(f"{self.audio} has no samples for {self.name}, from {self.start:g} s on.")
        if self.channel is None:
            return replace(recording, samples=samples)
        if self.channel >= len(samples):
            raise InputError(f"{self.audio} has no channel {self.channel} for {self.name}; the first is 0.")
        return replace(recording, samples=samples[self.channel : self.channel + 1])


def read_directory(
    directory: Path, allow_pipes: bool = False, with_alignments: bool = True
) -> list[Utterance]:
    """Read a data directory.

    Args:
        directory: has wav.scp, utt2spk, perhaps segments and, for labelled speech, ali.ctm (Kaldi's CTM
            with phones). Times of a segment's phones are those in the segment. What recipes/steps/pitch.py
            measured is taken from pitch.npz, if that is there.
        allow_pipes: take commands of wav.scp; whoever wrote it can then run anything on this machine.
        with_alignments: read ali.ctm and pitch.npz, if they are there.

    Raises:
        InputError: naming file and line, for anything missing or malformed.
    """
    speakers = {name: speaker for _, name, speaker in pairs(directory / "utt2spk")}
    ctm = directory / "ali.ctm"
    alignments = read_ctm(ctm) if with_alignments and ctm.exists() else {}
    pitch = read_pitch(directory / PITCH) if with_alignments and (directory / PITCH).exists() else {}
    utterances = []
    source, pieces = _pieces(directory, allow_pipes)
    for number, name, file, piece in pieces:
        if name not in speakers:
            raise InputError(f"{source}:{number}: {name} has no speaker; add it to utt2spk.")
        utterances.append(
            Utterance(
                name, piece.recording, file, speakers[name], alignments.get(name),
                piece.start, piece.end, piece.channel, pitch.get(name),
            )
        )  # fmt: skip
    return utterances


Source = Path | str


@dataclass(frozen=True)
class Segment:
    """A recording and the part of it that is an utterance; the attributes are those of `Utterance`."""

    recording: str
    start: float = 0.0
    end: float | None = None
    channel: int | None = None


Piece = tuple[int, str, Source, Segment]  # line, name, the recording's source


def _pieces(directory: Path, allow_pipes: bool) -> tuple[Path, Iterable[Piece]]:
    """The table that names the utterances, and its content."""
    recordings = _recordings(directory, allow_pipes)
    segments = directory / "segments"
    if segments.exists():
        return segments, _segments(segments, recordings)
    whole = [(n, name, file, Segment(name)) for name, (n, file) in recordings.items()]
    return directory / "wav.scp", whole


def _recordings(directory: Path, allow_pipes: bool) -> dict[str, tuple[int, Source]]:
    """Line and source of every recording of wav.scp."""
    recordings: dict[str, tuple[int, Source]] = {}
    path = directory / "wav.scp"
    for number, name, location in pairs(path):
        if location.endswith("|") and not allow_pipes:
            raise InputError(
                f"{path}:{number}: {name} is a pipe; pass --allow-pipes if you trust its commands, "
                "or write the audio to a file first."
            )
        recordings[name] = (
            number,
            _run_in(directory, location) if location.endswith("|") else directory / location,
        )
    return recordings


def _run_in(folder: Path, command: str) -> str:
    return f"cd {shlex.quote(str(folder.resolve()))} && {command}"


def relocated(location: str, old: Path, new: Path) -> str:
    """What an entry of old/wav.scp has to be in new/wav.scp; a relative path stays relative."""
    if location.endswith("|"):
        return _run_in(old, location)
    return location if os.path.isabs(location) else os.path.relpath(old.resolve() / location, new.resolve())


def _segments(path: Path, recordings: dict[str, tuple[int, Source]]) -> Iterator[Piece]:
    for number, name, rest in pairs(path):
        try:
            piece = segment(rest)
        except InputError as error:
            raise InputError(f"{path}:{number}: {error}") from error
        if piece.recording not in recordings:
            raise InputError(f"{path}:{number}: recording {piece.recording} is not in wav.scp.")
        yield number, name, recordings[piece.recording][1], piece


def segment(value: str) -> Segment:
    """What a line of segments says after the utterance's name: ``recording start end``, in seconds.

    As in Kaldi's `extract-segments`, an end of -1 is the recording's end, and a channel may come last.

    Raises:
        InputError: if it is something else.
    """
    try:
        recording, first, last, *rest = fields(value)
        start, end = float(first), float(last)
        channel = int(*rest) if rest else None
    except (ValueError, TypeError) as error:
        raise InputError("expected 'utterance recording start end', perhaps with a channel.") from error
    if channel is not None and channel < 0:
        raise InputError(f"there is no channel {channel}; the first is 0.")
    if end == -1 and 0 <= start < math.inf:
        return Segment(recording, start, None, channel)
    if not 0 <= start < end < math.inf:
        raise InputError(f"a segment from {first} to {last} s is reversed or empty.")
    return Segment(recording, start, end, channel)


def _piped(command: str) -> Audio:
    """The output of a command, through a file, because the header in a pipe lacks the length."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "piped.wav"
        with path.open("wb") as file:
            finished = subprocess.run(command.rstrip("| "), shell=True, stdout=file, stderr=subprocess.PIPE)
        if finished.returncode != 0:
            said = finished.stderr.decode(errors="replace").strip().splitlines()
            raise InputError(f"The pipe '{command}' failed: {said[-1] if said else finished.returncode}.")
        return read_audio(path)


def read_ctm(path: Path) -> dict[str, Alignment]:
    """Phone alignments by utterance from a CTM: ``utterance channel start duration phone``."""
    rows: dict[str, list[tuple[float, float, int]]] = {}
    for number, found in ctm_lines(path):
        try:
            name, _, start, duration, phone = found[:5]
            begin, length = float(start), float(duration)
            label = phones.index(phone)
        except (ValueError, UsageError) as error:
            raise InputError(
                f"{path}:{number}: not 'utterance channel start duration phone' ({error})."
            ) from error
        if not (math.isfinite(begin) and math.isfinite(length) and begin >= 0 and length >= 0):
            raise InputError(f"{path}:{number}: start and duration must be at least 0 seconds.")
        rows.setdefault(name, []).append((begin, begin + length, label))
    alignments = {}
    for name, entries in rows.items():
        starts, ends, labels = zip(*sorted(entries), strict=True)
        alignments[name] = Alignment(np.array(starts), np.array(ends), np.array(labels))
    return alignments


def read_pitch(path: Path) -> dict[str, np.ndarray]:
    """Pitch by utterance: Hz every `PITCH_SECONDS` from its start, 0 where unvoiced, shape (n,).

    Raises:
        InputError: if the file is no such table.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            tracks = {name: np.asarray(file[name], np.float16) for name in file.files}
    except Exception as error:  # numpy and zipfile raise many kinds for a damaged file
        raise InputError(f"{path} cannot be read ({error}); measure the pitch again.") from error
    for name, track in tracks.items():
        if track.ndim != 1 or len(track) == 0 or not (track >= 0).all():
            raise InputError(f"{path}: {name} has no frequencies over time; measure the pitch again.")
    return tracks


def ctm_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Number and fields of every line of a CTM but the comments, which begin with ``;;``."""
    return ((number, found) for number, found in lines(path) if not found[0].startswith(";;"))


def write_directories(folder: Path, directories: Mapping[str, Mapping[str, Rows]]) -> None:
    """Write new data directories into a folder, each of which is whole as soon as it is there.

    Args:
        folder: made if need be.
        directories: for the name of each, its tables by their names.

    Raises:
        InputError: if one of them is there already, or the folder cannot be written.
    """
    for name in directories:
        if os.path.lexists(folder / name):
            raise InputError(f"{folder / name} exists; remove it, or choose another place.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=folder) as temporary:
            for name, tables in directories.items():
                (Path(temporary) / name).mkdir()
                for table, rows in tables.items():
                    write_table(Path(temporary) / name / table, rows)
            for name in directories:
                os.rename(Path(temporary) / name, folder / name)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error}.") from error
