"""Phrases of captions: what they hold, where they are, and what must not go wrong."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.nouns import Noun, NounExtractor, NounsConfig, union
from pipeline.nouns.phrases import MAX_ATTRIBUTES
from pipeline.nouns.training.evaluate import read_gold, score_captions
from tests.nouns.test_nouns import SPACES, WORDS

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def phrases() -> NounExtractor:
    return NounExtractor("bundled", phrases=True)


def texts(extractor: NounExtractor, caption: str) -> list[str | None]:
    return [noun.text for noun in extractor.extract([caption])[0]]


@pytest.mark.parametrize(("file", "captions"), [("phrases_tuned.tsv", 100), ("phrases_kept.tsv", 50)])
def test_phrases_of_hand_labelled_captions(phrases: NounExtractor, file: str, captions: int) -> None:
    gold = read_gold(HERE / file)
    assert len(gold) == captions
    found = phrases.extract([row.caption for row in gold])
    assert score_captions(gold, [[noun.text or "" for noun in nouns] for nouns in found]).f1 >= 95


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A red double-decker bus passes a wooden table.", ["red double decker bus", "wooden table"]),
        ("Two black and white cats", ["black and white cat"]),
        ("A red, white & blue kite", ["red white and blue kite"]),
        ("Two very tall, old buildings", ["tall old building"]),
        ("The man's nice red shirt and his several other hats", ["man", "red shirt", "hat"]),
        ("a man riding wild horses next to running water", ["man", "wild horse", "running water"]),
        ("a snow covered slope with a freshly painted sign", ["snow covered slope", "freshly painted sign"]),
        ("a black-and-white dog by a 3-story building", ["black-and-white dog", "3-story building"]),
        ("a yellow bus drives down a brick lined street", ["yellow bus", "brick lined street"]),
        ("sand and yellow grass", ["sand", "yellow grass"]),
        ("A CEMENT BRIDGE", ["cement bridge"]),
        ("a bowl of soup", ["bowl", "soup"]),
        ("a trio of dogs on 2 chairs", ["trio", "dog", "chair"]),
        ("several nice, other and different", []),
        ("red", []),
        ("", []),
        ("一只红色的狗", []),
        ("красная собака", []),
        ("a naïve dog", ["naïve dog"]),
    ],
)
def test_what_stands_before_a_noun_and_can_be_seen(phrases: NounExtractor, caption: str, expected: list[str]) -> None:
    assert texts(phrases, caption) == expected


def test_places_are_those_of_the_caption_as_it_came(phrases: NounExtractor) -> None:
    caption = "  Two BIG,\u00a0nice\n OLD  &amp;  WET ﬁre \t HYDRANTS\x00 "
    [[noun]] = phrases.extract([caption])
    assert (noun.lemma, noun.surface) == ("fire hydrant", "ﬁre \t HYDRANTS")
    assert noun.phrase
    assert noun.phrase.text == "big old and wet fire hydrant"
    assert noun.phrase.attributes == ("big", "old", "wet")
    assert caption[noun.phrase.start : noun.phrase.end] == "BIG,\u00a0nice\n OLD  &amp;  WET ﬁre \t HYDRANTS"


@settings(max_examples=150, deadline=None)
@given(pieces=st.lists(st.tuples(WORDS, SPACES), max_size=15), upper=st.booleans(), of_phrases=st.booleans())
def test_odd_captions_have_phrases_around_their_nouns(
    of: NounExtractor, phrases: NounExtractor, pieces: list[tuple[str, str]], upper: bool, of_phrases: bool
) -> None:
    caption = "".join(word + space for word, space in pieces)
    caption = caption.upper() if upper else caption
    [nouns] = (of if of_phrases else phrases).extract([caption])
    end = 0
    for noun in nouns:
        assert noun.phrase
        assert end <= noun.phrase.start <= noun.start < noun.end <= noun.phrase.end <= len(caption)
        assert caption[noun.start : noun.end] == noun.surface
        assert noun.lemma in noun.phrase.text
        assert noun.phrase.text == noun.phrase.text.lower()
        assert len(noun.phrase.attributes) <= MAX_ATTRIBUTES
        if not of_phrases:
            assert noun.phrase.end == noun.end
            assert (noun.phrase.text == noun.lemma) == (not noun.phrase.attributes)
        end = noun.end


@pytest.fixture(scope="module")
def of() -> NounExtractor:
    return NounExtractor("bundled", phrases=True, of_phrases=True)


def test_of_phrases_are_an_option(of: NounExtractor) -> None:
    caption = "A white bowl of hot soup and a vase of red flowers at the side of a lake"
    [nouns] = of.extract([caption])
    assert [noun.text for noun in nouns] == [
        "white bowl of soup",
        "soup",
        "vase of red flowers",
        "red flower",
        "side",
        "lake",
    ]
    assert nouns[2].phrase
    assert caption[nouns[2].phrase.start : nouns[2].phrase.end] == "vase of red flowers"
    assert nouns[2].phrase.attributes == ()


def test_words_before_a_noun_are_counted(phrases: NounExtractor) -> None:
    caption = "a red " + "big " * 300 + "dog"
    [noun] = phrases.extract([caption])[0]
    assert noun.text == "big " * MAX_ATTRIBUTES + "dog"


def test_nouns_in_a_row_beyond_the_longest_phrase_are_nouns_again(phrases: NounExtractor) -> None:
    [nouns] = phrases.extract([("dog " * 300)[:1900]])
    assert sum(1 + len(noun.phrase.attributes) for noun in nouns if noun.phrase) == 300
    assert max(len(noun.phrase.attributes) for noun in nouns if noun.phrase) == MAX_ATTRIBUTES


def test_a_stopped_noun_leaves_the_words_before_it() -> None:
    stopped = NounExtractor("bundled", phrases=True, stop_list=["@non_visual"])
    assert texts(stopped, "a small kitchen area in a black and white photo") == ["small kitchen"]


def test_attributes_to_leave_out_are_a_list_of_ones_own() -> None:
    caption = "a nice red dog"
    assert texts(NounExtractor("bundled", phrases=True, attribute_stop_list=["RED"]), caption) == ["nice dog"]
    both = NounsConfig("bundled", form="phrase", attribute_stop_list=["@non_visual_attributes", "red"])
    assert texts(NounExtractor.from_config(both), caption) == ["dog"]
    with pytest.raises(UserError, match=r"nouns\.attribute_stop_list.*@non_visual_attributes"):
        NounExtractor("bundled", phrases=True, attribute_stop_list=["@nice"])


def test_union_has_each_phrase_once_and_no_bare_noun_beside_one(phrases: NounExtractor) -> None:
    captions = ["A bus and a dog", "Two red buses, a dog", "a red bus near a blue bus, dogs"]
    found = union(phrases.extract(captions), "phrase")
    assert [(index, noun.lemma, noun.text) for index, noun in found] == [
        (0, "dog", "dog"),
        (1, "bus", "red bus"),
        (2, "bus", "blue bus"),
    ]


def test_nouns_are_the_same_without_phrases(extractor: NounExtractor) -> None:
    assert extractor.extract(["a red bus"]) == [[Noun("bus", "bus", 6, 9)]]
    assert "phrases_sha256" not in extractor.identity
