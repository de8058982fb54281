"""The ways to classify the masks of an image, against loops over pixels."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask

from pipeline.evaluation.branches import (
    BRANCHES,
    TrueRegion,
    label_maps,
    true_masks,
    true_regions,
    with_true_classes,
)
from pipeline.evaluation.datasets import IGNORE
from pipeline.masks.masks import Masks
from pipeline.segmentation import UNLABELLED, Prediction

CLASSES, HEIGHT, WIDTH = 3, 5, 7

label_images = arrays(np.uint16, (HEIGHT, WIDTH), elements=st.sampled_from([0, 1, 2, IGNORE]))
mask_stacks = st.integers(0, 4).flatmap(lambda count: arrays(np.bool_, (count, HEIGHT, WIDTH)))


def predict(masks_QHW: np.ndarray, seed: int = 0, background: int = 0, classified: bool = False) -> Prediction:
    """A prediction with arbitrary logits, as the segmenter makes it: empty masks are not valid."""
    rng = np.random.default_rng(seed)
    valid_Q = masks_QHW.any(axis=(1, 2))
    columns = CLASSES + background
    return Prediction(
        classes=CLASSES,
        masks=Masks.encode(masks_QHW),
        mask_logits=None,
        region_logits=rng.normal(0, 2, (valid_Q.sum(), columns)).astype(np.float32),
        valid=valid_Q,
        proposal_logits=rng.normal(0, 2, (len(masks_QHW), columns + 1)).astype(np.float32) if classified else None,
    )


def softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits.astype(np.float64))
    return exponentials / exponentials.sum()


def scored_map(masks_QHW: np.ndarray, scores_Q: list[np.ndarray | None]) -> np.ndarray:
    """Pixel by pixel the class with the largest sum of scores, UNLABELLED where there is none."""
    labels = np.full(masks_QHW.shape[1:], UNLABELLED)
    for row, column in np.ndindex(labels.shape):
        covering = [
            scores for scores, mask in zip(scores_Q, masks_QHW, strict=True) if scores is not None and mask[row, column]
        ]
        if covering:
            labels[row, column] = np.sum(covering, axis=0).argmax()
    return labels


def commonest(labels: np.ndarray, mask: np.ndarray) -> int | None:
    """The class of most labelled pixels in a mask; of several, the first."""
    counts = Counter(int(label) for label in labels[mask] if label != IGNORE)
    return min((label for label in counts if counts[label] == max(counts.values())), default=None)


@settings(max_examples=60, deadline=None)
@given(label_images)
def test_true_masks_are_the_classes_of_the_labels(labels):
    present, truth = true_masks(labels)
    assert present == sorted({int(label) for label in labels.flat if label != IGNORE})
    assert (truth.masks.size, len(truth.masks)) == ((HEIGHT, WIDTH), len(present))
    for label, code in zip(present, truth.masks, strict=True):
        assert (coco_mask.decode({"size": [HEIGHT, WIDTH], "counts": code}) == (labels == label)).all()


@settings(max_examples=60, deadline=None)
@given(label_images, mask_stacks)
def test_masks_get_the_class_of_most_of_their_labelled_pixels(labels, masks_QHW):
    prediction = predict(masks_QHW, background=1, classified=True)
    truth = with_true_classes(prediction, labels)
    expected = [commonest(labels, mask) for mask in masks_QHW]
    assert truth.valid.tolist() == [label is not None for label in expected]
    assert truth.region_logits.argmax(axis=1).tolist() == [label for label in expected if label is not None]
    assert truth.proposal_logits is None
    assert truth.masks == prediction.masks
    certain = [None if label is None else np.eye(CLASSES)[label] for label in expected]
    assert (truth.label_map(1.0) == scored_map(masks_QHW, certain)).all()


def test_a_mask_on_pixels_that_do_not_count_takes_part_in_nothing():
    labels = np.array([[0, 0, IGNORE, IGNORE]], np.uint16)
    masks = np.array([[[1, 1, 1, 0]], [[0, 0, 1, 1]], [[0, 0, 0, 0]]], bool)
    truth = with_true_classes(predict(masks), labels)
    assert truth.valid.tolist() == [True, False, False]
    assert truth.label_map(1.0).tolist() == [[0, 0, 0, UNLABELLED]]


def test_an_image_without_proposals_has_no_labels():
    labels = np.zeros((HEIGHT, WIDTH), np.uint16)
    for classified in (False, True):
        maps = label_maps(predict(np.zeros((0, HEIGHT, WIDTH), bool), classified=classified), labels, 0.5)
        assert all((found == UNLABELLED).all() for found in maps.values())


@settings(max_examples=40, deadline=None)
@given(label_images)
def test_true_classes_on_exact_proposals_are_the_labels(labels):
    masks_QHW = np.array([labels == label for label in range(CLASSES)])
    oracle = label_maps(predict(masks_QHW), labels, 0.5)["oracle"]
    assert (oracle == np.where(labels == IGNORE, UNLABELLED, labels)).all()


def test_true_classes_on_soft_masks():
    labels = np.repeat(np.array([[2, 2, 0, 0]], np.uint16), 4, axis=0)
    left = np.where(np.arange(2) < 1, 3.0, -3.0).astype(np.float32)
    mask_logits = np.stack([np.tile(left, (2, 1)), np.tile(-left, (2, 1))])
    prediction = predict(np.stack([labels == 2, labels == 0]), classified=True)
    soft = Prediction(**{**vars(prediction), "mask_logits": mask_logits})
    assert (label_maps(soft, labels, 0.5)["oracle"] == labels).all()


@settings(max_examples=40, deadline=None)
@given(mask_stacks, st.integers(0, 1000))
def test_every_way_by_hand(masks_QHW, seed):
    weight = 0.3
    labels = np.zeros((HEIGHT, WIDTH), np.uint16)
    prediction = predict(masks_QHW, seed, classified=True)
    maps = label_maps(prediction, labels, weight)
    assert maps.keys() == BRANCHES.keys() - {"true_masks"}
    assert label_maps(predict(masks_QHW, seed), labels, weight).keys() == {"clip", "oracle"}

    logits = iter(prediction.region_logits)
    clip = [softmax(next(logits)) if mask.any() else None for mask in masks_QHW]
    proposals = [softmax(logits)[:-1] for logits in prediction.proposal_logits]
    fused = [
        p ** (1 - weight) * (1 if q is None else q**weight) for p, q in zip(proposals, clip, strict=True)
    ]  # an empty mask keeps what the proposals say
    for branch, scores in {"clip": clip, "proposals": proposals, "fused": fused}.items():
        assert (maps[branch] == scored_map(masks_QHW, scores)).all(), branch


def test_ranks_of_true_regions():
    labels = np.array([[0, 0, 0, 2], [2, 1, 2, IGNORE]], np.uint16)
    present, truth = true_masks(labels)
    logits = [
        [1.0, 0.5, 0.2, 9.0],  # of the class itself, though a background name is above it
        [0.7, 0.6, 0.6, 0.0],  # one above; as much as its own does not count
        [0.3, 0.2, 0.1, 0.0],  # two above
    ]
    prediction = Prediction(
        classes=3,
        masks=truth.masks,
        mask_logits=None,
        region_logits=np.array(logits, np.float32),
        valid=np.ones(3, bool),
        proposal_logits=None,
    )
    assert true_regions(present, prediction) == [TrueRegion(0, 3, 0), TrueRegion(1, 1, 1), TrueRegion(2, 3, 2)]


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_the_weight_is_that_of_the_fused_way_alone(weight):
    masks_QHW = np.random.default_rng(0).random((6, HEIGHT, WIDTH)) < 0.5
    prediction = predict(masks_QHW, classified=True)
    maps = label_maps(prediction, np.zeros((HEIGHT, WIDTH), np.uint16), weight)
    assert (maps["fused"] == prediction.label_map(weight)).all()
    assert (maps["clip"] == prediction.label_map(1.0)).all()
    assert (maps["proposals"] == prediction.label_map(0.0)).all()
    assert not (maps["clip"] == maps["proposals"]).all()
