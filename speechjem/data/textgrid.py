"""Phone alignments from Praat's TextGrids, such as the Montreal Forced Aligner writes."""

from __future__ import annotations

import math
from pathlib import Path

from .. import phones
from ..errors import InputError, SpeechjemError, UsageError
from .kaldi import read_directory
from .tables import write_table

TIER = "phones"  # as the Montreal Forced Aligner calls it


def import_alignment(directory: Path, folder: Path, tier: str = TIER) -> list[str]:
    """Write ali.ctm from one TextGrid an utterance.

    Empty labels are silence; other spellings of phones are those of `phones.normalise`.

    Args:
        directory: data directory; an ali.ctm that is there is written over.
        folder: of the TextGrids, each called like its utterance, at any depth.
        tier: name of the interval tier that has the phones.

    Returns:
        Utterances without a TextGrid, in the order of the directory.

    Raises:
        InputError: naming the file, for a TextGrid that cannot be read, lacks the tier or has an unknown
            phone; and if there is none at all.
        SpeechjemError: if praatio is not installed.
    """
    files = {path.stem: path for path in sorted(folder.rglob("*.TextGrid"))}
    utterances = [utterance.name for utterance in read_directory(directory, with_alignments=False)]
    aligned = [name for name in utterances if name in files]
    if not aligned:
        raise InputError(f"{folder} has no TextGrid that is called like an utterance of {directory}.")
    rows = [row for name in aligned for row in _rows(name, files[name], tier)]
    write_table(directory / "ali.ctm", rows)
    return [name for name in utterances if name not in files]


def _rows(name: str, path: Path, tier: str) -> list[list[str]]:
    """Lines of a CTM."""
    rows = []
    for start, end, label in _intervals(path, tier):
        if not 0 <= start <= end < math.inf:
            raise InputError(f"{path}, tier {tier}: an interval from {start} to {end} s is impossible.")
        try:
            phone = phones.normalise(label or phones.SILENCE)
        except UsageError as error:
            raise InputError(f"{path}, tier {tier}, {start:.2f} s: {error}") from error
        rows.append([name, "1", f"{start:.3f}", f"{end - start:.3f}", phone])
    return rows


def _intervals(path: Path, tier: str) -> list[tuple[float, float, str]]:
    try:
        from praatio import textgrid
        from praatio.data_classes.interval_tier import IntervalTier
    except ImportError as error:
        raise SpeechjemError("TextGrids need praatio; run: pip install 'speechjem[textgrid]'.") from error
    try:
        grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=True)
        found = grid.getTier(tier) if tier in grid.tierNames else None
        if isinstance(found, IntervalTier):
            return [(float(entry.start), float(entry.end), entry.label.strip()) for entry in found.entries]
        names = ", ".join(map(str, grid.tierNames))
    except Exception as error:  # praatio's parser raises what a damaged file makes it trip over
        raise InputError(f"{path} cannot be read as a TextGrid ({type(error).__name__}: {error}).") from error
    raise InputError(f"{path} has no interval tier {tier!r}; it has: {names}.")
