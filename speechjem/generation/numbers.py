"""Numbers in a text as they are said: amounts, money, dates, times, ordinals, fractions, telephone numbers.

The readings are those of American English, where a form has several: 3/4/2026 is in March.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from re import Match

from ..errors import SpeechjemError

Words = str | Callable[[Match[str]], str]
Rule = tuple[re.Pattern[str], Words]

MONTHS = "January February March April May June July August September October November December".split()
UNITS = {
    "km/h": "kilometers per hour", "mph": "miles per hour", "km": "kilometers", "cm": "centimeters",
    "mm": "millimeters", "m": "meters", "kg": "kilograms", "mg": "milligrams", "g": "grams", "lbs": "pounds",
    "lb": "pounds", "oz": "ounces", "ft": "feet", "ml": "milliliters", "GB": "gigabytes", "MB": "megabytes",
    "TB": "terabytes", "GHz": "gigahertz", "MHz": "megahertz", "kHz": "kilohertz", "Hz": "hertz",
    "dB": "decibels", "ms": "milliseconds", "s": "seconds", "h": "hours", "hrs": "hours", "min": "minutes",
    "kWh": "kilowatt hours", "kW": "kilowatts", "W": "watts", "V": "volts", "°C": "degrees celsius",
    "°F": "degrees fahrenheit", "°": "degrees", "%": "percent",
}  # fmt: skip
MONEY = {
    "US$": ("dollar", "cent"), "$": ("dollar", "cent"), "USD": ("dollar", "cent"), "€": ("euro", "cent"),
    "EUR": ("euro", "cent"), "£": ("pound", "penny"), "GBP": ("pound", "penny"), "¥": ("yen", ""),
    "JPY": ("yen", ""), "CHF": ("swiss franc", ""),
}  # fmt: skip
SCALES = {"k": "thousand", "m": "million", "mn": "million", "b": "billion", "bn": "billion"}
HALVES = {"a": "ay m", "p": "p m"}
PLURALS = {"yen": "yen", "penny": "pence"}


def say(digits: str, to: str = "cardinal") -> str:
    """Words of a number such as ``1,234.5``; digit by digit if it is long or begins with a zero.

    Args:
        digits: without a sign.
        to: "cardinal", "ordinal" or "year".

    Raises:
        SpeechjemError: if num2words is not installed.
    """
    try:
        from num2words import num2words
    except ImportError as error:
        raise SpeechjemError("Numbers need num2words; run: pip install 'speechjem[text]'.") from error
    digits = digits.replace(",", "")
    whole = digits.partition(".")[0]
    if len(whole) > 15 or re.match(r"0\d", whole):
        return " ".join("point" if sign == "." else say(sign) for sign in digits)
    words = str(num2words(digits if "." in digits else int(digits), lang="en", to=to))
    return re.sub(r"[,-]| and ", " ", words)


def rules(pairs: Sequence[tuple[str, Words]]) -> list[Rule]:
    """Patterns, and what is said for what they match."""
    return [(re.compile(pattern), words) for pattern, words in pairs]


def _each(digits: str) -> str:
    return " ".join(map(say, digits))


def _year(digits: str) -> str:
    return say(digits, "year" if re.fullmatch(r"1[1-9]\d\d|20\d\d", digits) else "cardinal")


def _count(amount: str, unit: str) -> str:
    """An amount of a unit that is given in the singular."""
    one = amount.lstrip("0") == "1"
    return f"{say(amount)} {unit if one else PLURALS.get(unit, unit + 's')}"


def _money(found: Match[str]) -> str:
    amount, scale = found["amount"], (found["scale"] or "").lower()
    unit, part = MONEY[found["sign"]]
    if scale:
        return f" {say(amount)} {SCALES.get(scale, scale)} {PLURALS.get(unit, unit + 's')} "
    whole, _, rest = amount.partition(".")
    if len(rest) != 2 or not part:
        return f" {_count(amount, unit)} "
    coins = [_count(str(int(rest)), part)] if int(rest) else []
    notes = [_count(whole, unit)] if whole != "0" or not coins else []
    return f" {' and '.join(notes + coins)} "


def _time(found: Match[str]) -> str:
    hour, minute, half = found["hour"].lstrip("0") or "0", found["minute"] or "00", found["half"]
    second = found.groupdict().get("second")
    if minute != "00":
        rest = f" {'oh ' if minute[0] == '0' else ''}{say(minute.lstrip('0'))}"
    else:
        rest = "" if half else " o'clock" if int(hour) <= 12 else " hundred"
    rest += f" and {_count(str(int(second)), 'second')}" if second else ""
    return f" {say(hour)}{rest} {HALVES[half.lower()] if half else ''} "


def _date(found: Match[str]) -> str:
    """Year first; or day first with full stops; or month first, unless there is no such month."""
    month, day, year = found["month"], found["day"], found["year"]
    if found["sign"] == "." or int(month) > 12:
        month, day = day, month
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return found[0]
    year = year if len(year) == 4 else f"20{year}"
    return f" {MONTHS[int(month) - 1]} {say(str(int(day)), 'ordinal')}, {_year(year)} "


def _day(found: Match[str]) -> str:
    year = f", {_year(found['year'])}" if found["year"] else ""
    return f"{found['month']} {say(found['day'], 'ordinal')}{year}"


def _day_first(found: Match[str]) -> str:
    year = f", {_year(found['year'])}" if found["year"] else ""
    return f"{found['article'] or 'the '}{say(found['day'], 'ordinal')} of {found['month']}{year}"


def _fraction(found: Match[str]) -> str:
    whole, above, below = found["whole"], found["above"], found["below"]
    if not 0 < int(above) < int(below) or above[0] == "0" or below[0] == "0":
        return f"{whole or ''} {say(above)} {say(below)} "  # such as 24/7
    name = {"2": "half", "4": "quarter"}.get(below) or say(below, "ordinal")
    words = f"{say(above)} {name}{'s' if above != '1' else ''}"
    return f"{say(whole)} and {words} " if whole else f" {words} "


def _decade(found: Match[str]) -> str:
    words = _year(found["digits"])
    return f" {words[:-1]}ies " if words.endswith("y") else f" {words}s "


def _measure(found: Match[str]) -> str:
    words = UNITS[found["unit"]]
    if found["amount"] == "1":
        words = {"feet": "foot"}.get(words) or re.sub(r"(?<=[a-gi-z])s(?= |$)", "", words, count=1)
    return f"{say(found['amount'])} {words} "


def _telephone(found: Match[str]) -> str:
    plus = "plus " if found[0].startswith("+") else ""
    return f" {plus}{', '.join(map(_each, re.findall(r'[0-9]+', found[0])))} "


def _ordinal(found: Match[str]) -> str:
    return say(found["digits"], "ordinal")


def _plain(found: Match[str]) -> str:
    return f" {_year(found[0])} "


def _sum(found: Match[str]) -> str:
    return f" {say(found[0])} "


_AMOUNT = r"(?P<amount>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)"
_SCALE = r"(?:\s?(?P<scale>(?i:thousand|million|billion|trillion|bn|mn|[kmb]))\b)?"
_SIGN = "|".join(map(re.escape, MONEY))
_UNIT = "|".join(map(re.escape, sorted(UNITS, key=len, reverse=True)))
_MONTH = rf"(?P<month>{'|'.join(MONTHS)})"
_YEAR = r"\b(?:,? (?P<year>\d{4})\b)?"
# What has more context comes first.
RULES = rules(
    [
        (r"(?<![\w-])-(?=[\d$€£])", "minus "),
        (r"\b(?P<hour>\d{1,2})(?::(?P<minute>[0-5]\d))?\s?(?P<half>[aApP])(?:\.\s?[mM]\.|[mM]\b)", _time),
        (r"\b(?P<hour>[01]?\d|2[0-4]):(?P<minute>[0-5]\d)(?::(?P<second>\d\d))?\b(?P<half>)", _time),
        (r"\b(?P<year>\d{4})(?P<sign>-)(?P<month>\d\d)-(?P<day>\d\d)\b", _date),
        (r"\b(?P<month>\d{1,2})(?P<sign>[/.])(?P<day>\d{1,2})(?P=sign)(?P<year>\d{4}|\d\d)\b", _date),
        (rf"\b{_MONTH} (?P<day>\d{{1,2}})(?:st|nd|rd|th)?{_YEAR}", _day),
        (rf"(?P<article>\b[Tt]he |)\b(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?: of)? {_MONTH}{_YEAR}", _day_first),
        (rf"(?P<sign>{_SIGN})\s?{_AMOUNT}{_SCALE}", _money),
        (rf"\b{_AMOUNT}{_SCALE}\s?(?P<sign>{_SIGN})(?!\w)", _money),
        (r"\+\d[\d ().-]{6,}\d|\(\d{3}\)\s?\d{3}-\d{4}|\b\d{3}-(?:\d{3}-)?\d{4}\b", _telephone),
        (r"(?<=\b[A-Z]{2} )\d{5}(?:-\d{4})?\b", _telephone),  # a ZIP code
        (r"\b(?P<digits>\d+)(?:st|nd|rd|th)\b", _ordinal),
        (r"(?<!\w)'?(?P<digits>\d{2}|\d{4})'?s\b(?!\w)", _decade),
        (rf"\b{_AMOUNT}\s?(?P<unit>{_UNIT})(?!\w)", _measure),
        (r"(?:\b(?P<whole>\d+) +)?\b(?P<above>\d{1,3})/(?P<below>\d{1,3})\b", _fraction),
        (r"(?<=\d)\s?–\s?(?=\d)|(?<=\d)-(?=\d)|(?<=\d):(?=\d)", " to "),
        (r"(?<=\d)\.(?=\d+\.\d)|(?<=\d\.\d)\.(?=\d)", " point "),  # of versions and addresses
        (r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.\d+", _sum),
        (r"\d+", _plain),
    ]
)
