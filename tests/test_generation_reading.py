"""Everyday sentences are said as an American reader would say them."""

from __future__ import annotations

import contextlib
import sys
import time
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechjem.errors import SpeechjemError, UsageError
from speechjem.generation import text
from speechjem.generation.reading import spoken
from speechjem.phones import PHONES

SENTENCES = [
    ("Dr. Smith lives at 12 Elm Dr. in St. Paul.", "doctor smith lives at twelve elm drive in saint paul."),
    ("Meet me on Main St. at 5:30 p.m. tomorrow.", "meet me on main street at five thirty p m tomorrow."),
    (
        "He moved to 221B Baker St., London, in 1895.",
        "he moved to two hundred twenty one b baker street, london, in eighteen ninety five.",
    ),
    (
        "The U.S. economy grew 2.5% in 2024.",
        "the u s economy grew two point five percent in twenty twenty four.",
    ),
    (
        "It fell from $1,250 to $1,000.50.",
        "it fell from one thousand two hundred fifty dollars to one thousand dollars and fifty cents.",
    ),
    ("The company is worth $3.5 billion.", "the company is worth three point five billion dollars."),
    (
        "It costs €5, £12.99 or ¥500.",
        "it costs five euros, twelve pounds and ninety nine pence or five hundred yen.",
    ),
    ("Coffee is $0.75; tea is $1.", "coffee is seventy five cents; tea is one dollar."),
    ("She was born on March 3, 1998.", "she was born on march third, nineteen ninety eight."),
    ("The deadline is 11/28/2026.", "the deadline is november twenty eighth, twenty twenty six."),
    ("We start on 2026-01-05 at 09:00.", "we start on january fifth, twenty twenty six at nine o'clock."),
    ("See you on the 21st of June.", "see you on the twenty first of june."),
    ("The 1st, 2nd and 3rd prizes went to Ann.", "the first, second and third prizes went to ann."),
    ("In the 1990s we listened to cassettes.", "in the nineteen nineties we listened to cassettes."),
    ("“Don’t worry,” she said — “it’s fine…”", "don't worry, she said, it's fine..."),
    ("The café’s naïve fiancée ordered crème brûlée.", "the cafe's naive fiancee ordered creme brulee."),
    ("Mr. and Mrs. Jones vs. the State of Ohio", "mister and misses jones versus the state of ohio"),
    ("Bring pens, paper, etc. to class.", "bring pens, paper, et cetera to class."),
    (
        "We sell fruit, e.g. apples, i.e. Granny Smiths.",
        "we sell fruit, for example apples, that is granny smiths.",
    ),
    (
        "Call me at (555) 123-4567 after 6 pm.",
        "call me at five five five, one two three, four five six seven after six p m.",
    ),
    (
        "My number is +1 202-555-0147.",
        "my number is plus one, two zero two, five five five, zero one four seven.",
    ),
    ("Email anna.lee@example.com for details.", "email anna dot lee at example dot com for details."),
    (
        "Visit www.example.org/help or https://example.com.",
        "visit example dot org slash help or example dot com.",
    ),
    (
        "Mix 1/2 cup of sugar with 2 ¾ cups of flour.",
        "mix one half cup of sugar with two and three quarters cups of flour.",
    ),
    ("About two-thirds (67%) of voters agreed.", "about two-thirds sixty seven percent of voters agreed."),
    (
        "It was -5°C this morning, but 20 °C at noon.",
        "it was minus five degrees celsius this morning, but twenty degrees celsius at noon.",
    ),
    (
        "The train does 300 km/h over 1,000 km.",
        "the train does three hundred kilometers per hour over one thousand kilometers.",
    ),
    ("The IT department is open 24/7.", "the i t department is open twenty four seven."),
    ("NASA and the FBI declined to comment.", "nasa and the fbi declined to comment."),
    ("Pages 10–12 cover chapters 3-5.", "pages ten to twelve cover chapters three to five."),
    ("They won 3:2 on Saturday.", "they won three to two on saturday."),
    ("Version 3.10.2 is out.", "version three point ten point two is out."),
    ("J. K. Rowling wrote seven books.", "j k rowling wrote seven books."),
    ("She has a Ph.D. from M.I.T.", "she has a p h d from m i t."),
    (
        "Flight BA2490 leaves from gate B12 at 14:05.",
        "flight ba two thousand four hundred ninety leaves from gate b twelve at fourteen oh five.",
    ),
    ("Send it to P.O. Box 305, Boston.", "send it to p o box three hundred five, boston."),
    ("Agent 007 has 1000000 dollars.", "agent zero zero seven has one million dollars."),
    (
        "Our 4K TV and the COVID-19 test are in Room 101.",
        "our four k tv and the covid nineteen test are in room one hundred one.",
    ),
    ("Is it Mon., Jan. 5 or Tue., Feb. 6?", "is it monday, january fifth or tuesday, february sixth?"),
    ("Lunch is at 12:00 - don't be late!", "lunch is at twelve o'clock, don't be late!"),
    ("Rock & roll isn't dead, it's #1.", "rock and roll isn't dead, it's number one."),
    ("He ran 26.2 miles in 3 h.", "he ran twenty six point two miles in three hours."),
    ("The ratio is ½, i.e. 50 %.", "the ratio is one half, that is fifty percent."),
    ("It's 5 o'clock somewhere.", "it's five o'clock somewhere."),
    (
        "Johnson & Johnson Inc. hired 2,500 people.",
        "johnson and johnson incorporated hired two thousand five hundred people.",
    ),
    ("Is the and/or switch on?", "is the and or switch on?"),
    ("My dog's 3 years old.", "my dog's three years old."),
    ("He paid 20 USD & 5 EUR.", "he paid twenty dollars and five euros."),
    ("World War II ended in 1945.", "world war two ended in nineteen forty five."),
    ("The meeting is 10 a.m. to noon.", "the meeting is ten ay m to noon."),
    ("OK, let's go :-)", "ok, let's go"),
]


@pytest.mark.parametrize(("written", "said"), SENTENCES)
def test_everyday_sentences(written, said):
    assert spoken(written, text._dictionary()) == said
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that the dictionary lacks
        assert len(text.pronounce(written)) > 5


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("12:00:05", "twelve o'clock and five seconds"),
        ("12:30:01 hours", "twelve thirty and one second hours"),
        ("1 km, 1 ft, 1 lb, 1 kWh", "one kilometer, one foot, one pound, one kilowatt hour"),
        ("£1.01", "one pound and one penny"),
        ("$0.00", "zero dollars"),
        ("13/2/2026", "february thirteenth, twenty twenty six"),
        ("28.11.2026", "november twenty eighth, twenty twenty six"),
        ("99/99/2026", "ninety nine ninety nine slash twenty twenty six"),
        ("Main St. and Elm Dr.", "main street and elm drive."),
        ("the 90s", "the nineties"),
        ("Springfield, IL 62704", "springfield, i l six two seven zero four"),
        ("I AM FINE", "i am fine"),
        ("GPS and WHO", "g p s and who"),
        ("a_b #fun :-)", "a b hash fun"),
        ("9" * 16, " ".join(["nine"] * 16)),
    ],
)
def test_forms(written, said):
    assert spoken(written, {"who", "and", "fine"}) == said


@pytest.mark.parametrize("word", ["привет", "你好", "\U0001f44d", "αβγ"])
def test_the_word_that_cannot_be_said_is_named(word):
    with pytest.raises(UsageError, match=word):
        text.pronounce(f"Say {word} to everyone.")


@pytest.mark.parametrize(
    ("word", "phones"),
    [("Zebra's", "Z IY B R AH Z"), ("quartz's", "K W AO R T S IH Z"), ("kumquat's", "K AH M K W AA T S")],
)
def test_possessives_of_words_that_the_dictionary_has(word, phones):
    assert text.pronounce(word)[1:-1] == phones.split()


@given(st.text(max_size=40))
def test_any_text_is_said_or_refused(anything):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(UsageError):
            assert set(text.pronounce(anything)) <= set(PHONES)


def test_without_num2words_only_numbers_need_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "num2words", None)
    assert spoken("Mr. Smith") == "mister smith"
    with pytest.raises(SpeechjemError, match=r"speechjem\[text\]"):
        spoken("7 apples")


@pytest.mark.parametrize("part", ["a", "A.", "1", "1,", "St. ", "+1 ", "-", "a@", "1/", "1.", "$1"])
def test_the_time_that_long_texts_take_grows_with_their_length(part):
    """Not with its square: a hundred times as long would then take ten thousand times as long."""
    seconds = []
    for count in (1000, 30000):
        begin = time.process_time()
        spoken(part * count)
        seconds.append(time.process_time() - begin)
    assert seconds[1] < 300 * max(seconds[0], 1e-3)
