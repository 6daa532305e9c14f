"""Names of phones, and TIMIT's labels folded as Lee and Hon (1989) published."""

from __future__ import annotations

import pytest

from speechjem import phones
from speechjem.errors import UsageError

# The phone set of the CMU Pronouncing Dictionary (cmudict.phones).
CMU = (
    "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH"
).split()

# TIMIT's labels by kind, from the corpus documentation (phoncode.doc).
TIMIT = {
    "stops": "b d g p t k dx q",
    "closures": "bcl dcl gcl pcl tcl kcl",
    "affricates": "jh ch",
    "fricatives": "s sh z zh f th v dh",
    "nasals": "m n ng em en eng nx",
    "semivowels": "l r w y hh hv el",
    "vowels": "iy ih eh ey ae aa aw ay ah ao oy ow uh uw ux er ax ix axr ax-h",
    "others": "pau epi h#",
}
TIMIT_LABELS = " ".join(TIMIT.values()).split()

# Allophones that Lee and Hon's table I folds into another of the 48 phones; the rest stays.
LEE_HON_48 = {
    "ux": "uw", "axr": "er", "ax-h": "ax", "em": "m", "nx": "n", "eng": "ng", "hv": "hh",
    "pcl": "cl", "tcl": "cl", "kcl": "cl", "bcl": "vcl", "dcl": "vcl", "gcl": "vcl",
    "h#": "sil", "pau": "sil",
}  # fmt: skip
# The seven groups of the 48 phones within which they count no errors.
LEE_HON_GROUPS = ("sil cl vcl epi", "l el", "n en", "sh zh", "aa ao", "ih ix", "ah ax")


def classes(count: int) -> set[str]:
    return {folded for label in phones.TIMIT61 if (folded := phones.fold(label, count)) is not None}


# Names


def test_the_phones_are_silence_and_those_of_the_cmu_dictionary_in_a_fixed_order() -> None:
    assert list(phones.PHONES) == ["SIL", *CMU]


@pytest.mark.parametrize("spell", [str.lower, str.upper, str.capitalize, lambda name: f" {name}\n"])
def test_letter_case_and_outer_space_do_not_matter(spell) -> None:
    assert [phones.normalise(spell(name)) for name in ["SIL", *CMU]] == ["SIL", *CMU]


@pytest.mark.parametrize("stress", "012")
def test_a_stress_digit_is_dropped(stress: str) -> None:
    assert phones.normalise("ow" + stress) == "OW"


@pytest.mark.parametrize("digit", "345")
def test_another_digit_is_no_stress(digit: str) -> None:
    with pytest.raises(UsageError):
        phones.normalise("OW" + digit)


@pytest.mark.parametrize(
    ("ipa", "name"),
    list(
        zip(
            "ɑ æ ʌ ɔ aʊ aɪ tʃ ð ɛ ɝ eɪ ɡ h ɪ i dʒ ŋ oʊ ɔɪ ɹ ʃ θ ʊ u j ʒ".split(),
            "AA AE AH AO AW AY CH DH EH ER EY G HH IH IY JH NG OW OY R SH TH UH UW Y ZH".split(),
            strict=True,
        )
    ),
)
def test_ipa_is_understood(ipa: str, name: str) -> None:
    assert phones.normalise(ipa) == name


@pytest.mark.parametrize(
    ("ipa", "name"),
    [
        pair.split("=")
        for pair in (
            "ə=AH ɚ=ER ɝː=ER ɜ˞=ER ɜː=ER ɑː=AA iː=IY uː=UW ɔː=AO t͡ʃ=CH d͡ʒ=JH t͜ʃ=CH ʧ=CH ʤ=JH ˈoʊ=OW ˌa͡ɪ=AY "
            "əʊ=OW a=AE e=EH ɒ=AO ɫ=L l̩=L n̩=N m̩=M tʰ=T t̚=T ɾ=D ʔ=SIL r=R g=G ç=HH ẽ=EH ɪə=IH "
            "eə=EH ʊə=UH ɑ_B=AA ᵻ=IH"
        ).split()
    ],
)
def test_ipa_is_understood_as_people_write_it(ipa: str, name: str) -> None:
    assert phones.normalise(ipa) == name


# The phones of MFA's english_mfa acoustic model, and what they are in words of CMU's dictionary.
ENGLISH_MFA = """
AE: a æ; AY: aj; AW: aw; AA: aː ɑ ɑː; B: b bʲ; K: c cʰ cʷ k kʰ kʷ kp; D: d dʲ d̪ ɖ ɾ ɾʲ; JH: dʒ; EY: ej eː;
EH: e ɛ ɛː; F: f fʲ; HH: h ç; IY: i iː; Y: j; L: l ɫ ɫ̩ ʎ; M: m mʲ m̩ ɱ; N: n n̩ ɲ ɾ̃; OW: o ow əw; AO: oː ɒ ɒː ɔ;
P: p pʰ pʲ pʷ; S: s; T: t tʰ tʲ tʷ t̪ ʈ ʈʲ ʈʷ; CH: tʃ; UW: u uː ʉ ʉː; V: v vʲ vʷ ʋ; W: w; Z: z; DH: ð; NG: ŋ;
AH: ɐ ɐː ə; OY: ɔj; ER: ɚ ɜ ɜː ɝ; G: ɟ ɟʷ ɡ ɡb ɡʷ; IH: ɪ; R: ɹ; SH: ʃ; UH: ʊ; ZH: ʒ; TH: θ; SIL: ʔ spn sil
"""


def test_every_phone_of_english_mfa_is_understood() -> None:
    for group in ENGLISH_MFA.split(";"):
        name, symbols = group.split(":")
        assert {phones.normalise(symbol) for symbol in symbols.split()} == {name.strip()}, group


@pytest.mark.parametrize(
    ("transcription", "names"),
    [
        ("həˈloʊ wɝːld", "HH AH L OW W ER L D"),
        ("/ˈspiːt͡ʃ/", "S P IY CH"),
        ("[tʰɪ̃n]", "T IH N"),
        ("hh ʌ l oʊ", "HH AH L OW"),
    ],
)
def test_a_transcription_in_ipa_is_split_into_its_phones(transcription: str, names: str) -> None:
    assert phones.parse(transcription) == names.split()


@pytest.mark.parametrize("wrong", ["hɛlqo", "hello", "həˈl5", "ˈ"])
def test_what_is_neither_is_refused(wrong: str) -> None:
    with pytest.raises(UsageError, match="There is no phone"):
        phones.parse(wrong)


def test_every_ipa_symbol_of_the_table_but_that_of_silence_names_its_own_phone() -> None:
    speech = [phone for phone in phones.TABLE if phone.name != "SIL"]
    assert [phones.normalise(phone.ipa) for phone in speech] == [phone.name for phone in speech]


@pytest.mark.parametrize("name", ["pau", "sp", "SPN", "<eps>"])
def test_pauses_of_other_tools_are_silence(name: str) -> None:
    assert phones.normalise(name) == "SIL"


@pytest.mark.parametrize("position", ["_B", "_I", "_E", "_S"])
@pytest.mark.parametrize(("name", "phone"), [("AH0", "AH"), ("b", "B"), ("S", "S"), ("SPN", "SIL")])
def test_a_position_in_the_word_is_dropped(name: str, phone: str, position: str) -> None:
    assert phones.normalise(name + position) == phone


@pytest.mark.parametrize("label", TIMIT_LABELS)
def test_every_label_of_timit_is_a_phone_of_ours_of_the_same_39_classes(label: str) -> None:
    ours, expected = phones.normalise(label), phones.fold(label, 39)
    if label == "q":
        assert (ours, expected) == ("SIL", None)  # which the field leaves out
    elif label == "dx":
        assert (ours, expected) == ("D", "dx")  # a flap is a class of its own there
    else:
        assert phones.fold(ours, 39) == expected


@pytest.mark.parametrize("name", ["XX", "", "1", "_B", "AH_X", "A", "AAA", "AA11", "hello", "é"])
def test_the_error_for_an_unknown_phone_quotes_it_and_lists_all_names(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        phones.normalise(name)
    message = str(caught.value)
    assert repr(name) in message
    assert set(CMU) | {"SIL"} <= set(message.rstrip(".").split())


def test_index_is_the_place_in_the_table() -> None:
    assert (phones.index("sil"), phones.index("aa0"), phones.index("ʒ")) == (0, 1, 39)


def test_a_string_of_phones_is_split_at_white_space() -> None:
    assert phones.parse(" hh ah0\tl  OW1\n") == ["HH", "AH", "L", "OW"]


def test_an_iterable_of_phones_is_taken_one_by_one() -> None:
    assert phones.parse(name for name in ("s", "ɪ", "K")) == ["S", "IH", "K"]


@pytest.mark.parametrize("nothing", ["", "  ", []])
def test_no_phone_at_all_is_an_error_with_an_example(nothing) -> None:
    with pytest.raises(UsageError, match="hh ah l ow"):
        phones.parse(nothing)


# Folding


def test_timit_has_its_61_labels() -> None:
    assert len(phones.TIMIT61) == 61
    assert set(phones.TIMIT61) == set(TIMIT_LABELS)


def test_folding_of_all_61_labels_leaves_48_classes() -> None:
    assert len(classes(48)) == 48


def test_folding_of_all_61_labels_leaves_39_classes() -> None:
    assert len(classes(39)) == 39


@pytest.mark.parametrize("label", [label for label in TIMIT_LABELS if label != "q"])
def test_folding_to_48_is_that_of_lee_and_hon(label: str) -> None:
    assert phones.fold(label, 48) == LEE_HON_48.get(label, label)


@pytest.mark.parametrize("label", [label for label in TIMIT_LABELS if label != "q"])
def test_folding_to_39_is_to_48_and_then_within_lee_and_hons_groups(label: str) -> None:
    in_48 = LEE_HON_48.get(label, label)
    group = next((group.split() for group in LEE_HON_GROUPS if in_48 in group.split()), [in_48])
    assert phones.fold(label, 39) == group[0]


@pytest.mark.parametrize(("label", "folded"), [("qcl", "cl"), ("#h", "sil")])
def test_labels_of_lee_and_hons_table_that_the_corpus_lacks_are_folded_too(label: str, folded: str) -> None:
    assert phones.fold(label, 48) == folded


@pytest.mark.parametrize("count", [48, 39])
def test_the_glottal_stop_is_left_out(count: int) -> None:
    assert phones.fold("q", count) is None


@pytest.mark.parametrize("count", [48, 39])
def test_every_phone_of_ours_folds_to_one_of_the_classes(count: int) -> None:
    assert {phones.fold(name, count) for name in phones.PHONES} <= classes(count)


def test_folding_ignores_letter_case() -> None:
    assert (phones.fold("ZH", 39), phones.fold("AX-H", 48)) == ("sh", "ax")


@pytest.mark.parametrize("count", [61, 40, 0])
def test_there_is_no_other_folding(count: int) -> None:
    with pytest.raises(UsageError, match=f"not to {count}"):
        phones.fold("aa", count)


def test_the_error_for_an_unknown_label_lists_timits() -> None:
    with pytest.raises(UsageError) as caught:
        phones.fold("foo", 39)
    assert set(TIMIT_LABELS) <= set(str(caught.value).rstrip(".").split())
