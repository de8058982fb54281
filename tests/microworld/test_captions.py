"""What captions name, and that the pipeline's own extractor finds it."""

import re
from collections import Counter

import numpy as np
import pytest

from pipeline.microworld.captions import write_caption, write_crop_caption
from pipeline.microworld.categories import GROUNDS, NAMES, THINGS
from pipeline.nouns import NounExtractor
from pipeline.nouns.tagger import load_tagger


@pytest.fixture(scope="module")
def extractor() -> NounExtractor:
    return NounExtractor("bundled")


@pytest.fixture(scope="module")
def written(scenes) -> list[tuple[list[str], str]]:
    """What a scene shows and a caption of it, four of each."""
    rng = np.random.default_rng(2)
    return [(scene.categories, write_caption(rng, scene.categories)) for scene in scenes for _ in range(4)]


def named(caption: str) -> list[str]:
    return [word for word in re.findall(r"[a-z]+", caption) if word in NAMES]


def test_every_noun_is_one_word_of_the_tagger(extractor):
    tagger = load_tagger("bundled")
    assert [len(tagger.make_doc(name)) for name in NAMES] == [1] * 42
    found = extractor.extract([f"a photo of a {name}" for name in NAMES])
    assert [[noun.lemma for noun in nouns] for nouns in found] == [["photo", name] for name in NAMES]


def test_captions_name_one_to_three_of_what_can_be_seen(written):
    for categories, caption in written:
        nouns = named(caption)
        assert 1 <= len(nouns) == len(set(nouns)) <= 3
        assert set(nouns) <= set(categories)
        assert sum(noun in GROUNDS for noun in nouns) <= 2
    counted = Counter(noun for _, caption in written for noun in named(caption))
    assert counted.keys() == set(NAMES)
    assert {len(named(caption)) for _, caption in written} == {1, 2, 3}


def test_the_nouns_of_captions_are_found(extractor, written):
    wanted = hits = 0
    for (_, caption), nouns in zip(written, extractor.extract([caption for _, caption in written]), strict=True):
        lemmas = {noun.lemma for noun in nouns}
        wanted += len(named(caption))
        hits += len(lemmas.intersection(named(caption)))
        # What else is found names no region.
        assert not lemmas & set(NAMES) - set(named(caption))
    assert hits / wanted >= 0.99


def test_most_captions_hold_nouns_that_no_region_shows(extractor, written):
    found = [{noun.lemma for noun in nouns} for nouns in extractor.extract([caption for _, caption in written])]
    others = [nouns.difference(NAMES) for nouns in found]
    assert set().union(*others) >= {"picture", "photo", "scene", "day", "side"}
    assert 0.5 < np.mean([bool(nouns) for nouns in others]) < 0.9


def test_what_is_unnamed_stays_so():
    rng = np.random.default_rng(0)
    captions = [write_caption(rng, ["grass", "sky", "tent", "kite"], {"grass", "tent"}) for _ in range(200)]
    assert {noun for caption in captions for noun in named(caption)} == {"sky", "kite"}
    assert {named(write_caption(rng, ["grass", "tent", "tent"], {"grass"}))[0] for _ in range(50)} == {"tent"}
    alone = write_caption(rng, ["grass", "tent"], {"grass", "tent"})
    assert not named(alone)
    assert alone


def test_captions_of_crops_name_their_region_first():
    rng = np.random.default_rng(1)
    nouns = [named(write_crop_caption(rng, "fish", ["water", "sky"])) for _ in range(1000)]
    assert {first for first, *_ in nouns} == {"fish"}
    assert {second for _, *more in nouns for second in more} == {"water", "sky"}
    with_ground = sum(len(found) == 2 for found in nouns)
    assert abs(with_ground - 350) < 4 * (1000 * 0.35 * 0.65) ** 0.5
    assert named(write_crop_caption(rng, "road", [])) == ["road"]


def test_articles_fit():
    rng = np.random.default_rng(4)
    captions = [write_crop_caption(rng, name, []) for name in NAMES for _ in range(40)]
    assert not [caption for caption in captions if re.search(r"\ba [aeiou]|\ban [^aeiou]", caption)]
    # Without an article stand grounds, alone or behind an adjective.
    bare = {named(caption)[0] for caption in captions if not re.search(r"\b(an?|the) (\w+ )?[a-z]+$", caption)}
    assert not bare & THINGS.keys() - {named(caption)[0] for caption in captions if caption.endswith("scene")}
