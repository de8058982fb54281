"""Judging pairs by annotated objects, on an example worked by hand."""

import json

import numpy as np
import pytest

from pipeline.masks import rle
from pipeline.proposals import ProposalsConfig
from pipeline.proposals.ground_truth import GroundTruth, GroundTruthOptions
from pipeline.quality import measure_pairs


def code(y0: int, x0: int, y1: int, x1: int) -> str:
    mask = np.zeros((1, 20, 20), np.uint8)
    mask[0, y0:y1, x0:x1] = 1
    return rle.encode(mask)[0].decode()


def test_pairs_are_judged_by_the_object_they_overlap_most(tmp_path):
    objects = [("dog", code(0, 0, 10, 10)), ("cat", code(0, 10, 10, 20)), ("dog", code(10, 0, 20, 10))]
    names = ["dog", "cat"]
    annotations = [
        {"id": i, "image_id": 1, "category_id": names.index(name) + 1, "iscrowd": 0, "area": 100,
         "segmentation": {"size": [20, 20], "counts": counts}}
        for i, (name, counts) in enumerate(objects, start=1)
    ]  # fmt: skip
    document = {
        "images": [{"id": 1, "file_name": "1.jpg", "width": 20, "height": 20}],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}],
    }
    (tmp_path / "instances.json").write_text(json.dumps(document))
    truth = GroundTruth(ProposalsConfig(), GroundTruthOptions(annotations=str(tmp_path / "instances.json")))
    frame = {"image_id": "1", "image_width": 20, "image_height": 20}
    rows = [
        {**frame, "noun": "dog", "mask_rle": code(0, 0, 10, 12)},  # mostly the first dog: correct
        {**frame, "noun": "cat", "mask_rle": code(0, 0, 10, 12)},  # a dog: wrong
        {**frame, "noun": "dog", "mask_rle": code(15, 15, 20, 20)},  # nothing: wrong
        {**frame, "noun": "grass", "mask_rle": code(10, 10, 20, 20)},  # no such object: not judged
    ]
    result = measure_pairs(rows, truth)
    assert (result.pairs, result.judged, result.correct) == (4, 3, 1)
    assert result.precision == pytest.approx(1 / 3)
    assert result.chance == pytest.approx((2 / 3 + 1 / 3 + 2 / 3) / 3)
