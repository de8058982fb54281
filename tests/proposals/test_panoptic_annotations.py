"""Panoptic annotations as other people write them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from pipeline.images import ImageProblem
from pipeline.proposals import load_proposer
from tests.proposals.coco_files import CATEGORIES, HEIGHT, IMAGE, INSIDE, WIDTH, config, pixels


@pytest.fixture
def panoptic(tmp_path: Path) -> Callable[..., str]:
    """Writes panoptic annotations of image 1, whose PNG holds segment 5 in a box, returns the path."""

    def write(*segments: Any, image: dict | None = None, name: str = "1.png") -> str:
        (tmp_path / "panoptic").mkdir(exist_ok=True)
        ids = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        ids[INSIDE, 0] = 5
        Picture.fromarray(ids).save(tmp_path / "panoptic/1.png")
        annotation = {"image_id": "1", "file_name": name, "segments_info": list(segments)}
        content = {"images": [image or IMAGE], "annotations": [annotation], "categories": CATEGORIES}
        (tmp_path / "panoptic.json").write_text(json.dumps(content))
        return str(tmp_path / "panoptic.json")

    return write


def test_an_odd_segment_costs_itself(panoptic):
    good = {"id": "5", "category_id": 3.0, "iscrowd": "0"}
    annotations = panoptic(None, {"id": "x", "category_id": 3}, good, {"id": 6, "category_id": 77})
    assert pixels("1", annotations)[0] == INSIDE.tolist()
    warning = load_proposer(config(annotations)).check()
    assert "2 segments have an id, category or iscrowd that cannot be read" in warning
    assert "category 77" in warning


def test_a_panoptic_png_tells_an_unknown_size(panoptic):
    annotations = panoptic({"id": 5, "category_id": 3}, image=IMAGE | {"height": -1, "width": None})
    assert pixels("1", annotations) == [INSIDE.tolist()]


@pytest.mark.parametrize("name", ["../1.png", "/etc/1.png", "reference://x::http://host/1.png", "", None])
def test_a_panoptic_png_lies_in_its_folder(panoptic, name):
    with pytest.raises(ImageProblem, match="no file_name below the folder") as caught:
        pixels("1", panoptic({"id": 5, "category_id": 3}, name=name))
    assert caught.value.reason == "damaged_annotation"
