"""Text to phones: words of the CMU dictionary, pauses, and words that it lacks."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechjem.errors import SpeechjemError, UsageError
from speechjem.generation import text
from speechjem.phones import PHONES


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("hello world", "SIL HH AH L OW W ER L D SIL"),
        ("Speech!", "SIL S P IY CH SIL"),
        ("yes, no.", "SIL Y EH S SIL N OW SIL"),
        ("it's well-known", "SIL IH T S W EH L N OW N SIL"),
        ("don’t", "SIL D OW N T SIL"),
        ('"quotes" (some more)', "SIL K W OW T S S AH M M AO R SIL"),
    ],
)
def test_words_are_those_of_the_dictionary(words, expected):
    assert " ".join(text.pronounce(words)) == expected


def test_a_word_that_the_dictionary_lacks_is_spelt_with_a_warning():
    with pytest.warns(UserWarning, match="'blorting' is not in the dictionary"):
        assert text.pronounce("blorting") == "SIL B L AO R T IH NG SIL".split()


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("vate", "V EY T"),
        ("chib", "CH IH B"),
        ("phoom", "F UW M"),
        ("knick", "N IH K"),
        ("ollie", "AA L IY"),
        ("xyz", "K S IY Z"),
    ],
)
def test_spelling_rules(word, expected):
    assert " ".join(text.spell(word)) == expected


@given(st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=30))
def test_every_word_of_letters_has_phones(word):
    phones = text.spell(word)
    assert phones
    assert set(phones) <= set(PHONES)


@pytest.mark.parametrize("words", ["", "  ", "...", " - ", "\u2018\u2019", "a \u4f60 b"])
def test_what_is_no_word_is_refused(words):
    with pytest.raises(UsageError, match=r"no words|cannot be said"):
        text.pronounce(words)


def test_without_the_dictionary_it_says_what_to_install(monkeypatch):
    text._dictionary.cache_clear()
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(SpeechjemError, match=r"speechjem\[text\]"):
        text.pronounce("hello")
    monkeypatch.undo()
    assert text.pronounce("a")
