"""What is drawn: outlines, scenes, and the groups that the nouns are dealt into."""

from collections import Counter

import numpy as np
import pytest
from skimage.measure import points_in_poly

from pipeline.microworld import shapes
from pipeline.microworld.categories import GROUNDS, NAMES, THINGS
from pipeline.microworld.groups import draw_groups
from pipeline.microworld.scenes import AT_HOME, category_indices, draw_scene
from pipeline.microworld.textures import SIDE

V, U = np.mgrid[-1.5:1.5:301j, -1.5:1.5:301j]


@pytest.mark.parametrize("name", THINGS)
def test_an_outline_has_an_inside_and_keeps_to_its_frame(name):
    inside = THINGS[name].shape(U, V)
    assert inside.dtype == bool
    # A square of side 2 is drawn at least 13 px wide: a tenth of it is well above the 80 px that are annotated.
    assert inside[(abs(U) <= 1) & (abs(V) <= 1)].mean() > 0.1
    assert not inside[(abs(U) > 1) | (abs(V) > 1)].any()


def test_a_star_is_the_polygon_between_its_tips_and_notches():
    turns = np.arange(10) * np.pi / 5
    radii = np.where(np.arange(10) % 2, 0.42, 0.95)
    corners = np.stack([radii * np.sin(turns), -radii * np.cos(turns)], axis=1)  # the first tip points up
    points = np.random.default_rng(0).uniform(-1, 1, (20_000, 2))
    expected = points_in_poly(points, corners)
    assert (shapes.star(points[:, 0], points[:, 1]) == expected).all()


def test_grounds_cover_what_things_leave(scenes):
    for scene in scenes:
        assert scene.pixels.shape == (SIDE, SIDE, 3)
        assert scene.pixels.dtype == np.uint8
        names = scene.categories
        grounds, things = [name for name in names if name in GROUNDS], [name for name in names if name in THINGS]
        assert names == grounds + things
        assert len(set(grounds)) == len(grounds) <= 2
        assert len(things) <= 3
        areas = np.bincount(scene.segments[scene.segments >= 0], minlength=len(names))
        assert len(areas) == len(names)
        assert areas.min() >= 80
        # What is not annotated belongs to regions of fewer than 80 px, and a scene has five at most.
        assert (scene.segments < 0).sum() < 80 * (5 - len(names) + 1)
        shown = category_indices(scene)
        for region, name in enumerate(names):
            assert set(shown[scene.segments == region]) == {NAMES.index(name)}
        assert (shown[scene.segments < 0] == -1).all()


def test_every_noun_occurs_and_things_are_mostly_at_home(scenes):
    assert Counter(name for scene in scenes for name in scene.categories).keys() == set(NAMES)
    at_home, expected, variance = 0, 0.0, 0.0
    for scene in scenes:
        fits = {name: bool(set(thing.home) & set(scene.categories)) for name, thing in THINGS.items()}
        # A thing that is drawn from all of them is at home by chance.
        chance = AT_HOME + (1 - AT_HOME) * np.mean(list(fits.values()))
        things = [name for name in scene.categories if name in THINGS]
        at_home += sum(fits[name] for name in things)
        expected += chance * len(things)
        variance += chance * (1 - chance) * len(things)
    assert abs(at_home - expected) < 4 * variance**0.5


def test_the_same_generator_draws_the_same_scene():
    one, two = (draw_scene(np.random.default_rng(3)) for _ in range(2))
    assert (one.pixels == two.pixels).all()
    assert (one.segments == two.segments).all()
    assert one.categories == two.categories


@pytest.mark.parametrize("seed", range(5))
def test_groups_share_the_nouns_out(seed):
    groups = draw_groups(seed)
    dealt = [groups.annotated, groups.captioned, groups.unnamed]
    assert [len(group) for group in dealt] == [14, 21, 7]
    assert sorted(name for group in dealt for name in group) == sorted(NAMES)
    assert [sum(name in GROUNDS for name in group) for group in dealt] == [4, 8, 2]
    assert all(name in getattr(groups, groups.of(name)) for name in NAMES)
    assert groups == draw_groups(seed)
    assert groups != draw_groups(seed + 1)
