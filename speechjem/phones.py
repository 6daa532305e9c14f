"""The phone set: 39 ARPAbet phones without stress, and silence.

The order is the order of a model's logits. Foldings to 48 and 39 classes follow Lee and Hon,
"Speaker-independent phone recognition using hidden Markov models" (IEEE ASSP 37, 1989).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

from .errors import UsageError


class Phone(NamedTuple):
    """An ARPAbet phone, its IPA symbol and a word that has it."""

    name: str
    ipa: str
    example: str


TABLE = (
    Phone("SIL", "∅", "(silence)"),
    Phone("AA", "ɑ", "father"),
    Phone("AE", "æ", "cat"),
    Phone("AH", "ʌ", "cut"),
    Phone("AO", "ɔ", "law"),
    Phone("AW", "aʊ", "cow"),
    Phone("AY", "aɪ", "my"),
    Phone("B", "b", "be"),
    Phone("CH", "tʃ", "cheese"),
    Phone("D", "d", "day"),
    Phone("DH", "ð", "that"),
    Phone("EH", "ɛ", "bed"),
    Phone("ER", "ɝ", "bird"),
    Phone("EY", "eɪ", "say"),
    Phone("F", "f", "fee"),
    Phone("G", "ɡ", "go"),
    Phone("HH", "h", "he"),
    Phone("IH", "ɪ", "it"),
    Phone("IY", "i", "see"),
    Phone("JH", "dʒ", "joy"),
    Phone("K", "k", "key"),
    Phone("L", "l", "lay"),
    Phone("M", "m", "me"),
    Phone("N", "n", "no"),
    Phone("NG", "ŋ", "sing"),
    Phone("OW", "oʊ", "go"),
    Phone("OY", "ɔɪ", "boy"),
    Phone("P", "p", "pay"),
    Phone("R", "ɹ", "red"),
    Phone("S", "s", "sea"),
    Phone("SH", "ʃ", "she"),
    Phone("T", "t", "tea"),
    Phone("TH", "θ", "thin"),
    Phone("UH", "ʊ", "book"),
    Phone("UW", "u", "two"),
    Phone("V", "v", "very"),
    Phone("W", "w", "we"),
    Phone("Y", "j", "yes"),
    Phone("Z", "z", "zoo"),
    Phone("ZH", "ʒ", "measure"),
)
PHONES = tuple(phone.name for phone in TABLE)
SILENCE = "SIL"
VOICED = frozenset("AA AE AH AO AW AY B D DH EH ER EY G IH IY JH L M N NG OW OY R UH UW V W Y Z ZH".split())
# IPA beside the symbols of the table: what dictionaries of British and American English write, and the set
# of the Montreal Forced Aligner's english_mfa ("MFA IPA phone set" in its documentation).
_OTHER_IPA = {
    **dict.fromkeys("ə ɐ".split(), "AH"), **dict.fromkeys("ɚ ɜ ɝ ə˞ ɜ˞".split(), "ER"),
    **dict.fromkeys("a æ̃".split(), "AE"), **dict.fromkeys(("aː", "ɑ"), "AA"),
    **dict.fromkeys("ɒ ɔ oː".split(), "AO"), **dict.fromkeys("e ɛ eə ɛə".split(), "EH"),
    **dict.fromkeys("eː ej ɛɪ".split(), "EY"), **dict.fromkeys("aj ɑɪ".split(), "AY"),
    **dict.fromkeys("aw ɑʊ æʊ".split(), "AW"), **dict.fromkeys("o ow əw əʊ".split(), "OW"),
    **dict.fromkeys("ɔj oɪ".split(), "OY"), **dict.fromkeys("ɨ ᵻ ɪə".split(), "IH"),
    **dict.fromkeys("ʉ".split(), "UW"), **dict.fromkeys("ɵ ʊə".split(), "UH"),
    **dict.fromkeys("g ɟ ɡb gb".split(), "G"), **dict.fromkeys("c x kp".split(), "K"),
    **dict.fromkeys("ɦ ç".split(), "HH"), **dict.fromkeys("ɫ ʎ".split(), "L"), "ɱ": "M",
    **dict.fromkeys("ɲ ɾ̃".split(), "N"), **dict.fromkeys("ɾ ɖ".split(), "D"), "ʈ": "T", "ʋ": "V", "ʍ": "W",
    **dict.fromkeys("r ɻ".split(), "R"), "ʧ": "CH", "ʤ": "JH", "ʔ": SILENCE,
}  # fmt: skip
_BY_IPA = {
    unicodedata.normalize("NFD", symbol): name
    for symbol, name in [*_OTHER_IPA.items(), *((phone.ipa, phone.name) for phone in TABLE[1:])]
}
# Stress, length, release and secondary articulation, marks above and below: they make no other phone of ours.
_MARKS = (
    "[ˈˌ'ːˑ.ʰʲʷˠʼⁿˡ˞"
    "\u0303\u030a\u030d\u0318-\u0320\u0324\u0325\u0329\u032a\u032c\u032f-\u0331\u0334\u0339-\u033d]*"
)
_TIES = str.maketrans(
    "", "", "\u0361\u035c\u203f/[]"
)  # bars between letters, brackets around a transcription
_ANY_IPA = re.compile(_MARKS + f"({'|'.join(sorted(_BY_IPA, key=len, reverse=True))})" + _MARKS)

# TIMIT's 61 labels; those of its closures and pauses end up as silence in the 39 classes.
TIMIT61 = tuple(
    "iy ih eh ae ix ax ah ax-h uw ux uh ao aa ey ay oy aw ow l el r y w er axr m em n nx en ng eng "
    "ch jh dh b d dx g p t k z zh v f th s sh hh hv pcl tcl kcl bcl dcl gcl epi h# pau q".split()
)
# Lee and Hon's table also lists qcl and #h, which the released corpus does not have.
_TO_48 = {
    **dict.fromkeys(("pcl", "tcl", "kcl", "qcl"), "cl"),
    **dict.fromkeys(("bcl", "dcl", "gcl"), "vcl"),
    **dict.fromkeys(("h#", "#h", "pau"), "sil"),
    **{"ux": "uw", "axr": "er", "em": "m", "nx": "n", "eng": "ng", "hv": "hh", "ax-h": "ax"},
}
_TO_39 = {
    **dict.fromkeys(("cl", "vcl", "epi"), "sil"),
    **{"ix": "ih", "ax": "ah", "ao": "aa", "el": "l", "en": "n", "zh": "sh"},
}
# What other sets have beside these: pauses, closures, noises and the glottal stop; allophones.
_OTHERS = {
    **dict.fromkeys("PAU SP SPN NSN <EPS> H# EPI CL VCL PCL TCL KCL BCL DCL GCL Q".split(), SILENCE),
    **{"IX": "IH", "AX": "AH", "AX-H": "AH", "AXR": "ER", "UX": "UW", "HV": "HH", "DX": "D", "NX": "N"},
    **{"EL": "L", "EM": "M", "EN": "N", "ENG": "NG"},
}
_POSITIONS = ("_B", "_I", "_E", "_S")  # in the word, as Kaldi marks them


def normalise(name: str) -> str:
    """The ARPAbet name of a phone spelt in any letter case, with a stress digit, or in IPA.

    IPA may have stress, length, tie bars and secondary articulations, as in the Montreal Forced Aligner's
    english_mfa; its allophones become their phone. Kaldi's marks of the position in a word are taken off. Of
    TIMIT's labels, allophones become their phone; closures and the glottal stop become silence, as do the
    pauses and noises of several aligners.

    Args:
        name: for instance ``aa``, ``AA1``, ``AA1_B`` or ``ɑ``; ``pau`` and ``SPN_S`` are read as ``SIL``.

    Raises:
        UsageError: if there is no such phone; the message lists the names.

    Examples:
        >>> normalise("aa1_B"), normalise("ʃ"), normalise("axr"), normalise("sil"), normalise("t͡ʃʰ")
        ('AA', 'SH', 'ER', 'SIL', 'CH')
    """
    spelt = name.strip()
    if spelt.upper().endswith(_POSITIONS):
        spelt = spelt[:-2]
    upper = spelt.upper()
    if upper[-1:] in ("0", "1", "2"):
        upper = upper[:-1]
    upper = _OTHERS.get(upper, upper)
    if upper in PHONES:
        return upper
    found = _of_ipa(spelt)
    if len(found) != 1:
        raise UsageError(f"There is no phone {name!r}; choose from: {' '.join(PHONES)}.")
    return found[0]


def _of_ipa(text: str) -> list[str]:
    """Names of the phones of a transcription in IPA; none if it has anything else."""
    text = unicodedata.normalize("NFD", text).translate(_TIES)
    found, place = [], 0
    while match := _ANY_IPA.match(text, place):
        found.append(_BY_IPA[match[1]])
        place = match.end()
    return found if place == len(text) else []


def index(name: str) -> int:
    """The place of a phone among a model's logits; spelling as in `normalise`."""
    return PHONES.index(normalise(name))


def parse(phonemes: str | Iterable[str]) -> list[str]:
    """Names from a string such as ``"hh ah l ow"`` or ``"həˈloʊ"``, or from any iterable of names."""
    names = phonemes.split() if isinstance(phonemes, str) else list(phonemes)
    if not names:
        raise UsageError("No phone given; write names with spaces between them, for instance 'hh ah l ow'.")
    return [
        phone for name in names for phone in (() if name.isascii() else _of_ipa(name)) or [normalise(name)]
    ]


def fold(name: str, classes: int) -> str | None:
    """Fold a TIMIT (61) or ARPAbet label to Lee and Hon's 48 or 39 classes.

    Returns:
        The class, in lower case, or None for the glottal stop ``q``, which is left out.

    Raises:
        UsageError: for an unknown label, or a number of classes other than 48 and 39.

    Examples:
        >>> fold("ux", 48), fold("zh", 39), fold("AO", 39), fold("q", 39)
        ('uw', 'sh', 'aa', None)
    """
    if classes not in (48, 39):
        raise UsageError(f"There is a folding to 48 or to 39 classes, not to {classes}.")
    label = name.strip().lower()
    if label == "q":
        return None
    if label not in TIMIT61 and label not in _TO_48 and label != "sil":
        raise UsageError(f"There is no TIMIT label {name!r}; choose from: {' '.join(TIMIT61)}.")
    label = _TO_48.get(label, label)
    return _TO_39.get(label, label) if classes == 39 else label
