"""Whether a CLIP tells attributes apart: of a thing's ten phrases that differ in one word, it should like the true one.

So FG-OVD asks (arXiv 2311.17518), there of a detector, here of the true masked region of every thing.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.clip import ClipConfig, RegionEncoder, TextEmbedder, load_clip
from pipeline.demo.annotated_scenes import annotated_scenes
from pipeline.masks.masks import Masks
from pipeline.microworld.attributes import Attributes, phrases_among
from pipeline.regions import RegionsConfig


def attribute_accuracy(config: ClipConfig, world: Path) -> float:
    """Per cent of the things with attributes whose true phrase is the most similar of its ten; 10 by chance."""
    clip = load_clip(config.architecture, config.weights)
    embed = TextEmbedder(clip, config.templates)
    right = []
    for asked, features_VD, valid_K in RegionEncoder(clip, RegionsConfig(), config.batch_size).encode(_things(world)):
        encoded = [phrases for phrases, valid in zip(asked, valid_K, strict=True) if valid]
        for feature_D, phrases in zip(features_VD, encoded, strict=True):
            right.append(int((embed(phrases).numpy() @ feature_D).argmax()) == 0)
    return 100 * float(np.mean(right))


def _things(world: Path) -> Iterator[tuple[np.ndarray, Masks, list[list[str]]]]:
    """Of every image its pixels, the masks of its things, and the phrases that each is asked with."""
    for scene in annotated_scenes(world):
        things = [index for index, looks in enumerate(scene.looks) if looks]
        if things:
            asked = [phrases_among(scene.names[index], Attributes(*(scene.looks[index] or ()))) for index in things]
            yield scene.pixels, scene.masks.select(things), asked
