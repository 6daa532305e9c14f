"""Durations and pitch by rule: what can be said of them without listening."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from speechjem.generation import prosody, text
from speechjem.generation.prosody import PAUSE, Sound, contour, draw_phones, durations

FRAME = 0.01
VOWEL, CONSONANT, SILENCE = Sound("AA"), Sound("S"), Sound("SIL")


def rng():
    return np.random.default_rng(0)


def over(sounds, frames):
    """Which of the sounds every frame has, each being as long."""
    return torch.arange(len(sounds)).repeat_interleave(frames)


def flat_contour(sounds, frames=50, **settings):
    place = over(sounds, frames)
    voiced = torch.tensor([s.phone != "SIL" for s in sounds])[place]
    return contour(sounds, place, voiced, FRAME, rng(), temperature=0.0, **settings), voiced


def test_the_mean_of_a_contour_is_that_of_the_voice():
    height, voiced = flat_contour([SILENCE, VOWEL, Sound("IY", accented=True), CONSONANT, SILENCE])
    assert height[voiced].mean().item() == pytest.approx(0, abs=1e-5)


def test_the_pitch_falls_in_a_line_over_a_phrase_and_further_at_its_end():
    height, _ = flat_contour([SILENCE, VOWEL, VOWEL, VOWEL, SILENCE])
    phrase = height[50:200].double()
    slopes = phrase.diff()[:115]
    assert slopes.std() < 1e-6
    assert slopes.mean().item() == pytest.approx(-prosody.DECLINATION / 149, rel=1e-3)
    assert phrase[0] - phrase[-1] == pytest.approx(prosody.DECLINATION - prosody.FALL, rel=1e-3)


def test_every_phrase_starts_anew():
    height, _ = flat_contour([VOWEL, VOWEL, SILENCE, VOWEL, VOWEL])
    assert torch.allclose(height[:100], height[150:], atol=1e-5)


def test_a_question_rises_where_a_statement_falls():
    ends = {
        asked: flat_contour([SILENCE, VOWEL, VOWEL, Sound("SIL", question=asked)])[0][149]
        - height_before(asked)
        for asked in (False, True)
    }
    assert ends[True] > 1
    assert ends[False] < -0.5


def height_before(asked):
    return flat_contour([SILENCE, VOWEL, VOWEL, Sound("SIL", question=asked)])[0][115]


def test_an_accent_is_a_bump_in_the_middle_of_its_vowel():
    plain, voiced = flat_contour([SILENCE, VOWEL, VOWEL, VOWEL, SILENCE])
    bumpy, _ = flat_contour([SILENCE, VOWEL, Sound("AA", accented=True), VOWEL, SILENCE])
    bump = bumpy - plain
    assert 50 + int(bump[50:200].argmax()) in (124, 125)
    assert (bump.max() - bump[voiced].min()).item() == pytest.approx(prosody.ACCENT, rel=0.01)


def test_heights_of_accents_are_drawn():
    sounds = [VOWEL, Sound("AA", accented=True), VOWEL]
    place = over(sounds, 50)
    draws = np.random.default_rng(1)
    contours = [contour(sounds, place, place >= 0, FRAME, draws) for _ in range(2)]
    assert (contours[0] - contours[1]).abs().max() > 0.01


def test_the_last_vowel_of_a_phrase_and_what_follows_is_lengthened():
    sounds = [SILENCE, CONSONANT, VOWEL, CONSONANT, VOWEL, CONSONANT, SILENCE, VOWEL]
    found = durations(sounds, [0.1] * len(sounds), rng(), temperature=0.0)
    long = 0.1 * prosody.FINAL
    assert found == pytest.approx([PAUSE, 0.1, 0.1, 0.1, long, long, PAUSE, long])


def test_a_phrase_without_a_vowel_has_its_last_phone_lengthened():
    assert durations([CONSONANT] * 3, [0.1] * 3, rng(), 0.0) == pytest.approx([0.1, 0.1, 0.1 * prosody.FINAL])


def test_durations_are_spread_around_the_usual_ones():
    sounds = [VOWEL, CONSONANT] * 2000
    found = np.log(durations(sounds, [0.1] * 4000, rng())[:3990]) - np.log(0.1)
    assert found.mean() == pytest.approx(0, abs=0.01)
    assert found.std() == pytest.approx(prosody.SPREAD, rel=0.05)


def test_phones_are_drawn_by_their_probabilities_after_each_other():
    bigrams = torch.tensor([[0.0, 0.75, 0.25], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    drawn = draw_phones(bigrams, 0, 4000, rng())
    pairs = list(zip(drawn, drawn[1:], strict=False))
    assert set(pairs) == {(0, 1), (0, 2), (1, 0), (2, 1)}
    after = [b for a, b in pairs if a == 0]
    assert after.count(1) / len(after) == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize(
    ("words", "accented"),
    [
        ("the speech", ["IY"]),
        ("again", ["EH"]),
        ("it was better", ["EH"]),
        ("of the", []),
        ("the bird", ["ER"]),
    ],
)
def test_words_have_their_accent_on_the_first_full_vowel_and_grammar_has_none(words, accented):
    assert [s.phone for s in text.read(words) if s.accented] == accented


def test_a_question_mark_makes_a_question():
    assert [s.question for s in text.read("are you here? yes.") if s.phone == "SIL"] == [False, True, False]
