"""The tables of Kaldi data directories, read and written as Kaldi does: lines of a key and a value.

Lines end at a newline, fields at the blanks of ASCII. Other signs that Unicode counts as blanks or ends of
lines belong to the field that they are in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from ..audio import SUFFIXES
from ..errors import InputError
from ..runtime import atomic

# The tables, as patterns, whose lines begin with the name of an utterance, of a speaker, of a recording.
KEYS = {
    "name": ("utt2*", "text", "segments", "feats.scp", "vad.scp", "ali.ctm"),
    "speaker": ("spk2*", "cmvn.scp"),
    "recording": ("wav.scp", "reco2*"),
}
_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"  # the byte order mark, which some editors write before a text

Rows = Iterable[Sequence[str]]  # key and other fields of every line


def kind(table: str) -> str | None:
    """What the lines of a table begin with, one of `KEYS`; None if it is not known."""
    for key, names in KEYS.items():
        if any(fnmatchcase(table, pattern) for pattern in names):
            return key
    return None


def files(directory: Path) -> list[Path]:
    """Files of a data directory that are not hidden, and are no audio by their suffix; sorted."""
    paths = sorted(directory.iterdir())
    return [p for p in paths if p.is_file() and p.name[0] != "." and p.suffix.lower() not in SUFFIXES]


def fields(text: str) -> list[str]:
    """Fields of a line: what stands between blanks of ASCII.

    Examples:
        >>> fields("a  b\\N{NO-BREAK SPACE}c ")
        ['a', 'b\\xa0c']
    """
    return [field.decode() for field in text.encode().split()]


def lines(path: Path, most: int = -1) -> Iterator[tuple[int, list[str]]]:
    """Number and fields of every line of a table that is not empty.

    Args:
        path: text in UTF-8; a byte order mark at its start is left out.
        most: fields to split off; what comes after them is one more field, as it stands. -1 splits all.

    Raises:
        InputError: if there is no such file, it is not text, or a byte order mark stands inside it.
    """
    if path.exists() and not path.is_file() and not path.is_dir():  # reading it might never end
        raise InputError(f"{path} is a pipe or a device; write it to a file.")
    try:
        content = path.read_bytes()
        content.decode("utf-8")
    except FileNotFoundError as error:
        raise InputError(f"No such file: {path}; a data directory needs it.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as text: {error}.") from error
    for number, line in enumerate(content.removeprefix(_MARK.encode()).split(b"\n"), 1):
        found = [field.decode() for field in line.strip().split(None, most)]
        if found and found[0].startswith(_MARK):
            raise InputError(f"{path}:{number}: the line begins with a byte order mark; remove it.")
        if found:
            yield number, found


def pairs(path: Path) -> Iterator[tuple[int, str, str]]:
    """Number, key and value of every line of a table whose keys may come once only.

    Raises:
        InputError: naming file and line, for a key without value or one that is there twice.
    """
    seen = set()
    for number, found in lines(path, 1):
        if len(found) < 2:
            raise InputError(f"{path}:{number}: expected a name and a value.")
        if found[0] in seen:
            raise InputError(f"{path}:{number}: {found[0]} is there twice; remove one of the lines.")
        seen.add(found[0])
        yield number, found[0], found[1]


def write_table(path: Path, rows: Rows) -> None:
    """Write a table, sorted by key as Kaldi wants it (that of bytes, as LC_ALL=C sort).

    Lines of one key keep their order.
    """
    text = "".join(" ".join(row) + "\n" for row in sorted(rows, key=lambda row: row[0].encode()))
    atomic.replace_file(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def spk2utt_rows(utt2spk: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Lines of spk2utt: speakers and the names of their utterances, sorted."""
    utterances: dict[str, list[str]] = {}
    for name, speaker in sorted(utt2spk):
        utterances.setdefault(speaker, []).append(name)
    return [[speaker, *names] for speaker, names in utterances.items()]
