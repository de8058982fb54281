"""Hard negatives: what they are made of, and that none is true of the image as far as its captions tell."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.negatives import ImageText, Negatives, NegativesConfig, Subject
from pipeline.negatives.noun_graph import GRAPH

NOUNS = (
    "dog", "cat", "horse", "bus", "car", "truck", "table", "couch", "chair", "pizza", "salad", "apple", "orange",
    "bicycle", "bike", "motorcycle", "boat", "bird", "man", "woman", "boy", "sheep", "kitchen", "shirt",
)  # fmt: skip
ADJECTIVES = ("red", "navy", "striped", "wooden", "large", "old", "open", "tan", "round", "sleeping", "weird")
ALL = Negatives(NegativesConfig(count=100))


def read_graph() -> tuple[dict[str, set[int]], list[set[int]]]:
    """The synsets of every noun, and of every synset all above it, read in a way of its own."""
    synsets: dict[str, set[int]] = {}
    above: list[set[int]] = []
    for number, line in enumerate(GRAPH.read_text().splitlines()):
        left, right = line.split("\t")
        for noun, _ in re.findall(r"([^,:]+):(\d+)", left):
            synsets.setdefault(noun, set()).add(number)
        parents = list(map(int, right.split()))
        above.append(set(parents).union(*(above[parent] for parent in parents)))
    return synsets, above


SYNSETS, ABOVE = read_graph()


def may_be_one(a: str, b: str) -> bool:
    """Whether one of two nouns is, in some sense, a synonym, a hypernym or a hyponym of the other one."""
    pairs = [(x, y) for x in SYNSETS.get(a, ()) for y in SYNSETS.get(b, ())]
    return any(x == y or x in ABOVE[y] or y in ABOVE[x] for x, y in pairs)


images = st.lists(st.sampled_from(NOUNS), min_size=1, max_size=5, unique=True)


def of_noun(noun: str, nouns: list[str], find: Negatives = ALL, image_id: str = "7", caption: str = "") -> list[str]:
    return find.of(Subject(noun, noun), ImageText(nouns, [caption or " and a ".join(nouns)]), image_id)


@settings(max_examples=60, deadline=None)
@given(nouns=images)
def test_no_negative_may_name_a_noun_of_the_image(nouns):
    for noun in nouns:
        for found in of_noun(noun, nouns):
            assert not any(may_be_one(found, other) or found == other for other in nouns), (noun, found)


@settings(max_examples=60, deadline=None)
@given(nouns=images, adjectives=st.lists(st.sampled_from(ADJECTIVES), max_size=3, unique=True), count=st.integers(1, 9))
def test_negatives_are_the_same_every_time_and_none_is_the_phrase(nouns, adjectives, count):
    phrase = " ".join([*adjectives, nouns[0]])
    subject = Subject(nouns[0], nouns[0], phrase, adjectives)
    captions = [f"a {phrase}", *nouns[1:]]
    found = ALL.of(subject, ImageText(nouns, captions), "7")
    assert len(set(found)) == len(found)
    assert phrase not in found
    assert all(text.split() and text != nouns[0] for text in found)
    # Fewer are the first of more, whoever asks, and whatever was asked before.
    fresh = Negatives(NegativesConfig(count=count))
    assert fresh.of(subject, ImageText(nouns, captions), "7") == found[:count]
    # Each differs from the phrase in one place: an attribute, or the noun.
    for text in found:
        swapped = [adjective for adjective in adjectives if adjective not in text.split()]
        assert len(swapped) <= 1
        assert bool(swapped) == (text.split()[-len(nouns[0].split()) :] == nouns[0].split())


def test_image_and_seed_decide_which():
    find = [Negatives(NegativesConfig(count=3, seed=seed)) for seed in (0, 1)]
    by_image = {tuple(of_noun("giraffe", ["giraffe"], find[0], str(image))) for image in range(20)}
    assert len(by_image) > 3
    assert of_noun("giraffe", ["giraffe"], find[0], "5") == of_noun("giraffe", ["giraffe"], find[0], "5")
    assert any(
        of_noun("giraffe", ["giraffe"], find[0], str(n)) != of_noun("giraffe", ["giraffe"], find[1], str(n))
        for n in range(9)
    )


def test_what_a_caption_says_is_not_wrong_of_the_image():
    """Also where no noun was found there, in the plural, and with a hyphen."""
    assert "train" in of_noun("bus", ["bus"])
    for caption in ("a bus and two Trains", "the bus (train)", "a bus, no train"):
        assert "train" not in of_noun("bus", ["bus"], caption=caption)
    subject = Subject("bus", "bus", "red bus", ["red"])
    for caption, wrong in (("a red bus", True), ("a blue-and-red bus", False), ("a red bus, NAVY roof", False)):
        assert ("blue bus" in ALL.of(subject, ImageText(["bus"], [caption]), "7")) == wrong


def test_words_alike_never_replace_one_another():
    def changed(phrase: str, noun: str = "bus") -> set[str]:
        attributes = phrase.split()[:-1]
        return set(ALL.of(Subject(noun, noun, phrase, attributes), ImageText([noun], [f"a {phrase}"]), "7"))

    assert {"small bus"} <= changed("big bus")
    assert not {"large bus", "huge bus", "giant bus"} & changed("big bus")
    assert "grey bus" not in changed("gray bus")
    assert "grey bus" not in changed("silver bus")
    assert not {"brown bus", "beige bus"} & changed("tan bus")
    assert {"black bus", "red bus"} <= changed("white bus")
    assert changed("nice bus") == {
        text.replace("big", "nice") for text in changed("big bus") if text.startswith("big ")
    }


def test_of_two_colours_none_becomes_the_other():
    subject = Subject("cat", "cat", "black and white cat", ["black", "white"])
    found = ALL.of(subject, ImageText(["cat"], ["a black and white cat"]), "7")
    assert "orange and white cat" in found
    assert "black and brown cat" in found
    assert not any("white and white" in text or "black and black" in text for text in found)


def test_attributes_of_several_words():
    def changed(attribute: str) -> set[str]:
        phrase = f"{attribute} bus"
        return set(ALL.of(Subject("bus", "bus", phrase, [attribute]), ImageText(["bus"], [phrase]), "7"))

    assert "single decker bus" in changed("double-decker")
    assert "light red bus" in changed("light blue")
    assert "red-and-white bus" in changed("blue-and-white")


def test_age_depends_on_whether_it_lives():
    def changed(noun: str) -> list[str]:
        return ALL.of(Subject(noun, noun, f"old {noun}", ["old"]), ImageText([noun], [f"an old {noun}"]), "7")

    assert "young dog" in changed("dog")
    assert "young man" in changed("man")
    assert "new bus" in changed("bus")
    assert not {"new dog", "new man"} & {*changed("dog"), *changed("man")}
    assert "young bus" not in changed("bus")


def test_people_are_no_roles():
    found = of_noun("man", ["man"])
    assert {"woman", "baby"} <= set(found)
    assert not {"husband", "doctor", "boy", "guy", "person", "son"} & set(found)
    assert "woman" not in of_noun("man", ["man", "lady"])
    assert {"girl", "woman"} <= set(of_noun("boy", ["boy"]))
    assert not {"boy", "girl", "baby"} & set(of_noun("child", ["child"]))


def test_the_noun_of_a_phrase_is_replaced_where_it_stands():
    subject = Subject("bus", "Buses", "red buses", ["red"])
    assert "red train" in ALL.of(subject, ImageText(["bus"], ["Two red Buses"]), "7")
    bowl = Subject("bowl", "bowl", "bowl of soup")
    assert "vase of soup" in ALL.of(bowl, ImageText(["bowl", "soup"], ["a bowl of soup"]), "7")
    elsewhere = Subject(
        "bus", "bus", "red coach", ["red"]
    )  # a phrase without its noun has its attributes changed alone
    assert all(text.endswith("coach") for text in ALL.of(elsewhere, ImageText(["bus"], ["a red coach"]), "7"))


def test_nouns_of_the_vocabulary_come_first():
    find = Negatives(NegativesConfig(count=3), vocabulary=["zebra", "skateboard", "bicycle"])
    first = of_noun("bus", ["bus"], find)
    assert set(first[:2]) == {"skateboard", "bicycle"}
    assert first[2].endswith("train")  # nearer, but not of the vocabulary
    with_one = Negatives(NegativesConfig(count=3), vocabulary=["bus"])  # they do not come from the vocabulary alone
    assert len(of_noun("bus", ["bus"], with_one)) == 3


@pytest.mark.parametrize("noun", ["xqzw", "собака", "group", "thing", "x" * 3000, "a b c d e f g", "'"])
def test_nouns_that_nothing_is_known_of_have_none(noun):
    assert of_noun(noun, [noun]) == []


def test_kinds():
    def find(*kinds: str) -> list[str]:
        subject = Subject("table", "table", "red wooden table", ["red", "wooden"])
        image = ImageText(["table"], ["a red wooden table"])
        return Negatives(NegativesConfig(count=99, kinds=list(kinds))).of(subject, image, "7")

    assert all(text.startswith("red wooden ") for text in find("noun"))
    assert all(text.endswith(" wooden table") for text in find("colour"))
    assert set(find("colour", "material")) == {*find("colour"), *find("material")}


def test_kinds_of_ones_own(tmp_path):
    (tmp_path / "speed.txt").write_text("fast, quick\nslow\n")
    own = str(tmp_path / "speed.txt")
    subject = Subject("bus", "bus", "quick bus", ["quick"])
    image = ImageText(["bus"], ["a quick bus"])
    find = Negatives(NegativesConfig(count=9, kinds=[own]))
    assert find.of(subject, image, "7") == ["slow bus"]
    before = find.identity
    (tmp_path / "speed.txt").write_text("fast, quick\nsluggish\n")
    assert Negatives(NegativesConfig(count=9, kinds=[own])).identity != before
    with pytest.raises(UserError, match=r"negatives\.kinds: 'color' is neither a file nor one of noun, colour"):
        Negatives(NegativesConfig(count=9, kinds=["color"]))
