"""Parts of a data directory, such as train, dev and test, or one for each of several jobs.

No speaker is in two parts, as in Kaldi's `utils/split_data.sh` and `utils/subset_data_dir_tr_cv.sh`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from ..errors import InputError, UsageError
from .kaldi import Utterance, read_directory, relocated, write_directories
from .tables import KEYS, Rows, files, kind, lines, pairs, spk2utt_rows


@dataclass(frozen=True)
class Split:
    """The result of splitting a data directory.

    Attributes:
        parts: numbers of utterances and of speakers of each part.
        left_out: utterances in no part, because the shares add up to less than 1.
        unknown: files that are not split, for they are no known tables.
    """

    parts: dict[str, tuple[int, int]]
    left_out: int
    unknown: list[str]


def parse_parts(words: Iterable[str]) -> dict[str, Fraction]:
    """Shares of the utterances by part, from ``["train=0.9", "dev=0.1"]``, or from ``["4"]`` for equal ones.

    Raises:
        UsageError: for anything else, and for shares that are not above 0, or add up to more than 1.

    Examples:
        >>> parse_parts(["2"])
        {'1': Fraction(1, 2), '2': Fraction(1, 2)}
    """
    words = list(words)
    if len(words) == 1 and words[0].isdecimal() and int(words[0]) > 0:
        count = int(words[0])
        return {str(number): Fraction(1, count) for number in range(1, count + 1)}
    shares: dict[str, Fraction] = {}
    for word in words:
        name, _, share = word.partition("=")
        if not name or name in shares or name.startswith(".") or Path(name).name != name:
            raise UsageError(f"{word!r} needs the name of a folder that no other part has, as in train=0.9.")
        try:
            shares[name] = Fraction(share)
        except (ValueError, ZeroDivisionError) as error:
            raise UsageError(
                f"{word!r} is neither a part with its share, as train=0.9, nor a number of parts."
            ) from error
        if shares[name] <= 0:
            raise UsageError(f"The share in {word!r} is not above 0.")
    if sum(shares.values()) > 1:
        raise UsageError(f"The shares add up to {float(sum(shares.values())):g}; they must not exceed 1.")
    return shares


def split(
    directory: Path, out: Path, shares: Mapping[str, Fraction], seed: int = 0, per_utterance: bool = False
) -> Split:
    """Write parts of a data directory, each a complete data directory, sorted, with a spk2utt.

    Relative paths in wav.scp still lead to the same files; the paths in other tables stay as they are, since
    Kaldi takes them from where it is run. A recording whose segments are in two parts is in both.

    Args:
        directory: the whole.
        out: folder of the parts.
        shares: share of the utterances by name of the part; sizes differ from it by about one speaker.
        seed: which speakers are in which part; the same on any machine.
        per_utterance: let a speaker be in several parts.

    Raises:
        InputError: for a line that is malformed, utterances that not all tables have, too few speakers, or
            a part that exists already. Nothing is written then.
    """
    utterances = read_directory(directory, allow_pipes=True, with_alignments=False)
    _refuse_others(directory / "utt2spk", {utterance.name for utterance in utterances})
    units: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        units.setdefault(utterance.name if per_utterance else utterance.speaker, []).append(utterance)
    if len(units) < len(shares):
        kind = "utterances" if per_utterance else "speakers, and --per-utt is not given"
        raise InputError(f"{directory} cannot be {len(shares)} parts: it has {len(units)} {kind}.")
    chosen = _assign({unit: len(members) for unit, members in units.items()}, shares, seed)
    parts = {part: [utterance for unit in chosen[part] for utterance in units[unit]] for part in shares}
    tables, unknown = _tables(directory)
    write_directories(
        out, {part: _restricted(tables, members, directory, out / part) for part, members in parts.items()}
    )
    return Split(
        {part: (len(members), len({u.speaker for u in members})) for part, members in parts.items()},
        len(utterances) - sum(map(len, parts.values())),
        unknown,
    )


def _refuse_others(utt2spk: Path, utterances: set[str]) -> None:
    for number, name, _ in pairs(utt2spk):
        if name not in utterances:
            raise InputError(
                f"{utt2spk}:{number}: {name} is in no other table; 'speechjem data fix' leaves it out."
            )


def _assign(sizes: Mapping[str, int], shares: Mapping[str, Fraction], seed: int) -> dict[str, list[str]]:
    """The part of each speaker: ordered by checksum, each goes to the part that lacks most of its share.

    That is Sainte-Laguë's method for seats of a parliament. What the shares lack of 1 is a part without name.
    """
    wanted = {part: float(share) for part, share in shares.items()}
    if rest := 1 - sum(shares.values()):
        wanted[""] = float(rest)
    taken = dict.fromkeys(wanted, 0)
    members: dict[str, list[str]] = {part: [] for part in wanted}
    order = sorted(sizes, key=lambda unit: hashlib.sha256(f"{seed} {unit}".encode()).digest())
    for remaining, unit in zip(range(len(order), 0, -1), order, strict=True):
        empty = [part for part in shares if not members[part]]
        candidates = empty if remaining <= len(empty) else wanted
        part = min(candidates, key=lambda part: (taken[part] + sizes[unit] / 2) / wanted[part])
        members[part].append(unit)
        taken[part] += sizes[unit]
    return members


Tables = dict[str, tuple[str, list[list[str]]]]  # key as in KEYS, and lines


def _tables(directory: Path) -> tuple[Tables, list[str]]:
    """The tables that can be split, and the names of other files; audio is not read."""
    tables: Tables = {}
    unknown = []
    for path in files(directory):
        if key := kind(path.name):
            tables[path.name] = key, [row for _, row in lines(path, 1)]
        else:
            unknown.append(path.name)
    return tables, unknown


def _restricted(tables: Tables, utterances: list[Utterance], old: Path, new: Path) -> dict[str, Rows]:
    """The lines of some utterances, for a new directory."""
    kept = {key: {getattr(utterance, key) for utterance in utterances} for key in KEYS}
    found: dict[str, Rows] = {
        name: [row for row in rows if row[0] in kept[key]] for name, (key, rows) in tables.items()
    }
    found["wav.scp"] = [[key, relocated(" ".join(rest), old, new)] for key, *rest in found["wav.scp"]]
    found["spk2utt"] = spk2utt_rows((utterance.name, utterance.speaker) for utterance in utterances)
    return found
