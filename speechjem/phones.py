"""The phone set: 39 ARPAbet phones without stress, and silence.

The order is the order of a model's logits. Foldings to 48 and 39 classes follow Lee and Hon,
"Speaker-independent phone recognition using hidden Markov models" (IEEE ASSP 37, 1989).
"""

from __future__ import annotations

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
_BY_IPA = {phone.ipa: phone.name for phone in TABLE if phone.name != SILENCE}

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

    Kaldi's marks of the position in a word are taken off. Of TIMIT's labels, allophones become their phone;
    closures and the glottal stop become silence, as do the pauses and noises of several aligners.

    Args:
        name: for instance ``aa``, ``AA1``, ``AA1_B`` or ``ɑ``; ``pau`` and ``SPN_S`` are read as ``SIL``.

    Raises:
        UsageError: if there is no such phone; the message lists the names.

    Examples:
        >>> normalise("aa1_B"), normalise("ʃ"), normalise("axr"), normalise("sil")
        ('AA', 'SH', 'ER', 'SIL')
    """
    spelt = name.strip()
    if spelt in _BY_IPA:
        return _BY_IPA[spelt]
    upper = spelt.upper()
    if upper.endswith(_POSITIONS):
        upper = upper[:-2]
    if upper[-1:] in ("0", "1", "2"):
        upper = upper[:-1]
    upper = _OTHERS.get(upper, upper)
    if upper not in PHONES:
        raise UsageError(f"There is no phone {name!r}; choose from: {' '.join(PHONES)}.")
    return upper


def index(name: str) -> int:
    """The place of a phone among a model's logits; spelling as in `normalise`."""
    return PHONES.index(normalise(name))


def parse(phonemes: str | Iterable[str]) -> list[str]:
    """Names from a string such as ``"hh ah l ow"`` or from any iterable of names."""
    names = phonemes.split() if isinstance(phonemes, str) else list(phonemes)
    if not names:
        raise UsageError("No phone given; write names with spaces between them, for instance 'hh ah l ow'.")
    return [normalise(name) for name in names]


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
