"""The scenes of a demo on disk: what is mined, what is tested on, what CLIP is pretrained on."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import ray

from pipeline.dataset.layout import Layout
from pipeline.demo.scale import Scale
from pipeline.microworld.crops import captioned_pairs, named_pairs
from pipeline.microworld.groups import Groups
from pipeline.microworld.pair_shards import Pair, describe_pairs, write_pairs
from pipeline.microworld.scenes import Scene, draw_scene
from pipeline.microworld.world import write_world

_SCENES_PER_SHARD = 250

PairSource = Callable[[np.random.Generator, Scene, str], Iterable[Pair]]


def write_scenes(folder: Path, scale: Scale, seed: int, groups: Groups, *, attributes: bool = False) -> None:
    """Write `mined-world/` and `test-world/` in COCO's formats, unless they are there.

    Args:
        attributes: things have a colour and a pattern that captions name.
    """
    for name, images, unnamed in (
        ("mined-world", scale.mined_scenes, groups.unnamed),
        ("test-world", scale.test_scenes, ()),
    ):
        if not (folder / name / "panoptic.json").exists():  # written last
            write_world(folder / name, images, _scene_seed(seed, name), unnamed, attributes=attributes)


def write_pretraining(folder: Path, scale: Scale, seed: int, *, attributes: bool = False) -> Path:
    """Captioned scenes and natural crops; returns their directory."""
    name = "pretraining-pairs"
    return _write_pairs(folder / name, scale.pretraining_scenes, seed, captioned_pairs, attributes=attributes)


def write_natural(folder: Path, scale: Scale, seed: int) -> Path:
    """Crops of the pretraining scenes with the noun of what they show, as one more training set.

    Returns their directory.
    """
    return _write_pairs(folder / "natural-pairs", scale.mined_scenes, seed, named_pairs, scenes="pretraining-pairs")


def write_annotated(folder: Path, scale: Scale, seed: int, groups: Groups) -> Path:
    """True masks of the mined scenes, of few classes, with their names (the paper's Table 2, row 1)."""

    def annotated_pairs(_: np.random.Generator, scene: Scene, image_id: str) -> Iterator[Pair]:
        for region, name in enumerate(scene.categories):
            if name in groups.annotated:
                yield Pair(image_id, scene.pixels, scene.segments == region, name)

    return _write_pairs(folder / "annotated-pairs", scale.mined_scenes, seed, annotated_pairs, scenes="mined-world")


def write_tested(folder: Path, scale: Scale, seed: int) -> Path:
    """True masks of the test scenes with their names, to watch a training run by; returns their directory."""

    def tested_pairs(_: np.random.Generator, scene: Scene, image_id: str) -> Iterator[Pair]:
        for region, name in enumerate(scene.categories):
            yield Pair(image_id, scene.pixels, scene.segments == region, name)

    return _write_pairs(folder / "tested-pairs", scale.test_scenes, seed, tested_pairs, scenes="test-world")


def _scene_seed(seed: int, name: str) -> int:
    """Scenes of different parts of a demo are different."""
    return 10 * seed + ("mined-world", "test-world", "pretraining-pairs").index(name)


def _write_pairs(
    folder: Path,
    scenes_count: int,
    seed: int,
    source: PairSource,
    scenes: str | None = None,
    *,
    attributes: bool = False,
) -> Path:
    """Write pairs of scenes as shards, several at a time; shards that are there are left.

    Args:
        scenes: the part whose scenes these are, if not their own.
    """
    scene_seed = _scene_seed(seed, scenes or folder.name)
    firsts = range(1, scenes_count + 1, _SCENES_PER_SHARD)
    due = set(range(len(firsts))) - Layout(str(folder)).committed()
    if due:
        describe_pairs(folder, len(firsts), scenes_count)
    ray.get(
        [
            _write_shard.remote(
                folder,
                shard,
                scene_seed,
                range(firsts[shard], min(firsts[shard] + _SCENES_PER_SHARD, scenes_count + 1)),
                source,
                attributes,
            )
            for shard in sorted(due)
        ]
    )
    return folder


@ray.remote
def _write_shard(folder: Path, shard: int, scene_seed: int, scenes: range, source: PairSource, attributes: bool) -> int:
    def pairs() -> Iterator[Pair]:
        for number in scenes:
            rng = np.random.default_rng((scene_seed, number))
            yield from source(rng, draw_scene(rng, attributes=attributes), str(number))

    return write_pairs(folder, shard, pairs())
