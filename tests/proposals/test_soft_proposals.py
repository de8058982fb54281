"""Soft masks → proposals, against the definitions written out."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.images import ImageProblem
from pipeline.masks import rle
from pipeline.masks.soft import encode, encode_runs
from pipeline.proposals import ProposalsConfig
from pipeline.proposals.soft_proposals import mask_confidence, soft_proposals

HEIGHT, WIDTH = 40, 60
EVERYTHING = ProposalsConfig(min_area=0, max_area=1, max_iou=1)


def boxes(*places: tuple[int, int, int, int], confidence: float = 4.0) -> torch.Tensor:
    """Logits float [K,10,15] of boxes x0, y0, x1, y1."""
    logits = torch.full((len(places), 10, 15), -confidence)
    for mask, (x0, y0, x1, y1) in zip(logits, places, strict=True):
        mask[y0:y1, x0:x1] = confidence
    return logits


@given(hnp.arrays(bool, st.tuples(st.integers(0, 4), st.integers(1, 7), st.integers(1, 7))))
@settings(deadline=None)
def test_runs_found_by_torch_are_cocos(masks_QHW):
    found = encode_runs(torch.from_numpy(masks_QHW))
    assert found == rle.encode(masks_QHW)
    assert encode(torch.from_numpy(masks_QHW)) == found


def test_what_is_kept_is_upsampled_with_smooth_edges():
    logits = torch.from_numpy(np.random.default_rng(0).normal(0, 3, (5, 10, 15)).astype(np.float32))
    scores = torch.tensor([0.1, 0.5, 0.3, 0.9, 0.2])
    found = soft_proposals(logits, scores, HEIGHT, WIDTH, EVERYTHING)
    upsampled = F.interpolate(logits[None], (HEIGHT, WIDTH), mode="bilinear")[0]
    assert found.scores.tolist() == pytest.approx([0.9, 0.5, 0.3, 0.2, 0.1])
    expected = (upsampled[[3, 1, 2, 4, 0]] > 0).numpy()
    differing = found.masks.decode().astype(bool) != expected
    assert differing.mean() < 1e-3  # where rounding decides


def test_limits_overlaps_and_number():
    logits = boxes((0, 0, 6, 6), (0, 0, 6, 5), (8, 0, 14, 6), (0, 8, 1, 9), (0, 0, 15, 10), (2, 7, 8, 10))
    scores = torch.tensor([0.9, 0.8, 0.7, 0.99, 0.95, 0.1])
    config = ProposalsConfig(min_area=0.02, max_area=0.9, max_iou=0.7, max_proposals=2)
    found = soft_proposals(logits, scores, HEIGHT, WIDTH, config)
    assert found.scores.tolist() == pytest.approx([0.9, 0.7])
    assert found.masks.boxes().tolist() == [[0, 0, 24, 24], [32, 0, 56, 24]]


def test_the_threshold_is_a_probability():
    logits = torch.full((1, 10, 15), 0.5)  # probability 0.62
    for threshold, expected in ((0.5, 1), (0.6, 1), (0.65, 0)):
        config = ProposalsConfig(mask_threshold=threshold, max_area=1)
        assert len(soft_proposals(logits, torch.ones(1), HEIGHT, WIDTH, config).masks) == expected


def test_masks_and_scores_that_are_not_numbers_are_dropped():
    logits = boxes((0, 0, 6, 6), (8, 0, 14, 6), (2, 7, 8, 10))
    logits[2, 0, 0] = torch.nan
    found = soft_proposals(logits, torch.tensor([torch.nan, 0.5, 0.7]), HEIGHT, WIDTH, EVERYTHING)
    assert found.scores.tolist() == [0.5]
    with pytest.raises(ImageProblem, match="not_a_number"):
        soft_proposals(logits, torch.full((3,), torch.nan), HEIGHT, WIDTH, EVERYTHING)


@pytest.mark.parametrize("logits", [torch.zeros(0, 10, 15), boxes((0, 0, 0, 0)), boxes((0, 0, 15, 10))])
def test_nothing_is_left(logits):
    found = soft_proposals(logits, torch.ones(len(logits)), HEIGHT, WIDTH, ProposalsConfig())
    assert not found.masks
    assert found.scores.shape == (0,)


@pytest.mark.parametrize(("height", "width"), [(1, 5000), (5000, 1), (1, 1)])
def test_images_of_any_shape(height, width):
    found = soft_proposals(boxes((0, 0, 7, 10)), torch.ones(1), height, width, EVERYTHING)
    assert found.masks.size == (height, width)
    assert all(found.masks.areas > 0)


def test_confidence_is_the_mean_probability_inside():
    logits = torch.tensor([[[2.0, 1.0], [-1.0, -3.0]], [[-1.0, -1.0], [-1.0, -1.0]]])
    expected = (1 / (1 + np.exp(-2)) + 1 / (1 + np.exp(-1))) / 2
    assert mask_confidence(logits, 0.5).tolist() == pytest.approx([expected, 0])
    assert mask_confidence(logits, 0.8)[0].item() == pytest.approx(1 / (1 + np.exp(-2)))
