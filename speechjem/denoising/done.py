"""Whether an existing output is up to date: whether a run would make the same again.

An output says how it was made, in the place that its format has for the program that made a file. What it
does not say is told by its time and length.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .. import audio
from ..audio.enhancing import PROGRAM
from ..audio.formats import CONTAINERS, MUTE
from ..errors import InputError

OTHER, OLDER, CUT, EMPTY = "of other settings", "older than their inputs", "of another length", "empty"


@dataclass(frozen=True)
class Verdict:
    """What an output is.

    Attributes:
        flaw: why it has to be made again; empty if it is as it should be.
        is_sure: whether it says with which settings it was made.
    """

    flaw: str = ""
    is_sure: bool = True


def judge(source: Path, target: Path, wanted: str) -> Verdict:
    """Look at an output that exists.

    Args:
        source: its input.
        target: the output.
        wanted: what it should say, see `enhancing.label`.

    Raises:
        InputError: the input cannot be read; or the output is neither what a run would make, nor says that
            it is ours to overwrite.
    """
    recording = audio.open_file(source)
    if target.stat().st_size == 0:
        return Verdict(EMPTY)
    said = audio.software(target)
    is_ours, is_mute = said.startswith(f"{PROGRAM} "), CONTAINERS.get(target.suffix.lower()) in MUTE
    flaw = OTHER if is_ours and said != wanted else _flaw(recording, target)
    if flaw and not (is_ours or is_mute or flaw == EMPTY):
        raise InputError(
            f"{target} exists, is not what {source} would give, and does not say that {PROGRAM} made it; "
            "move it, or pass --force to overwrite it."
        )
    return Verdict(flaw, is_ours)


def _flaw(recording: audio.AudioFile, target: Path) -> str:
    """What time and length say against an output."""
    try:
        made = audio.open_file(target)
    except InputError:
        return CUT
    if made.frames == 0:
        return EMPTY
    facts = [(file.frames, file.sample_rate, file.channels) for file in (recording, made)]
    if facts[0] != facts[1]:
        return CUT
    return OLDER if target.stat().st_mtime_ns < recording.path.stat().st_mtime_ns else ""
