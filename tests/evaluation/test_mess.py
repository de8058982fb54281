"""The sets of MESS: every one as its preparation lays it, and what is missing where it did not end."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import UserError
from pipeline.evaluation.datasets import IGNORE, DatasetConfig, open_dataset
from pipeline.evaluation.datasets.config import Kind
from pipeline.evaluation.datasets.mess import MESS_SETS, MessSet, open_mess_set
from tests.evaluation.background_distributions import mess_cwfid
from tests.evaluation.distributions import SIZE, write_png


def write_set(root: Path, chosen: MessSet, split: str) -> dict[str, np.ndarray]:
    """Two images and their label images; returns the values by image id."""
    found = {}
    for index, image_id in enumerate(("0_7", "10_7")):
        path = root / chosen.folder / chosen.images[split] / f"{image_id}{chosen.image_suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(index).integers(0, 256, (*SIZE, 3), np.uint8)
        Image.fromarray(pixels).save(path)
        values = np.random.default_rng(index).integers(0, len(chosen.classes), SIZE)
        values[0, 0] = 255
        write_png(root / chosen.folder / chosen.labels / f"{image_id}{chosen.label_suffix}", values.astype(np.uint8))
        found[image_id] = values
    return found


@pytest.mark.parametrize("name", MESS_SETS)
def test_every_set(name, tmp_path):
    chosen = MESS_SETS[name]
    for split in chosen.images:
        root = tmp_path / split
        values = write_set(root, chosen, split)
        config = DatasetConfig(f"mess_{name}", str(root), split=split)
        dataset = open_mess_set(config, replace(chosen, count=2))
        assert dataset.name == f"mess_{name}/{split}"
        assert dataset.image_ids == ["0_7", "10_7"]
        assert dataset.classes == [(class_name,) for class_name in chosen.classes]
        assert (dataset.background.label if dataset.background else None) == chosen.background
        for image_id, expected in values.items():
            assert (dataset.read(image_id).labels == np.where(expected == 255, IGNORE, expected)).all()


def test_the_benchmark():
    """22 sets, one of them in four parts, and five domains: Table 1 of the paper."""
    assert len(MESS_SETS) == 22 + 3
    assert len({chosen.domain for chosen in MESS_SETS.values()}) == 5
    assert {f"mess_{name}" for name in MESS_SETS} == {kind for kind in get_args(Kind) if kind.startswith("mess_")}
    for chosen in MESS_SETS.values():
        assert len(set(chosen.classes)) == len(chosen.classes) > 1
    counts = {name: len(chosen.classes) for name, chosen in MESS_SETS.items()}
    # Of the official lists: 103 ingredients, 200 birds, 19 classes of streets, 56 of waters, each but two with others.
    assert (counts["foodseg103"], counts["cub_200"], counts["bdd100k"], counts["atlantis"]) == (104, 201, 19, 56)
    # What the benchmark evaluates where there are several bands.
    assert [next(iter(MESS_SETS[name].images)) for name in ("isprs_potsdam", "worldfloods", "pst900")] == [
        "test_irrg",
        "test_irrg",
        "test",
    ]


def test_what_is_not_prepared_is_named(tmp_path):
    root = tmp_path / "datasets"
    config = mess_cwfid(root).config
    (root / "cwfid/annotations_detectron2/test/021_annotation.png").unlink()
    with pytest.raises(UserError, match=r"has 20 label images of 21; the preparation did not end.*prepare_cwfid of"):
        open_dataset(config)
    mess_cwfid(root)
    (root / "cwfid/images/003_image.png").unlink()
    with pytest.raises(UserError, match=r"cwfid/images/003_image\.png is missing\. .*github\.com/cwfid/dataset"):
        open_dataset(config)
    with pytest.raises(UserError, match=r"dataset\.root: .*DeepCrack/annotations_detectron2/test/\*\.png is missing"):
        open_dataset(DatasetConfig("mess_deepcrack", str(root)))
    mess_cwfid(root)
    config.split = "test_rgb"
    with pytest.raises(UserError, match=r"dataset\.split: mess_cwfid has test, not test_rgb"):
        open_dataset(config)
    config.split = None
    write_png(root / "cwfid/annotations_detectron2/test/001_annotation.png", np.full(SIZE, 3, np.uint8))
    with pytest.raises(UserError, match=r"001_annotation\.png holds label values outside the list of classes: 3"):
        open_dataset(config).read("001")
