"""Text to phones: the CMU pronouncing dictionary, and spelling rules for words that it lacks."""

from __future__ import annotations

import re
import warnings
from functools import lru_cache
from pathlib import Path

from ..errors import SpeechjemError, UsageError
from ..phones import SILENCE
from . import reading
from .prosody import VOWELS, Sound

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
REDUCED = frozenset(("AH", "IH", "ER"))  # the vowels that syllables without stress mostly have
# The dictionary of pocketsphinx has no marks of stress.
UNACCENTED = frozenset(
    "a an the and or but nor so if as at by for from in into of off on onto out over to up with than "
    "that which who whom whose this these those there here i you he she it we they me him her us them "
    "my your his its our their am is are was were be been being have has had having do does did will "
    "would shall should can could may might must not no i'm it's he's she's you're we're they're don't "
    "isn't aren't".split()
)
LONG = {"a": "EY", "e": "IY", "i": "AY", "o": "OW", "u": "UW"}  # before a consonant and a silent e


def pronounce(text: str) -> list[str]:
    """Phones of a text; as `read`, which also says where accents are."""
    return [sound.phone for sound in read(text)]


def read(text: str) -> list[Sound]:
    """What to say of a text, with silence at its ends and where punctuation asks for a pause.

    Numbers, abbreviations and signs are said as in `reading.spoken`. A word that the dictionary lacks is
    spelt out by rule, with a warning.

    Raises:
        UsageError: if there are no words, or one that cannot be said, such as one of another script.
        SpeechjemError: if the package with the dictionary, or with the numbers, is not installed.
    """
    tokens = re.findall(rf"[^\s{PAUSES}]+|[{PAUSES}]", reading.spoken(text, _dictionary()))
    sounds = [Sound(SILENCE)]
    for token in tokens:
        if token in PAUSES:
            if len(sounds) > 1 and sounds[-1].phone != SILENCE:
                sounds.append(Sound(SILENCE, question=token == "?"))
            continue
        for part in re.split("-+", token.strip("-'")):
            sounds += _accented(part, _word(part)) if part else []
    if len(sounds) == 1:
        raise UsageError("The text has no words; give some, such as 'hello world'.")
    return sounds if sounds[-1].phone == SILENCE else [*sounds, Sound(SILENCE)]


def _accented(word: str, phones: list[str]) -> list[Sound]:
    """Phones of a word, of which the first full vowel has the accent, unless it is a word of the grammar."""
    vowels = [n for n, phone in enumerate(phones) if phone in VOWELS]
    full = [n for n in vowels if phones[n] not in REDUCED] or vowels
    at = full[0] if full and word not in UNACCENTED else None
    return [Sound(phone, n == at) for n, phone in enumerate(phones)]


def _word(word: str) -> list[str]:
    if not re.fullmatch(r"[a-z']+", word):
        raise UsageError(
            f"{word!r} cannot be said: it is not of English letters; write it in others, or leave it out."
        )
    known = _dictionary().get(word) or _possessive(word)
    if known is None:
        known = " ".join(spell(word.replace("'", "")))
        warnings.warn(f"{word!r} is not in the dictionary; it is read as {known}.", stacklevel=4)
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
