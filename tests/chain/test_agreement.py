"""A later round against round 0, on masks compared pixel by pixel."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import schemas
from pipeline.chain.agreement import compare_with_first, find_again
from pipeline.dataset.layout import Layout
from pipeline.dataset.manifests import read_manifest, write_manifest
from pipeline.dataset.opening import MinedDataset, open_mined_dataset
from pipeline.masks import rle
from tests.report.made_dataset import HEIGHT, WIDTH, make_dataset

NOUNS = ("dog", "cat", "tree", "house", "road", "lamp")


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> MinedDataset:
    folder = tmp_path_factory.mktemp("first")
    make_dataset(folder, NOUNS, shards=3, images_per_shard=5)
    return open_mined_dataset(str(folder))


def rows_of(dataset: MinedDataset) -> list[dict]:
    return [row for manifest in dataset.manifests() for row in manifest.table.to_pylist()]


def changed(first: MinedDataset, to: Path, change) -> MinedDataset:
    """A copy whose rows are what `change(shard, rows)` makes of them; None: the shard is not there."""
    shutil.copytree(first.layout.uri, to)
    layout = Layout(str(to))
    for shard in first.shards:
        manifest = read_manifest(first.layout, shard, ["key"])
        rows = change(shard, read_manifest(first.layout, shard, schemas.MANIFEST.names).table.to_pylist())
        if rows is None:
            Path(layout.table("manifests", shard)).unlink()
        else:
            write_manifest(layout, shard, rows, manifest.files, {"images": 5, "images_with_pairs": 4, "pairs": 1})
    return open_mined_dataset(str(to))


def moved(row: dict, pixels: int) -> dict:
    """The same region, so many of its first pixels missing."""
    [mask] = rle.decode([row["mask_rle"].encode()], HEIGHT, WIDTH)
    inside = np.argwhere(mask)[:pixels]
    mask[tuple(inside.T)] = 0
    return row | {"mask_rle": rle.encode(mask[None])[0].decode()}


def test_a_dataset_agrees_with_itself(first):
    pairs = len(rows_of(first))
    nouns = len({row["noun"] for row in rows_of(first)})
    found = compare_with_first(first, first)
    assert (found.b.pairs, found.shared, found.agreeing, found.b.nouns) == (pairs, pairs, pairs, nouns)
    assert (found.agreement, found.nouns_survived) == (1, 1)


def test_regions_that_moved_pairs_that_are_gone_and_new_ones_are_counted(first, tmp_path):
    gone = "dog"

    def change(shard: int, rows: list[dict]) -> list[dict] | None:
        if shard == 2:
            return None
        kept = [row for row in rows if row["noun"] != gone]
        half = [moved(row, row["mask_area"] // 2) if number % 2 else moved(row, 1) for number, row in enumerate(kept)]
        return [*half[::-1], kept[0] | {"noun": "unheard of", "key": f"{shard:06d}-00000-009"}]

    later = changed(first, tmp_path / "later", change)
    before = {(row["image_id"], row["noun"]): row["mask_rle"] for row in rows_of(first)}
    after = {(row["image_id"], row["noun"]): row["mask_rle"] for row in rows_of(later)}
    common = before.keys() & after.keys()

    def iou(pair: tuple[str, str]) -> float:
        a, b = (rle.decode([masks[pair].encode()], HEIGHT, WIDTH)[0] > 0 for masks in (before, after))
        return (a & b).sum() / (a | b).sum()

    same = sum(iou(pair) >= 0.9 for pair in common)
    assert 0 < same < len(common) < len(before)
    nouns = {noun for _, noun in after}
    agreement = compare_with_first(first, later)
    assert (agreement.b.pairs, agreement.shared, agreement.agreeing) == (len(after), len(common), same)
    assert agreement.b.nouns == len(nouns)
    assert agreement.nouns_survived == pytest.approx((len(nouns) - 1) / len(NOUNS))

    keys = {row["key"]: (row["image_id"], row["noun"]) for row in rows_of(first)}
    asked = sorted(keys)[::3]
    found = find_again(first, later, asked)
    assert found.keys() == {key for key in asked if keys[key] in common}
    other = {row["key"]: (row["image_id"], row["noun"]) for row in rows_of(later)}
    for key, match in found.items():
        assert other[match.other_key] == keys[key]
        assert match.iou == pytest.approx(iou(keys[key]), abs=1e-6)


def test_nothing_in_common(first, tmp_path):
    found = compare_with_first(first, changed(first, tmp_path / "later", lambda *_: []))
    assert (found.b.pairs, found.agreement, found.nouns_survived) == (0, None, 0)
