"""How much a CLIP still knows of what it was pretrained on: whole scenes and natural crops, with nothing blanked."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.clip import ClipConfig, RegionEncoder, TextEmbedder, load_clip
from pipeline.demo.annotated_scenes import annotated_scenes
from pipeline.demo.runs import BOX
from pipeline.masks.masks import Masks
from pipeline.microworld.categories import NAMES
from pipeline.regions import RegionsConfig

_WHOLE = RegionsConfig(fill="none")


@dataclass(frozen=True)
class NaturalAccuracy:
    """Among all 42 nouns, per cent."""

    scenes: float
    """Whole scenes whose most similar noun names something in them."""
    crops: float
    """Boxes of true segments, with their surroundings, whose most similar noun is theirs."""


def natural_accuracy(config: ClipConfig, world: Path) -> NaturalAccuracy:
    """Measure a CLIP on the scenes in `world`."""
    clip = load_clip(config.architecture, config.weights)
    nouns_ND = TextEmbedder(clip, config.templates)(list(NAMES)).numpy()

    def accuracy(shown: RegionsConfig, images: Iterator[tuple[np.ndarray, Masks, list[set[str]]]]) -> float:
        right: list[bool] = []
        for names, features_VD, valid_K in RegionEncoder(clip, shown, config.batch_size).encode(images):
            encoded = [some for some, valid in zip(names, valid_K, strict=True) if valid]
            nearest_V = (features_VD @ nouns_ND.T).argmax(axis=1)
            right += [NAMES[nearest] in some for nearest, some in zip(nearest_V.tolist(), encoded, strict=True)]
        return 100 * float(np.mean(right))

    return NaturalAccuracy(accuracy(_WHOLE, _scenes(world)), accuracy(BOX, _crops(world)))


def _scenes(world: Path) -> Iterator[tuple[np.ndarray, Masks, list[set[str]]]]:
    for scene in annotated_scenes(world):
        yield scene.pixels, Masks.encode(np.ones((1, *scene.pixels.shape[:2]), bool)), [set(scene.names)]


def _crops(world: Path) -> Iterator[tuple[np.ndarray, Masks, list[set[str]]]]:
    for scene in annotated_scenes(world):
        yield scene.pixels, scene.masks, [{name} for name in scene.names]
