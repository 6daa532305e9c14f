"""Phone alignments from Praat's TextGrids, such as the Montreal Forced Aligner writes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .. import phones
from ..errors import InputError, SpeechjemError
from . import ctm
from .kaldi import read_directory
from .tables import write_table

TIER = "phones"  # as the Montreal Forced Aligner calls it


def import_alignment(
    directory: Path, folder: Path, tier: str = TIER, phone_map: Path | None = None
) -> list[str]:
    """Write ali.ctm from one TextGrid an utterance.

    Empty labels are silence; other spellings of phones are those of `phones.normalise`.

    Args:
        directory: data directory; an ali.ctm that is there is written over.
        folder: of the TextGrids, each called like its utterance, at any depth, ``.TextGrid`` in any case.
        tier: name of the interval tier that has the phones.
        phone_map: table of lines ``PHONE OURS``, for phones that are spelt in another way.

    Returns:
        Utterances without a TextGrid, in the order of the directory.

    Raises:
        InputError: naming the file, for a TextGrid that cannot be read, lacks the tier, has an unknown
            phone, or one that ends after the recording; for two of one name; and if there is none at all.
        SpeechjemError: if praatio is not installed.
    """
    utterances = read_directory(directory, allow_pipes=True, with_alignments=False)
    files = _files(folder, {utterance.name for utterance in utterances})
    if not files:
        raise InputError(f"{folder} has no TextGrid that is called like an utterance of {directory}.")
    spelling = ctm.phone_spellings(phone_map)
    found = []
    for utterance in utterances:
        if utterance.name in files:
            marks = _marks(files[utterance.name], tier, spelling)
            length = ctm.seconds(utterance.audio, utterance.start, utterance.end)
            found += ctm.rows(utterance.name, ctm.checked(marks, length))
    write_table(directory / "ali.ctm", found)
    return [utterance.name for utterance in utterances if utterance.name not in files]


def _files(folder: Path, names: set[str]) -> dict[str, Path]:
    """The TextGrid of every name that has one."""
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() == ".textgrid" and path.stem in names:
            if path.stem in files:
                raise InputError(f"{files[path.stem]} and {path} are of one utterance; remove one of them.")
            files[path.stem] = path
    return files


def _marks(path: Path, tier: str, spelling: Mapping[str, str]) -> list[ctm.Mark]:
    marks = []
    for start, end, label in _intervals(path, tier):
        place = f"{path}, tier {tier}, {start:.2f} s"
        phone = spelling.get(label) or ctm.normalised(label or phones.SILENCE, place)
        marks.append(ctm.Mark(start, end, phone, place))
    return marks


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
    except Exception as error:  # praatio's parser raises many kinds for a damaged file
        raise InputError(f"{path} cannot be read as a TextGrid ({type(error).__name__}: {error}).") from error
    raise InputError(f"{path} has no interval tier {tier!r}; it has: {names}.")
