"""`things`: each object of a thing is a panoptic segment of its own."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.clip import ClipConfig
from pipeline.errors import UserError
from pipeline.masks.masks import Masks
from pipeline.proposals import Proposals, ProposalsConfig
from pipeline.segmentation.config import SegmentationConfig
from pipeline.segmentation.job_config import SegmentJobConfig
from pipeline.segmentation.panoptic_file import write_panoptic
from pipeline.segmentation.plan import resolve
from pipeline.segmentation.worker import SegmentWorker

SIZE = (20, 30)


class Squares:
    """Two squares that touch, and one far away."""

    batch_size = 1

    def __init__(self, config: ProposalsConfig):
        self.identity = {"name": "squares"}

    def propose(self, images, image_ids):
        return [Proposals(Masks.encode(squares()), np.ones(3, np.float32)) for _ in images]


def squares() -> np.ndarray:
    masks_QHW = np.zeros((3, *SIZE), bool)
    masks_QHW[0, 2:8, 2:8] = masks_QHW[1, 2:8, 8:14] = masks_QHW[2, 12:18, 20:28] = True
    return masks_QHW


def segmented(tmp_path: Path, tiny_folder: Path, things: list[str] | str | None) -> tuple[np.ndarray, dict]:
    """Segment ids of the image, and `panoptic.json`."""
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)).save(tmp_path / "photo.png")
    config, classes = resolve(
        SegmentJobConfig(
            images=str(tmp_path / "photo.png"),
            output=str(tmp_path / "out"),
            classes="dog",
            things=things,
            clip=ClipConfig(architecture=f"local-dir:{tiny_folder}", weights=None),
            proposals=ProposalsConfig("tests.segmentation.test_things:Squares"),
            segmentation=SegmentationConfig(templates="none"),
            gpus=0,
        )
    )
    row = SegmentWorker(config, 0)({"images": config.images, "names": ["photo"]})
    assert row == {"images": 1, "rejects": "[]", "error": "", "user_error": ""}
    write_panoptic(config.output, classes, config.things, {"photo": config.images[0]})
    pixels = np.asarray(Image.open(tmp_path / "out/panoptic/photo.png")).astype(int)
    return pixels @ [1, 256, 65536], json.loads((tmp_path / "out/panoptic.json").read_text())


@pytest.mark.parametrize("things", [["dog"], "dog"])
def test_objects_are_apart(tmp_path, tiny_folder, things):
    ids, content = segmented(tmp_path, tiny_folder, things)
    masks = squares()
    assert (ids == sum((index + 1) * masks[index] for index in range(3))).all()
    [annotation] = content["annotations"]
    assert annotation["segments_info"] == [
        {"id": 1, "category_id": 1, "area": 36, "bbox": [2, 2, 6, 6], "iscrowd": 0, "score": 1.0},
        {"id": 2, "category_id": 1, "area": 36, "bbox": [8, 2, 6, 6], "iscrowd": 0, "score": 1.0},
        {"id": 3, "category_id": 1, "area": 48, "bbox": [20, 12, 8, 6], "iscrowd": 0, "score": 1.0},
    ]
    assert content["categories"][0]["isthing"] == 1
    assert "info" not in content


@pytest.mark.parametrize("things", [None, []])
def test_without_things_a_segment_is_a_class(tmp_path, tiny_folder, things):
    ids, content = segmented(tmp_path, tiny_folder, things)
    assert (ids == squares().any(axis=0)).all()
    assert [segment["area"] for segment in content["annotations"][0]["segments_info"]] == [120]
    assert content["categories"][0]["isthing"] == (things is None)


def test_things_as_people_type_them():
    def things(given: list[str] | str | None) -> list[str] | None:
        return resolve(SegmentJobConfig(images="a", output="out", classes="dog, car/auto, sky", things=given))[0].things

    assert things("dog,car") == things("dog , car, dog,") == things(["dog", "car"]) == ["dog", "car"]
    assert things("") == []
    assert things(None) is None
    with pytest.raises(UserError, match="things: 'auto' are no first names of the classes"):
        things("auto")
