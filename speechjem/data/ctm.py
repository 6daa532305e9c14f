"""Phone alignments in CTM as other tools write them, made the ali.ctm of a data directory.

A line is ``name channel start duration phone``, perhaps with a confidence, times in seconds (NIST's format).
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from .. import phones
from ..audio import open_file
from ..errors import InputError, UsageError
from .kaldi import Source, ctm_lines, read_directory
from .tables import lines, write_table
from .validation import ROUNDING, SLACK


@dataclass(frozen=True)
class Mark:
    """A phone with its start and end in seconds, and where it was found, with which errors begin."""

    start: float
    end: float
    phone: str
    place: str


def import_alignment(directory: Path, ctm: Path, phone_map: Path | None = None) -> list[str]:
    """Write ali.ctm from a CTM.

    Its names are those of utterances, or of recordings: then the phones go to the segments that they lie in,
    cut off at their edges. A name that is both is the utterance's. Channels tell recordings apart where
    reco2file_and_channel says so; elsewhere a name must have one only. Lines may be in any order, and are
    comments if they begin with ``;;``.

    Args:
        directory: data directory; an ali.ctm that is there is written over.
        ctm: its phones are spelt as in `phones.normalise`.
        phone_map: table of lines ``PHONE OURS``, for phones that are spelt in another way.

    Returns:
        Sentences on the utterances without phones, and on phones that lie in no utterance.

    Raises:
        InputError: naming file and line, for a line that is malformed, an unknown name or phone, and a phone
            that is reversed, lies over another, or ends after its utterance or recording (the length of a
            pipe is not known). ali.ctm stays as it was.
    """
    for path in filter(None, (ctm, phone_map)):
        if not path.exists():
            raise InputError(f"No such file: {path}. Check the path.")
    utterances = read_directory(directory, allow_pipes=True, with_alignments=False)
    spans: dict[str, tuple[Source, float, float | None]] = {
        **{utterance.recording: (utterance.audio, 0.0, None) for utterance in utterances},
        **{utterance.name: (utterance.audio, utterance.start, utterance.end) for utterance in utterances},
    }
    marks = _read(ctm, _recordings(directory), phone_spellings(phone_map))
    for name, found in marks.items():
        if name not in spans:
            raise InputError(
                f"{found[0].place}: {directory} has neither an utterance nor a recording {name}."
            )
        marks[name] = checked(found, seconds(*spans[name]))
    aligned = {
        utterance.name: marks.get(utterance.name)
        or within(marks.get(utterance.recording, []), utterance.start, utterance.end or math.inf)
        for utterance in utterances
    }
    write_table(directory / "ali.ctm", (row for name, found in aligned.items() for row in rows(name, found)))
    notices = [
        f"{name} has no phones in {ctm}, and stays without an alignment."
        for name, found in aligned.items()
        if not found
    ]
    placed = {mark.place for found in aligned.values() for mark in found}
    for name, found in marks.items():
        lost = sum(mark.place not in placed for mark in found if mark.phone != phones.SILENCE)
        if lost:
            notices.append(f"{lost} phones of {name} lie in no utterance, and are left out.")
    return notices


def checked(marks: list[Mark], length: float) -> list[Mark]:
    """Phones of one recording in the order of time, without the overlaps that come from rounding.

    Args:
        marks: in any order.
        length: of the recording in seconds.

    Raises:
        InputError: for one that is reversed, lies over another, or ends after the recording.
    """
    for mark in marks:
        times = f"{mark.phone} from {mark.start:g} to {mark.end:g} s"
        if not 0 <= mark.start <= mark.end < math.inf:
            raise InputError(f"{mark.place}: {times} is reversed, or does not start at 0 s or later.")
        if mark.end > length + SLACK:
            raise InputError(f"{mark.place}: {times} ends too late; the recording lasts {length:.2f} s.")
    ordered = sorted(marks, key=lambda mark: (mark.start, mark.end))
    for place, (before, mark) in enumerate(pairwise(ordered)):
        if mark.start < before.end - ROUNDING:
            raise InputError(
                f"{mark.place}: {mark.phone} starts at {mark.start:g} s, but {before.phone} before it "
                f"({before.place}) ends at {before.end:g} s."
            )
        ordered[place] = replace(before, end=min(before.end, mark.start))
    return ordered


def within(marks: list[Mark], start: float, end: float) -> list[Mark]:
    """Phones between two times in seconds, cut off there, with times from `start` on.

    Args:
        marks: in the order of time, none over another.
    """
    first = bisect_right(marks, start, key=lambda mark: mark.end)
    last = bisect_left(marks, end, key=lambda mark: mark.start)
    return [
        replace(mark, start=max(mark.start, start) - start, end=min(mark.end, end) - start)
        for mark in marks[first:last]
    ]


def rows(name: str, marks: Iterable[Mark]) -> list[list[str]]:
    """Lines of a CTM, to the millisecond."""
    times = [(round(mark.start, 3), round(mark.end, 3), mark.phone) for mark in marks]
    return [[name, "1", f"{start:.3f}", f"{end - start:.3f}", phone] for start, end, phone in times]


def normalised(label: str, place: str) -> str:
    """The phone of a label, or an error that begins with where it was found."""
    try:
        return phones.normalise(label)
    except UsageError as error:
        raise InputError(f"{place}: {error}") from error


def _read(
    ctm: Path, recordings: Mapping[tuple[str, str], str], spelling: Mapping[str, str]
) -> dict[str, list[Mark]]:
    """The phones of every name."""
    marks: dict[str, list[Mark]] = {}
    channels: dict[str, str] = {}
    for number, fields in ctm_lines(ctm):
        place = f"{ctm}:{number}"
        try:
            name, channel, start, duration, label = fields[:5]
            begin, length = float(start), float(duration)
        except ValueError as error:
            raise InputError(f"{place}: expected 'name channel start duration phone', in seconds.") from error
        name = recordings.get((name, channel), name)
        if channels.setdefault(name, channel) != channel:
            raise InputError(
                f"{place}: {name} has a channel {channel} and a channel {channels[name]}; "
                "say in reco2file_and_channel which recording each is."
            )
        phone = spelling.get(label) or normalised(label, place)
        marks.setdefault(name, []).append(Mark(begin, begin + length, phone, place))
    if not marks:
        raise InputError(f"{ctm} has no phones.")
    return marks


def _recordings(directory: Path) -> dict[tuple[str, str], str]:
    """Recordings by file and channel."""
    path = directory / "reco2file_and_channel"
    if not path.exists():
        return {}
    recordings = {}
    for number, fields in lines(path):
        if len(fields) != 3:
            raise InputError(f"{path}:{number}: expected 'recording file channel'.")
        recordings[fields[1], fields[2]] = fields[0]
    return recordings


def phone_spellings(path: Path | None) -> dict[str, str]:
    """Our phones by those of another set."""
    spelling = {}
    for number, fields in lines(path) if path else ():
        if len(fields) != 2:
            raise InputError(f"{path}:{number}: expected 'PHONE OURS'.")
        spelling[fields[0]] = normalised(fields[1], f"{path}:{number}")
    return spelling


def seconds(source: Source, start: float, end: float | None) -> float:
    """Length of a recording, or of a segment of it; infinite for a pipe, which would have to be run."""
    if end is not None:
        return end - start
    if isinstance(source, str):
        return math.inf
    file = open_file(source)
    return file.frames / file.sample_rate - start
