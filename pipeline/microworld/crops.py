"""What the small CLIP is pretrained on: whole scenes and natural crops, as photographs on the web are taken."""

from collections.abc import Iterator

import numpy as np

from pipeline.microworld.captions import write_caption, write_crop_caption
from pipeline.microworld.categories import GROUNDS, THINGS
from pipeline.microworld.pair_shards import Pair
from pipeline.microworld.scenes import Scene
from pipeline.microworld.textures import SIDE

_SQUARE_PX = (28, 76)  # of crops that show a ground
_GROUND_SHARE = 0.6  # of such a crop that has to be that ground
_TRIES = 4


def captioned_pairs(rng: np.random.Generator, scene: Scene, image_id: str) -> Iterator[Pair]:
    """The whole scene and one crop around each region, with captions as texts."""
    whole = write_caption(rng, scene.categories, looks=scene.looks)
    yield Pair(image_id, scene.pixels, np.ones((SIDE, SIDE), bool), whole)
    for region, crop in natural_crops(rng, scene):
        name, seen = scene.categories[region], scene.attributes[region]
        grounds = [other for other in scene.categories if other in GROUNDS and other != name]
        looks = ({name: seen} if seen else {}) if scene.has_attributes else None
        text = write_crop_caption(rng, name, grounds, looks)
        yield Pair(image_id, crop, np.ones(crop.shape[:2], bool), text)


def named_pairs(rng: np.random.Generator, scene: Scene, image_id: str) -> Iterator[Pair]:
    """One crop around each region, with the region's noun as text."""
    for region, crop in natural_crops(rng, scene):
        yield Pair(image_id, crop, np.ones(crop.shape[:2], bool), scene.categories[region])


def natural_crops(rng: np.random.Generator, scene: Scene) -> Iterator[tuple[int, np.ndarray]]:
    """Index and square crop (uint8 [h,h,3]) of the regions: a thing with its surroundings, or mostly one ground.

    Grounds for which no such square is found in a few tries are left out.
    """
    for region, name in enumerate(scene.categories):
        seen = scene.segments == region
        if name in THINGS:
            rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
            extent = max(np.ptp(rows), np.ptp(columns)) + 1
            side = min(extent * rng.uniform(1.25, 2.1), SIDE)
            centre = np.array([rows[[0, -1]].mean(), columns[[0, -1]].mean()]) + 0.5 + rng.uniform(-0.1, 0.1, 2) * side
            top, left = (centre - side / 2).clip(0, SIDE - side).astype(int)
            yield region, scene.pixels[top : top + int(side), left : left + int(side)]
            continue
        for _ in range(_TRIES):
            side = int(rng.integers(*_SQUARE_PX))
            top, left = rng.integers(0, SIDE - side + 1, 2)
            if seen[top : top + side, left : left + side].mean() > _GROUND_SHARE:
                yield region, scene.pixels[top : top + side, left : left + side]
                break
