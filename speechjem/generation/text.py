"""Text to phones: the CMU pronouncing dictionary, and spelling rules for words that it lacks."""

from __future__ import annotations

import re
import warnings
from functools import lru_cache
from pathlib import Path

from ..errors import SpeechjemError, UsageError
from ..phones import SILENCE
from . import reading

PAUSES = ",;:.?!"
# A few hundred spelling rules would do better; these get most of an unknown name across. Longest match first.
SPELLINGS = {
    "tion": "SH AH N", "sion": "ZH AH N", "ough": "AO", "augh": "AO", "eigh": "EY",
    "igh": "AY", "tch": "CH", "dge": "JH", "sch": "SH", "ing": "IH NG",
    "ch": "CH", "sh": "SH", "th": "TH", "ph": "F", "wh": "W", "ck": "K", "ng": "NG", "qu": "K W", "kn": "N",
    "wr": "R", "gh": "G", "ee": "IY", "ea": "IY", "ie": "IY", "ei": "EY", "oo": "UW", "ou": "AW", "ow": "OW",
    "oa": "OW", "oi": "OY", "oy": "OY", "ai": "EY", "ay": "EY", "au": "AO", "aw": "AO", "ew": "UW",
    "ue": "UW", "er": "ER", "ir": "ER", "ur": "ER", "ar": "AA R", "or": "AO R", "ce": "S", "ci": "S IH",
    "cy": "S IY", "ge": "JH", "gi": "JH IH",
    "a": "AE", "b": "B", "c": "K", "d": "D", "e": "EH", "f": "F", "g": "G", "h": "HH", "i": "IH", "j": "JH",
    "k": "K", "l": "L", "m": "M", "n": "N", "o": "AA", "p": "P", "q": "K", "r": "R", "s": "S", "t": "T",
    "u": "AH", "v": "V", "w": "W", "x": "K S", "y": "IY", "z": "Z",
}  # fmt: skip
LONG = {"a": "EY", "e": "IY", "i": "AY", "o": "OW", "u": "UW"}  # before a consonant and a silent e


def pronounce(text: str) -> list[str]:
    """Phones of a text, with silence at its ends and where punctuation asks for a pause.

    Numbers, abbreviations and signs are said as in `reading.spoken`. A word that the dictionary lacks is
    spelt out by rule, with a warning.

    Raises:
        UsageError: if there are no words, or one that cannot be said, such as one of another script.
        SpeechjemError: if the package with the dictionary, or with the numbers, is not installed.
    """
    tokens = re.findall(rf"[^\s{PAUSES}]+|[{PAUSES}]", reading.spoken(text, _dictionary()))
    phones = [SILENCE]
    for token in tokens:
        if token in PAUSES:
            phones += [SILENCE] if phones[-1] != SILENCE else []
            continue
        for part in re.split("-+", token.strip("-'")):
            phones += _word(part) if part else []
    if phones == [SILENCE]:
        raise UsageError("The text has no words; give some, such as 'hello world'.")
    return phones if phones[-1] == SILENCE else [*phones, SILENCE]


def _word(word: str) -> list[str]:
    if not re.fullmatch(r"[a-z']+", word):
        raise UsageError(
            f"{word!r} cannot be said: it is not of English letters; write it in others, or leave it out."
        )
    known = _dictionary().get(word) or _possessive(word)
    if known is None:
        known = " ".join(spell(word.replace("'", "")))
        warnings.warn(f"{word!r} is not in the dictionary; it is read as {known}.", stacklevel=3)
    return known.split()


def _possessive(word: str) -> str | None:
    """Phones of a word with 's or ' at its end, if the dictionary has it without."""
    stem, _, ending = word.rpartition("'")
    phones = _dictionary().get(stem)
    if phones is None or ending not in ("", "s"):
        return None
    last = phones.split()[-1]
    if last in ("S", "Z", "SH", "ZH", "CH", "JH"):
        return f"{phones} IH Z" if ending else phones
    return f"{phones} {'S' if last in ('P', 'T', 'K', 'F', 'TH') else 'Z'}" if ending else phones


def spell(word: str) -> list[str]:
    """Phones of a word of the letters a to z by spelling rules."""
    word = re.sub(r"([^aeiou])\1", r"\1", word)
    phones: list[str] = []
    while word:
        if re.fullmatch(r"[aeiou][^aeiouwxy]e", word):
            return [*phones, LONG[word[0]], *SPELLINGS[word[1]].split()]
        size = next(n for n in (4, 3, 2, 1) if word[:n] in SPELLINGS)
        phones += SPELLINGS[word[:size]].split()
        word = word[size:]
    return phones


@lru_cache(maxsize=1)
def _dictionary() -> dict[str, str]:
    """First pronunciation of every word of the CMU dictionary that pocketsphinx brings."""
    try:
        from pocketsphinx import get_model_path
    except ImportError as error:
        raise SpeechjemError(
            "Text needs the CMU dictionary of pocketsphinx; run: pip install 'speechjem[text]'."
        ) from error
    lines = Path(get_model_path("en-us/cmudict-en-us.dict")).read_text(encoding="utf-8").splitlines()
    return dict(line.split(maxsplit=1) for line in lines if "(" not in line.split(maxsplit=1)[0])
