"""Natural crops, and image–text pairs as jobs.train reads them."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from pipeline import storage
from pipeline.dataset.layout import Layout
from pipeline.microworld.categories import GROUNDS, NAMES, THINGS
from pipeline.microworld.crops import captioned_pairs, named_pairs, natural_crops
from pipeline.microworld.pair_shards import Pair, describe_pairs, write_pairs
from pipeline.microworld.scenes import Scene
from pipeline.microworld.textures import SIDE
from pipeline.training.decoding import decode_sample
from pipeline.training.samples import DataConfig, select_samples
from tests.microworld.test_captions import named


def crops_with_places(scenes: list[Scene]) -> Iterator[tuple[str, np.ndarray, np.ndarray, tuple[slice, slice]]]:
    """Noun, the region's mask in the scene, crop, and where in the scene the crop is."""
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.uint8)
    where = np.stack([rows, columns, np.zeros_like(rows)], axis=-1)
    for number, scene in enumerate(scenes):
        crops, marked = (
            list(natural_crops(np.random.default_rng(number), shown)) for shown in (scene, replace(scene, pixels=where))
        )
        for (region, crop), (_, place) in zip(crops, marked, strict=True):
            (top, left, _), (bottom, right, _) = place[0, 0].tolist(), place[-1, -1].tolist()
            yield scene.categories[region], scene.segments == region, crop, np.s_[top : bottom + 1, left : right + 1]


def test_crops_of_things_hold_the_whole_thing_and_surroundings(scenes):
    shares = []
    for name, seen, crop, place in crops_with_places(scenes):
        assert crop.shape[0] == crop.shape[1]
        if name in THINGS:
            # Rounded down, a crop may lose the outermost row or column.
            rows, columns = np.flatnonzero(seen.any(axis=1))[1:-1], np.flatnonzero(seen.any(axis=0))[1:-1]
            assert place[0].start <= rows[0] <= rows[-1] < place[0].stop
            assert place[1].start <= columns[0] <= columns[-1] < place[1].stop
            shares.append(seen[place].mean())
    assert len(shares) > 500
    assert 0.1 < np.median(shares) < 0.5


def test_crops_of_grounds_show_mostly_that_ground(scenes):
    found = [(name, seen[place].mean()) for name, seen, _, place in crops_with_places(scenes) if name in GROUNDS]
    assert {name for name, _ in found} == set(GROUNDS)
    assert min(share for _, share in found) > 0.6


def test_texts_of_crops(scenes):
    for number, scene in enumerate(scenes[:50]):
        regions = [region for region, _ in natural_crops(np.random.default_rng(number), scene)]
        nouns = [scene.categories[region] for region in regions]
        assert [pair.text for pair in named_pairs(np.random.default_rng(number), scene, "7")] == nouns
        whole, *crops = captioned_pairs(np.random.default_rng(number), scene, "7")
        assert (whole.image == scene.pixels).all()
        assert set(named(whole.text)) <= set(scene.categories)
        for pair in (whole, *crops):
            assert pair.image_id == "7"
            assert pair.mask.shape == pair.image.shape[:2]
            assert pair.mask.all()
        for pair in crops:
            first, *more = named(pair.text)
            assert first in scene.categories
            assert set(more) <= set(scene.categories) & GROUNDS.keys() - {first}


@pytest.fixture(scope="module")
def pairs(scenes) -> list[list[Pair]]:
    """Of two shards: crops with all of their pixels, and whole scenes with the mask of a region."""
    rng = np.random.default_rng(0)
    crops = [pair for number, scene in enumerate(scenes[:6]) for pair in named_pairs(rng, scene, str(number))]
    regions = [
        Pair(str(number), scene.pixels, scene.segments == region, name)
        for number, scene in enumerate(scenes[6:10], start=6)
        for region, name in enumerate(scene.categories)
    ]
    return [crops, regions]


def test_written_pairs_are_read_as_a_mined_dataset_is(pairs, tmp_path):
    describe_pairs(tmp_path, len(pairs), images=1)
    counts = [write_pairs(tmp_path, shard, content) for shard, content in enumerate(pairs)]
    assert counts == [len(content) for content in pairs]
    samples = select_samples(str(tmp_path), DataConfig(held_out_share=0.0))
    written = [pair for content in pairs for pair in content]
    assert [samples.nouns[noun] for noun in samples.noun_of_row] == [pair.text for pair in written]
    assert len(samples.train) == len(written)
    for row, pair in zip(samples.table.to_pylist(), written, strict=True):
        start = row["tar_offset"]
        data = storage.read_bytes(Layout(str(tmp_path)).tar(row["shard"]), start, start + row["tar_length"])
        image, mask = decode_sample(data, row["key"])
        rows, columns = np.flatnonzero(pair.mask.any(axis=1)), np.flatnonzero(pair.mask.any(axis=0))
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert (mask.numpy() == pair.mask[box]).all()
        assert abs(image.permute(1, 2, 0).numpy() - pair.image[box].astype(float)).mean() < 8  # JPEG


def test_images_are_held_out_whole(pairs, tmp_path):
    describe_pairs(tmp_path, shards=1, images=1)
    write_pairs(tmp_path, 0, pairs[0])
    samples = select_samples(str(tmp_path), DataConfig(held_out_share=0.5, where="mask_area > 100"))
    images = {"train": set(), "held_out": set()}
    keys = {f"000000-{number:06d}": pair.image_id for number, pair in enumerate(pairs[0])}
    for part in images:
        images[part] = {keys[samples.key(row)] for row in getattr(samples, part)}
    assert images["train"].isdisjoint(images["held_out"])
    assert images["train"] | images["held_out"] == {pair.image_id for pair in pairs[0]}
    assert set(samples.nouns) <= set(NAMES)


def test_the_same_pairs_give_the_same_bytes(pairs, tmp_path):
    for name in ("one", "two"):
        write_pairs(tmp_path / name, 3, iter(pairs[1]))
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / name).rglob("*.*")} for name in ("one", "two"))
    assert one.keys() == {"000003.tar", "000003.parquet"}
    assert one == two
