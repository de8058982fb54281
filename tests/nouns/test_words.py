"""Singulars, and words that are tagged as nouns and are none. The words were listed by hand."""

import re

import pytest

from pipeline.nouns import NounExtractor
from pipeline.nouns.training.wordnet import read_common_nouns
from pipeline.nouns.words import NOUNS, dictionary_form, read_nouns


@pytest.fixture(scope="module")
def extractor() -> NounExtractor:
    return NounExtractor("bundled")


def lemmas(extractor: NounExtractor, caption: str) -> list[str]:
    [nouns] = extractor.extract([caption])
    return [noun.lemma for noun in nouns]


@pytest.mark.parametrize(
    ("word", "tagged", "right"),
    [
        # Plurals that the tagger took for singulars.
        ("bikers", "bikers", "biker"),
        ("flowers", "flowers", "flower"),
        ("bikinis", "bikinis", "bikini"),
        ("berries", "berries", "berry"),
        ("scarves", "scarves", "scarf"),
        ("benches", "benches", "bench"),
        ("glasses", "glass", "glass"),
        # Singulars that it took for plurals.
        ("bus", "bu", "bus"),
        ("tennis", "tenni", "tennis"),
        ("grass", "gras", "grass"),
        ("canvas", "canva", "canvas"),
        ("christmas", "christmas", "christmas"),
        # Plurals of other languages that are a singular or a mass in English.
        ("graffiti", "graffito", "graffiti"),
        ("spaghetti", "spaghetto", "spaghetti"),
        ("lei", "leu", "lei"),
        ("cola", "colon", "cola"),
        ("cacti", "cactus", "cactus"),
        ("alumni", "alumnus", "alumnus"),
        # Plurals that name another thing than their singular.
        ("woods", "wood", "woods"),
        ("fries", "fry", "fries"),
        ("groceries", "grocery", "groceries"),
        ("axes", "axis", "axe"),
        ("bases", "basis", "base"),
        # What neither WordNet nor the list knows is left to the tagger.
        ("frisbees", "frisbee", "frisbee"),
        ("motocross", "motocross", "motocross"),
        ("selfies", "selfie", "selfie"),
    ],
)
def test_dictionary_form(word: str, tagged: str, right: str) -> None:
    assert dictionary_form(word, tagged) == right


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("two bikers near a wall with graffiti", ["biker", "wall", "graffiti"]),
        ("french fries in the woods", ["french fries", "woods"]),
        ("a kite hanging upside down in the woods", ["kite", "woods"]),
        ("an upside-down umbrella", ["umbrella"]),
        ("a man sitting cross legged while others watch", ["man"]),
        ("a multi-colored kite and a multi colored umbrella", ["kite", "umbrella"]),
        ("the man takes a photo of him self", ["man", "photo"]),
        ("a woman waits for a bus", ["woman", "bus"]),
        ("a street sign reads stop", ["street sign"]),
        ("Fourteen college guys and thirty sheep", ["college", "guy", "sheep"]),
        ("a long wait for two reads of a book", ["wait", "read", "book"]),
        # Common nouns that a caption begins with are no names; names are.
        ("Ball and box", ["ball", "box"]),
        ("Kid's ball – grass", ["kid", "ball", "grass"]),
        ("Kitten looking puzzled in a sink", ["kitten", "sink"]),
        ("Mary and her dog", ["dog"]),
        ("Amtrak train at a station", ["train", "station"]),
        ("Boston Red on the street", ["street"]),
    ],
)
def test_nouns_of_phrases(extractor: NounExtractor, caption: str, expected: list[str]) -> None:
    assert lemmas(extractor, caption) == expected


def test_first_words_do_not_depend_on_the_other_captions(extractor: NounExtractor) -> None:
    captions = ["Ball and box", "a dog", "Kid's ball – grass", "Kitten looking puzzled"]
    assert extractor.extract(captions) == [extractor.extract([caption])[0] for caption in captions]


def test_nouns_of_wordnet(tmp_path) -> None:
    (tmp_path / "data.noun").write_text(
        "  1 This software\n"
        "001 06 n 02 bench 0 work_bench 0 001 @ 1 n 0000 | a\n"
        "002 18 n 02 Einstein 0 genius 0 001 @i 1 n 0000 | b name\n"
        "003 05 n 02 Venus 0 clam 0 000 | c\n"
        "004 05 n 01 ant 0 000 | d\n"
    )
    assert read_common_nouns(tmp_path) == ["ant", "bench", "clam"]
    lines = NOUNS.read_text(encoding="utf8").splitlines()
    assert lines == sorted(set(lines))
    assert all(re.fullmatch("[a-z]+", line) for line in lines)
    assert {"dog", "kitten", "tennis", "bus"} <= read_nouns()
    assert read_nouns().isdisjoint({"mary", "london", "dogs"})
