"""Nouns of captions: places, lemmas, options, and what must not go wrong."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.nouns import Noun, NounExtractor, NounsConfig, caption_problem, select_vocabulary, union
from pipeline.nouns.training.evaluate import read_gold, score_captions
from tests.nouns.hand_labelled import HAND_LABELLED_COMPOUNDS
from tests.nouns.lemmas import lemmas


def test_nouns_of_hand_labelled_captions(shared: Path, single_words: NounExtractor) -> None:
    gold = read_gold(shared / "noun-tagger" / "gold_dev.tsv")
    assert len(gold) == 160
    found = single_words.extract([row.caption for row in gold])
    scores = score_captions(gold, [[noun.lemma for noun in nouns] for nouns in found])
    assert scores.f1 >= 98


@pytest.mark.parametrize("style", [str.lower, str.upper, str.title])
def test_letter_case_costs_little(shared: Path, single_words: NounExtractor, style: Callable[[str], str]) -> None:
    gold = read_gold(shared / "noun-tagger" / "gold_dev.tsv")
    found = single_words.extract([style(row.caption) for row in gold])
    assert score_captions(gold, [[noun.lemma for noun in nouns] for nouns in found]).f1 >= 97.5


@settings(max_examples=150, deadline=None)
@given(captions=st.lists(st.text(st.characters(exclude_categories=()), max_size=120), max_size=4))
def test_any_text_has_nouns_at_their_places(extractor: NounExtractor, captions: list[str]) -> None:
    check_places(extractor, captions)


PLAIN = [
    "a",
    "two",
    "TEDDY",
    "bears",
    "Fire",
    "hydrants",
    "motor-bike",
    "dog's",
    "cats",
    "on",
    "red",
    "riding",
    "don't",
]
ODD = ["İstanbul", "ﬁsh", "naïve", "🐕", "狗", "\ud83d", "\x00", "\u200b", ".", ",", "-", "'", "&amp;", "http://a.b/c"]
WORDS = st.sampled_from([*PLAIN, *ODD])
SPACES = st.sampled_from([" ", "  ", "\n", "\t ", "\u00a0", "\x1f", ""])


@settings(max_examples=150, deadline=None)
@given(pieces=st.lists(st.tuples(WORDS, SPACES), max_size=15), upper=st.booleans())
def test_odd_captions_have_nouns_at_their_places(
    extractor: NounExtractor, pieces: list[tuple[str, str]], upper: bool
) -> None:
    caption = "".join(word + space for word, space in pieces)
    check_places(extractor, [caption.upper() if upper else caption])


def check_places(extractor: NounExtractor, captions: list[str]) -> None:
    found = extractor.extract(captions)
    assert len(found) == len(captions)
    for caption, nouns in zip(captions, found, strict=True):
        end = 0
        for noun in nouns:
            assert end <= noun.start < noun.end
            assert caption[noun.start : noun.end] == noun.surface
            assert noun.lemma
            assert noun.lemma == noun.lemma.lower()
            end = noun.end


def test_places_are_those_of_the_caption_as_it_came(extractor: NounExtractor) -> None:
    caption = "  A BIG\u00a0DOG\n\n NEAR TWO  FIRE \t HYDRANTS\x00 "
    [nouns] = extractor.extract([caption])
    assert nouns == [
        Noun("dog", "DOG", 8, 11),
        Noun("fire hydrant", "FIRE \t HYDRANTS", 24, 39),
    ]
    assert nouns[1].name("surface") == "fire hydrants"


def test_headlines_are_no_names(extractor: NounExtractor) -> None:
    assert lemmas(extractor, "Woman Holding Umbrella On Beach") == ["woman", "umbrella", "beach"]


def test_proper_nouns_are_an_option(extractor: NounExtractor) -> None:
    caption = "An Amtrak train at a station in Chicago."
    assert lemmas(extractor, caption) == ["train", "station"]
    with_names = NounExtractor("bundled", proper_nouns=True)
    assert lemmas(with_names, caption) == ["amtrak", "train", "station", "chicago"]


def test_stop_list() -> None:
    caption = "A picture of a dog on the side of a parking lot."
    assert lemmas(NounExtractor("bundled"), caption) == ["picture", "dog", "side", "parking lot"]
    listed = NounExtractor("bundled", stop_list=["@non_visual", "Dog"])
    assert lemmas(listed, caption) == ["parking lot"]  # the word "lot" alone is on the list


def test_stop_list_that_does_not_exist() -> None:
    with pytest.raises(UserError, match=r"nouns\.stop_list.*@non_visual"):
        NounExtractor("bundled", stop_list=["@nonvisual"])


def test_union_keeps_each_name_at_its_first_place(extractor: NounExtractor) -> None:
    captions = ["Two dogs on a bench", "", "A dog and a cat near benches"]
    found = extractor.extract(captions)
    assert [(index, noun.surface) for index, noun in union(found)] == [
        (0, "dogs"),
        (0, "bench"),
        (2, "cat"),
    ]
    assert [noun.surface for _, noun in union(found, "surface")] == [
        "dogs",
        "bench",
        "dog",
        "cat",
        "benches",
    ]


@pytest.mark.parametrize(
    ("caption", "problem"),
    [
        ("", "empty"),
        (" \n\t\x00\u00a0", "empty"),
        ("\ud800", "empty"),
        ("🐕🐈 12!", "no_latin_letters"),
        ("一只狗在沙发上", "no_latin_letters"),
        ("собака", "no_latin_letters"),
        ("nan", "empty"),
        (" N/A ", "empty"),
        ("nan bread", None),
        ("a" * 2001, "too_long"),
        ("dog " * 250_000, "too_long"),
        ("a" * 2000, None),
        ("ein Hund", None),
        ("Ångström", None),
        ("A dog 🐕.", None),
    ],
)
def test_caption_problem(extractor: NounExtractor, caption: str, problem: str | None) -> None:
    assert caption_problem(caption) == problem
    if problem:
        assert extractor.extract([caption, "a dog"]) == [[], [Noun("dog", "dog", 2, 5)]]


def test_configuration_fields_reach_the_extractor() -> None:
    config = NounsConfig("bundled", compounds=False, proper_nouns=True, stop_list=["dog"], max_caption_length=31)
    extractor = NounExtractor.from_config(config)
    assert lemmas(extractor, "An Amtrak dog on a fire hydrant") == ["amtrak", "fire", "hydrant"]
    assert lemmas(extractor, "An Amtrak train on a fire hydrant") == []


def test_length_limit_is_configurable() -> None:
    extractor = NounExtractor("bundled", max_caption_length=5)
    assert caption_problem("a puppy", 5) == "too_long"
    assert extractor.extract(["a puppy", "a dog"]) == [[], [Noun("dog", "dog", 2, 5)]]


def test_longest_accepted_captions_are_tagged() -> None:
    extractor = NounExtractor("bundled", max_caption_length=1_000_000)
    [nouns] = extractor.extract(["a dog " * 5_000])
    assert {noun.lemma for noun in nouns} == {"dog"}


def test_result_does_not_depend_on_the_other_captions(extractor: NounExtractor) -> None:
    captions = [caption for caption, _ in HAND_LABELLED_COMPOUNDS]
    together = extractor.extract(captions)
    assert together == [extractor.extract([caption])[0] for caption in captions]
    assert together == extractor.extract(captions[::-1])[::-1]


def test_select_vocabulary() -> None:
    counts = {"dog": 3, "cat": 5, "ant": 3, "owl": 1}
    assert select_vocabulary(counts) == ["cat", "ant", "dog", "owl"]
    assert select_vocabulary(counts, min_count=2) == ["cat", "ant", "dog"]
    assert select_vocabulary(counts, min_count=2, max_vocabulary=2) == ["cat", "ant"]
    assert select_vocabulary({}) == []
