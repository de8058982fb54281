"""Panoptic segments against counting pixel by pixel."""

import io

import numpy as np
import pytest
from PIL import Image

from pipeline import masks
from pipeline.segmentation import UNLABELLED, Prediction
from pipeline.segmentation.fusion import class_scores
from pipeline.segmentation.panoptic import categories, panoptic_png, segments_info

HEIGHT, WIDTH, CLASSES = 13, 17, 5


def predicted(masks_QHW: np.ndarray, rng: np.random.Generator, soft: bool = False) -> Prediction:
    count = len(masks_QHW)
    return Prediction(
        height=HEIGHT,
        width=WIDTH,
        classes=CLASSES,
        masks=masks.encode(masks_QHW),
        mask_logits=rng.normal(0, 3, (count, 4, 5)).astype(np.float32) if soft else None,
        region_logits=rng.normal(0, 3, (count, CLASSES + 1)).astype(np.float32),  # the last one is a background
        valid=np.ones(count, bool),
        proposal_logits=rng.normal(0, 3, (count, CLASSES + 2)).astype(np.float32) if soft else None,
    )


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_segments_are_what_the_label_map_shows(seed, soft):
    rng = np.random.default_rng(seed)
    masks_QHW = rng.random((6, HEIGHT, WIDTH)) < 0.3
    prediction = predicted(masks_QHW, rng, soft)
    weight = 0.6 if soft else 1.0
    labels = prediction.label_map(weight)
    scores_QC = class_scores(prediction.proposal_logits, prediction.region_logits, prediction.valid, weight).numpy()
    found = segments_info(labels, prediction, weight)

    pixels = np.asarray(Image.open(io.BytesIO(panoptic_png(labels)))).astype(int)
    ids = pixels @ [1, 256, 65536]
    assert sorted(segment["id"] for segment in found) == sorted(set(np.unique(ids)) - {0})
    assert (ids[labels == UNLABELLED] == 0).all()
    for segment in found:
        inside = ids == segment["id"]
        assert (labels[inside] + 1 == segment["category_id"]).all()
        ys, xs = np.nonzero(inside)
        assert segment["area"] == len(ys)
        assert segment["bbox"] == [xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1]
        covering = [(mask, y, x) for mask in range(len(masks_QHW)) for y, x in zip(ys, xs, strict=True)]
        scores = [scores_QC[mask, segment["category_id"] - 1] for mask, y, x in covering if masks_QHW[mask, y, x]]
        assert segment["score"] == pytest.approx(np.mean(scores) if scores else 0.0, abs=1e-5)


def test_nothing_found_and_all_of_one_class():
    rng = np.random.default_rng(0)
    nothing = predicted(np.zeros((0, HEIGHT, WIDTH), bool), rng)
    labels = nothing.label_map(1.0)
    assert segments_info(labels, nothing, 1.0) == []
    assert not np.asarray(Image.open(io.BytesIO(panoptic_png(labels)))).any()
    all_of_it = predicted(np.ones((1, HEIGHT, WIDTH), bool), rng)
    all_of_it.region_logits[:] = 0
    all_of_it.region_logits[0, 2] = 50
    [segment] = segments_info(all_of_it.label_map(1.0), all_of_it, 1.0)
    assert segment == {
        "id": 3, "category_id": 3, "area": HEIGHT * WIDTH, "bbox": [0, 0, WIDTH, HEIGHT], "iscrowd": 0, "score": 1.0
    }  # fmt: skip


def test_ids_of_many_classes():
    labels = np.array([[0, 254, 255, 65534, UNLABELLED]], np.uint16)
    pixels = np.asarray(Image.open(io.BytesIO(panoptic_png(labels)))).astype(int)
    assert (pixels @ [1, 256, 65536]).tolist() == [[1, 255, 256, 65535, 0]]


def test_categories_are_numbered_from_one():
    assert [(row["id"], row["name"], row["isthing"]) for row in categories([("door", "double door"), ("Tür",)])] == [
        (1, "door", 0),
        (2, "Tür", 0),
    ]
