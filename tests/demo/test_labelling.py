"""Labels of a demo are those of a page, and say what the truth of the scenes says."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.dataset.opening import open_mined_dataset
from pipeline.dataset.quality import read_quality
from pipeline.demo.labelling import right_pairs, write_labels, write_true_quality
from pipeline.masks import rle
from pipeline.microworld.categories import NAMES
from pipeline.microworld.scenes import draw_scene
from pipeline.quality.labels import check_labels, read_labels

SEED = 5  # of the world of the tests


def true_answer(row: dict) -> bool:
    """Whether the region overlaps most with an object of its noun, on the drawn scene itself."""
    scene = draw_scene(np.random.default_rng((SEED, int(row["image_id"]))))
    mask = rle.decode([row["mask_rle"].encode()], row["image_height"], row["image_width"])[0] > 0
    ious = [(mask & (scene.segments == region)).sum() / (mask | (scene.segments == region)).sum()
            for region in range(len(scene.categories))]  # fmt: skip
    return scene.categories[int(np.argmax(ious))] == row["noun"]


@pytest.mark.slow
def test_labels_are_of_the_dataset_and_true(mined: Path, world: Path, tmp_path: Path):
    write_labels(mined, world, 30, 7, tmp_path / "labels.json")
    labels = read_labels(str(tmp_path / "labels.json"))
    dataset = open_mined_dataset(str(mined))
    places = check_labels(labels, dataset)
    rows = [row for manifest in dataset.manifests() for row in manifest.table.to_pylist()]
    assert len(labels.labels) == len(set(places.tolist())) == 30
    for label, place in zip(labels.labels, places, strict=True):
        assert rows[place]["key"] == label.key
        assert (label.answer == "right") == true_answer(rows[place])
    # The same again, and others by another seed.
    write_labels(mined, world, 30, 7, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "labels.json").read_bytes()
    write_labels(mined, world, 30, 8, tmp_path / "other.json")
    assert {one.key for one in read_labels(str(tmp_path / "other.json")).labels} != {one.key for one in labels.labels}

    copy = Path(shutil.copytree(mined, tmp_path / "copy"))
    write_true_quality(copy, world)
    copied = open_mined_dataset(str(copy))
    found = [read_quality(copied.layout, manifest).p_right for manifest in copied.manifests()]
    assert np.concatenate(found).tolist() == [float(row["noun"] in NAMES and true_answer(row)) for row in rows]
    assert right_pairs(rows, world) == {row["key"] for row in rows if row["noun"] in NAMES and true_answer(row)}
