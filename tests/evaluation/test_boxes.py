"""True objects in their boxes: the boxes pixel by pixel, and what a chunk says of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.clip import ClipConfig
from pipeline.errors import UserError
from pipeline.evaluation.boxes import boxes_as_masks, check_boxes
from pipeline.evaluation.chunk import BOX_REGIONS, evaluate_chunk, tables_of
from pipeline.evaluation.config import EvaluateConfig
from pipeline.evaluation.datasets import open_dataset
from pipeline.masks.masks import Masks
from pipeline.segmentation import SegmentationConfig
from pipeline.segmentation.loading import load_segmenter
from tests.evaluation import distributions


@given(arrays(bool, st.tuples(st.integers(0, 4), st.integers(1, 5), st.integers(1, 5))))
def test_boxes_are_filled(masks_KHW):
    expected = np.zeros_like(masks_KHW)
    for box, mask in zip(expected, masks_KHW, strict=True):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if len(rows):
            box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    masks = Masks.encode(masks_KHW) if len(masks_KHW) else Masks([], *masks_KHW.shape[1:])
    found = boxes_as_masks(masks)
    assert found.rles == Masks(found.rles, *found.size).rles  # whole codes
    assert (found.decode().astype(bool) == expected).all()


def test_objects_of_lvis_in_their_boxes(tmp_path, tiny_folder):
    """Of the three objects of an image, the first and the last are rectangles, with or without what is around them."""
    miniature = distributions.lvis_v1(tmp_path)
    dataset = open_dataset(miniature.config)
    config = EvaluateConfig(
        dataset=miniature.config,
        output="nowhere",
        clip=ClipConfig(architecture=f"local-dir:{tiny_folder}", weights=None),
        segmentation=SegmentationConfig(templates="none"),
        gpus=0,
    ).resolved()
    segmenter = load_segmenter(config, dataset.classes, gpu=False)
    tables = evaluate_chunk(dataset, segmenter, ["397133"], true_boxes=True)
    assert set(tables) == set(tables_of(dataset, True))
    masked, in_boxes = (tables[name].to_pylist() for name in ("regions", BOX_REGIONS))
    assert [row["area"] for row in masked] == [20, 14, 10]
    assert [row["area"] for row in in_boxes] == [20, 20, 10]
    assert [row["label"] for row in in_boxes] == [2, 0, 2]
    assert (masked[0], masked[2]) == (in_boxes[0], in_boxes[2])
    assert BOX_REGIONS not in evaluate_chunk(dataset, segmenter, ["37777"])


def test_boxes_of_what_has_no_objects(tmp_path):
    dataset = open_dataset(distributions.voc_20(tmp_path / "voc").config)
    check_boxes(dataset, False)
    with pytest.raises(UserError, match=r"true_boxes: voc_20/val does not tell objects apart"):
        check_boxes(dataset, True)
