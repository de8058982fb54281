"""Label maps of large images and many classes, against the whole map of scores computed at once."""

from dataclasses import replace

import numpy as np
import psutil
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.masks import rle
from pipeline.masks.masks import Masks
from pipeline.masks.runs import run_lengths
from pipeline.masks.soft import binarize
from pipeline.segmentation import UNLABELLED, Prediction, fuse


def predict_binary(masks_QHW, region_logits, *, classes=None, proposal_logits=None):
    valid = masks_QHW.any(axis=(1, 2))
    return Prediction(
        classes=classes or region_logits.shape[1],
        masks=Masks.encode(masks_QHW),
        mask_logits=None,
        region_logits=region_logits[: valid.sum()],
        valid=valid,
        proposal_logits=proposal_logits,
    )


def whole_binary(masks_QHW, prediction, weight):
    """Labels by the definition: masks are logits of ±infinity."""
    mask_logits = np.where(masks_QHW, np.inf, -np.inf)
    scores = fuse(prediction.proposal_logits, mask_logits, prediction.region_logits, prediction.valid, weight)
    best, labels = scores.max(dim=0)
    labels[(best == 0) | (labels >= prediction.classes)] = UNLABELLED
    return labels.numpy()


@given(
    masks_QHW=hnp.arrays(bool, st.tuples(st.integers(0, 5), st.integers(1, 6), st.integers(1, 6))),
    weight=st.sampled_from([0.0, 0.4, 1.0]),
    background=st.integers(0, 2),
    classified=st.booleans(),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=200, deadline=None)
def test_binary_masks(masks_QHW, weight, background, classified, seed):
    rng = np.random.default_rng(seed)
    region_logits = rng.normal(0, 2, (len(masks_QHW), 3 + background)).astype(np.float32)
    proposal_logits = rng.normal(0, 2, (len(masks_QHW), 4 + background)).astype(np.float32) if classified else None
    prediction = predict_binary(masks_QHW, region_logits, classes=3, proposal_logits=proposal_logits)
    labels = prediction.label_map(weight)
    assert labels.dtype == np.uint16
    np.testing.assert_array_equal(labels, whole_binary(masks_QHW, prediction, weight))


def test_more_masks_than_bits_in_a_word_and_more_edges_than_in_a_band():
    """Over a million edges, and over 28,000 different sets of masks."""
    rng = np.random.default_rng(0)
    masks_QHW = rng.random((150, 200, 220)) < rng.random((150, 1, 1))
    masks_QHW[:, 50:110] = masks_QHW[:, :1, :1]  # edges lie close together elsewhere
    prediction = predict_binary(masks_QHW, rng.normal(0, 2, (150, 7)).astype(np.float32))
    np.testing.assert_array_equal(prediction.label_map(0.7), whole_binary(masks_QHW, prediction, 0.7))


def test_runs_of_no_pixels():
    """Other writers of COCO's codes leave them in."""
    code = rle.encode(np.ones((1, 2, 3), bool))[0]
    assert run_lengths(code).tolist() == [0, 6]
    empty_runs = bytes(48 + value for value in (2, 0, 0, 4))  # 2 zeros, 0 ones, 0 zeros, then 4 + (0) ones
    assert run_lengths(empty_runs).tolist() == [2, 0, 0, 4]
    prediction = predict_binary(np.ones((1, 2, 3), bool), np.zeros((1, 1), np.float32))
    assert (prediction.label_map(1) == 0).all()
    labels = replace(prediction, masks=Masks([empty_runs], 2, 3)).label_map(1)
    assert labels.T.ravel().tolist() == [UNLABELLED] * 2 + [0] * 4


def predict_soft(mask_logits, height, width, region_logits, proposal_logits=None, classes=None):
    return Prediction(
        classes=classes or region_logits.shape[1],
        masks=binarize(torch.from_numpy(mask_logits), height, width, 0.5),
        mask_logits=mask_logits,
        region_logits=region_logits,
        valid=np.ones(len(mask_logits), bool),
        proposal_logits=proposal_logits,
    )


SIZES = [(16, 12), (17, 45), (40, 8), (5, 3), (1, 33), (33, 1)]


# The last but one takes several bands of rows; in the last one every row is a band of its own.
@pytest.mark.parametrize(("height", "width"), [*SIZES, (900, 500), (3, 180_000)])
def test_soft_masks_in_bands_are_those_upsampled_whole(height, width):
    rng = np.random.default_rng(3)
    mask_logits = rng.normal(0, 3, (6, 9, 7)).astype(np.float32)
    proposal_logits, region_logits = (rng.normal(0, 2, (6, n)).astype(np.float32) for n in (6, 5))
    prediction = predict_soft(mask_logits, height, width, region_logits, proposal_logits, classes=4)
    upsampled = F.interpolate(torch.tensor(mask_logits)[None], (height, width), mode="bilinear")[0]
    best_two, classes = fuse(proposal_logits, upsampled, region_logits, prediction.valid, 0.6).topk(2, dim=0)
    expected = torch.where(classes[0] < 4, classes[0], UNLABELLED).numpy()
    decided = (best_two[0] - best_two[1]).numpy() > 1e-5  # where rounding cannot turn it
    assert decided.mean() > 0.98
    np.testing.assert_array_equal(prediction.label_map(0.6)[decided], expected[decided])


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("threshold", [0.35, 0.5, 0.9])
def test_soft_masks_become_binary_at_the_size_of_the_image(height, width, threshold):
    mask_logits = np.random.default_rng(4).normal(0, 2, (5, 9, 7)).astype(np.float32)
    upsampled = F.interpolate(torch.tensor(mask_logits)[None], (height, width), mode="bilinear")[0].sigmoid().numpy()
    binary = binarize(torch.from_numpy(mask_logits), height, width, threshold).decode()
    decided = np.abs(upsampled - threshold) > 1e-5
    np.testing.assert_array_equal(binary[decided], (upsampled > threshold)[decided])


def test_a_soft_mask_without_pixels_above_the_threshold_still_counts_with_the_proposals_own_class():
    mask_logits = np.full((1, 4, 4), -1, np.float32)
    prediction = replace(
        predict_soft(mask_logits, 8, 8, np.zeros((0, 2), np.float32), np.array([[0, 3, 0]], np.float32), classes=2),
        valid=np.zeros(1, bool),
    )
    assert not prediction.masks.areas.any()
    assert (prediction.label_map(0.7) == 1).all()
    assert (prediction.label_map(1) == UNLABELLED).all()


class PeakMemory:
    """Peak resident memory above the start, MB; the kernel's own mark."""

    def __enter__(self):
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        self._before = psutil.Process().memory_info().rss
        return self

    def __exit__(self, *_):
        with open("/proc/self/status") as file:
            [peak] = [int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM")]
        self.megabytes = (peak - self._before) / 1e6


@pytest.mark.parametrize("kind", ["binary", "soft"])
def test_memory_is_bounded_at_847_classes_and_three_megapixels(kind):
    """All scores at once would take 10 GB, all masks as numbers 100 MB."""
    rng = np.random.default_rng(0)
    queries, height, width = 8, 1500, 2000
    region_logits = rng.normal(0, 3, (queries, 847)).astype(np.float32)
    if kind == "soft":
        prediction = predict_soft(
            rng.normal(0, 5, (queries, 120, 160)).astype(np.float32), height, width, region_logits
        )
    else:
        masks_QHW = np.zeros((queries, height, width), bool)
        for mask in masks_QHW:
            y, x = rng.integers(0, height - 100), rng.integers(0, width - 100)
            mask[y : y + rng.integers(50, 1000), x : x + rng.integers(50, 1000)] = True
        prediction = predict_binary(masks_QHW, region_logits)
    with PeakMemory() as memory:
        labels = prediction.label_map(0.7)
    assert labels.shape == (height, width)
    assert memory.megabytes < 60
