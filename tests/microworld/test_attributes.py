"""Worlds whose things have a colour and a pattern: what is drawn, said and asked."""

import colorsys
import json
import re

import numpy as np
import pytest

from pipeline.microworld.attributes import COLOURS, PATTERNS, Attributes, phrases_among
from pipeline.microworld.captions import write_caption
from pipeline.microworld.categories import NAMES, THINGS
from pipeline.microworld.crops import captioned_pairs
from pipeline.microworld.scenes import Scene, draw_scene
from pipeline.microworld.world import write_world


@pytest.fixture(scope="module")
def seen() -> list[Scene]:
    return [draw_scene(np.random.default_rng((11, index)), attributes=True) for index in range(150)]


def things(scenes: list[Scene]) -> list[tuple[Attributes, np.ndarray]]:
    """Attributes and pixels (float [n,3], 0..1) of every thing."""
    return [
        (attributes, scene.pixels[scene.segments == region] / 255)
        for scene in scenes
        for region, attributes in enumerate(scene.attributes)
        if attributes
    ]


def test_things_have_attributes_and_grounds_none(seen):
    for scene in seen:
        assert [attributes is not None for attributes in scene.attributes] == [
            name in THINGS for name in scene.categories
        ]
    shown = {attributes.words for attributes, _ in things(seen)}
    assert {colour for colour, _ in shown} == set(COLOURS)
    assert {pattern for _, pattern in shown} == set(PATTERNS)
    assert all(attributes is None for attributes in draw_scene(np.random.default_rng(0)).attributes)


def vivid(attributes: Attributes, pixels: np.ndarray) -> float:
    """Share of the pixels that are of the colour of the pattern."""
    low, high = COLOURS[attributes.colour]
    hsv = np.array([colorsys.rgb_to_hsv(*pixel) for pixel in pixels])
    far = abs((hsv[:, 0] - (low + high) / 2 + 0.5) % 1 - 0.5)
    return float(np.mean((far < (high - low) / 2 + 0.04) & (hsv[:, 1] > 0.6)))


def test_patterns_of_a_colour_are_painted_on_things(seen):
    shares: dict[str, list[float]] = {pattern: [] for pattern in PATTERNS}
    with_another = []
    for number, (attributes, pixels) in enumerate(things(seen)):
        shares[attributes.pattern].append(vivid(attributes, pixels))
        colours = list(COLOURS)
        other = colours[(colours.index(attributes.colour) + 2 + number % 5) % len(colours)]  # no neighbour
        with_another.append(vivid(Attributes(other, attributes.pattern), pixels))
    for found in shares.values():
        assert 0.3 < np.median(found) < 0.6
    assert np.median(with_another) < 0.05


def test_captions_say_what_the_first_thing_of_a_kind_looks_like(seen):
    rng, said = np.random.default_rng(5), 0
    for scene in seen:
        first = {}
        for name, attributes in zip(scene.categories, scene.attributes, strict=True):
            first.setdefault(name, attributes)
        words = re.findall(r"[a-z]+", write_caption(rng, scene.categories, looks=scene.looks))
        spoken: list[str] = []
        for word in words:
            if word in NAMES:
                assert not spoken or list(first[word].words) == spoken or spoken[0] in first[word].words
                spoken = []
            elif word in COLOURS or word in PATTERNS:
                spoken.append(word)
                said += 1
        assert not spoken
    assert said > len(seen)


def test_the_texts_of_crops_say_it_too(seen):
    rng = np.random.default_rng(6)
    texts = [pair.text for number, scene in enumerate(seen) for pair in captioned_pairs(rng, scene, str(number))]
    assert {word for text in texts for word in re.findall(r"[a-z]+", text)} >= {*COLOURS, *PATTERNS}


def test_ten_phrases_of_which_nine_differ_in_one_word():
    phrases = phrases_among("ball", Attributes("red", "striped"))
    assert phrases[0] == "red striped ball"
    assert len(set(phrases)) == 10
    for other in phrases[1:]:
        changed = [a != b for a, b in zip(phrases[0].split(), other.split(), strict=True)]
        assert sum(changed) == 1
        assert not changed[2]


def test_a_world_lists_attributes_and_one_without_has_none(tmp_path):
    write_world(tmp_path / "with", 6, seed=3, attributes=True)
    write_world(tmp_path / "without", 6, seed=3)
    for name, wanted in (("with", True), ("without", False)):
        panoptic = json.loads((tmp_path / name / "panoptic.json").read_text())
        is_thing = {category["id"]: bool(category["isthing"]) for category in panoptic["categories"]}
        for annotation in panoptic["annotations"]:
            for segment in annotation["segments_info"]:
                assert ("attributes" in segment) == (wanted and is_thing[segment["category_id"]])
