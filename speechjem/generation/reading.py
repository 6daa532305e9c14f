"""Texts as people write them, in the words that are said: abbreviations, initials, addresses, numbers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container
from re import Match

from . import numbers

# Typographic signs, and letters that are no letter of the alphabet with an accent.
SIGNS = str.maketrans(
    dict.fromkeys("‘’‛ʼ′´`", "'")  # noqa: RUF001 (these are what is looked for)
    | dict.fromkeys("“”„‟«»‹›″©®™", '"')
    | dict.fromkeys("‐‑‒−", "-")  # noqa: RUF001
    | dict.fromkeys("—―•·", ", ")
    | {"…": "... ", "\u00ad": "", "\u200b": "", "\ufeff": "", "½": " 1/2", "¼": " 1/4", "¾": " 3/4"}
    | {
        "ß": "ss",
        "æ": "ae",
        "Æ": "Ae",
        "œ": "oe",
        "Œ": "Oe",
        "ø": "o",
        "Ø": "O",
        "ł": "l",
        "Ł": "L",
        "đ": "d",
    }
    | {"×": " times ", "÷": " divided by ", "±": " plus or minus ", "§": " section ", "&": " and "}  # noqa: RUF001
)
ABBREVIATIONS = {
    "Mr": "mister", "Mrs": "misses", "Ms": "ms", "Prof": "professor", "Rev": "reverend", "Gen": "general",
    "Sen": "senator", "Rep": "representative", "Gov": "governor", "Capt": "captain", "Lt": "lieutenant",
    "Sgt": "sergeant", "Col": "colonel", "Jr": "junior", "Sr": "senior", "Inc": "incorporated",
    "Ltd": "limited",
    "Corp": "corporation", "Co": "company", "Bros": "brothers", "Ave": "avenue", "Blvd": "boulevard",
    "Rd": "road", "Ln": "lane", "Hwy": "highway", "Apt": "apartment", "Mt": "mount", "Ft": "fort",
    "Dept": "department", "Univ": "university", "vs": "versus", "etc": "et cetera", "approx": "approximately",
    "incl": "including", "ext": "extension", "tel": "telephone",
    "Jan": "January", "Feb": "February", "Mar": "March", "Apr": "April", "Jun": "June", "Jul": "July",
    "Aug": "August", "Sep": "September", "Sept": "September", "Oct": "October", "Nov": "November",
    "Dec": "December", "Mon": "Monday", "Tue": "Tuesday", "Wed": "Wednesday", "Thu": "Thursday",
    "Fri": "Friday", "Sat": "Saturday",
}  # fmt: skip
NEAR = 60  # characters around an abbreviation that decide how it is read
BARE = "Mr|Mrs|Ms|Jr|Ltd|Blvd|Hwy|Apt|Dept|vs|etc"  # those that are no word, with and without a full stop
TITLES = {"St": ("saint", "street"), "Dr": ("doctor", "drive")}
WORDS = {"@": " at ", "%": " percent ", "+": " plus ", "=": " equals ", "<": " less than ",
         ">": " more than ", "~": " about ", "°": " degrees ", "#": " hash ", "/": " slash ",
         "_": " "}  # fmt: skip
ROMAN = {
    "II": "two",
    "III": "three",
    "IV": "four",
    "VI": "six",
    "VII": "seven",
    "VIII": "eight",
    "IX": "nine",
}
AMBIGUOUS = {"US", "IT"}  # words, if they are in small letters
IN_ADDRESSES = {"@": " at ", ".": " dot ", "-": " dash ", "_": " underscore ", ":": " colon ", "/": " slash "}


def spoken(text: str, known: Container[str] = ()) -> str:
    """The words of an English text in lower case, as they are said, with the punctuation that makes pauses.

    What cannot be said, such as a word of another script, stays as it is.

    Args:
        text: as people write it.
        known: words; others in capitals are said letter by letter, unless the text has no small letters.

    Raises:
        SpeechjemError: for a text with numbers, if num2words is not installed.

    Examples:
        >>> spoken("Dr. Smith paid $12.50 on May 3rd.")
        'doctor smith paid twelve dollars and fifty cents on may third.'
    """
    plain = unicodedata.normalize("NFKD", text.translate(SIGNS))
    text = "".join(sign for sign in plain if not unicodedata.combining(sign))
    for pattern, words in RULES:
        text = pattern.sub(words, text)
    if not text.isupper():
        text = re.sub(r"\b[A-Z]{2,4}\b", lambda found: _capitals(found[0], known), text)
    return re.sub(r"\s+(?=[,;:.?!])", "", " ".join(text.split())).lower()


def letters(word: str) -> str:
    """The names of the letters of a word; 'a' by itself would be the article."""
    return " ".join("ay" if letter in "aA" else letter.lower() for letter in word if letter.isalpha())


def _title(found: Match[str]) -> str:
    """Street or Drive after a name, Saint or Doctor before one."""
    start, end = found.span()
    before, after = found.string[max(start - NEAR, 0) : start], found.string[end : end + NEAR]
    title, way = TITLES[found["short"]]
    named = re.search(r"(\d(st|nd|rd|th)|\b[A-Z][\w']*)\s$", before)
    numbered = re.search(r"\d\w?\s+([NSEW]\.?\s+)?([\w']+\s+){1,2}$", before)
    if named and (numbered or not re.match(r"\s[A-Z]", after)):
        return way + ("." if not after.strip() else "")
    return title


def _abbreviation(found: Match[str]) -> str:
    """The full stop of the last word ends the sentence too."""
    last = found[0].endswith(".") and _ends(found)
    return ABBREVIATIONS[found["short"]] + ("." if last else "")


def _ends(found: Match[str]) -> bool:
    return not found.string[found.end() : found.end() + NEAR].strip()


def _initials(found: Match[str]) -> str:
    return f" {letters(found[0])}{'.' if _ends(found) else ''} "


def _address(found: Match[str]) -> str:
    address = re.sub(r"^https?://|^www\.", "", found[0])
    address = re.sub(r"(?<=[a-z])(?=\d)|(?<=\d)(?=[a-z])", " ", address)
    return f" {''.join(IN_ADDRESSES.get(sign, sign) for sign in address)} "


def _capitals(word: str, known: Container[str]) -> str:
    return letters(word) if word in AMBIGUOUS or word.lower() not in known else word


def _roman(found: Match[str]) -> str:
    return ROMAN[found[0]]


def _sign(found: Match[str]) -> str:
    return WORDS[found[0]]


_NAMES = "|".join(sorted(ABBREVIATIONS, key=len, reverse=True))
# What has more context comes first. Numbers follow on what is written in letters around them.
RULES = [
    *numbers.rules(
        [
            (
                r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+|\bhttps?://[^\s,;!]*[\w/]|\bwww\.[^\s,;!]*[\w/]",
                _address,
            ),
            (r"\b[a-z][\w-]*\.(?:com|org|net|edu|gov|io)\b(?:/[\w/.-]*\w)?", _address),
            (r"\be\.\s?g\.", "for example"),
            (r"\bi\.\s?e\.", "that is"),
            (r"\b[Nn]o\.\s?(?=\d)|#(?=\d)", "number "),
            (r"\bpp?\.\s?(?=\d)", "page "),
            (r"\bPh\.?\s?D\b\.?", "p h d"),
            (r"\b(?P<short>St|Dr)\.", _title),
            (rf"\b(?P<short>{_NAMES})\.", _abbreviation),
            (rf"\b(?P<short>{BARE})\b", _abbreviation),
        ]
    ),
    *numbers.RULES,
    *numbers.rules(
        [
            (r"\b(?:[A-Za-z]\.\s?){2,}(?![a-z])|\b[A-Z]\.(?=\s?[A-Z])", _initials),
            (rf"(?<=[a-z] )(?:{'|'.join(ROMAN)})\b", _roman),
            (r"(?<!\w)[:;]-?[()DP](?!\w)", " "),  # smileys
            (r'["()\[\]{}|*]', " "),
            (r"\s[-–]+\s|--+|–", ", "),
            (r"-(?=\s|$)|(?<!\S)-", " "),
            (r"(?<=\w)/(?=\w)", " "),
            (r"[@%+=<>~°#/_]", _sign),
        ]
    ),
]
