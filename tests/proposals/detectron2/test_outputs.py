"""Outputs in the form that detectron2 documents, made by hand → proposals; the expectations are written out."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.errors import UserError
from pipeline.images import ImageProblem
from pipeline.masks import rle
from pipeline.proposals import ProposalsConfig
from pipeline.proposals.detectron2 import outputs
from pipeline.proposals.detectron2.outputs import to_proposals

EVERYTHING = ProposalsConfig(min_area=0, max_area=1, max_iou=1, max_proposals=1000)


def components(classes: np.ndarray) -> list[frozenset[tuple[int, int]]]:
    """Pixels of one class that touch, corners count: a flood fill from every pixel in turn."""
    height, width = classes.shape
    left = {(row, column) for row in range(height) for column in range(width)}
    found = []
    while left:
        part, front = set(), [min(left)]
        while front:
            row, column = front.pop()
            if (row, column) not in left:
                continue
            left.remove((row, column))
            part.add((row, column))
            neighbours = [(row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
            front += [place for place in neighbours if place in left and classes[place] == classes[row, column]]
        found.append(frozenset(part))
    return found


def pixels(proposals) -> list[frozenset[tuple[int, int]]]:
    decoded = proposals.masks.decode()
    return [frozenset(zip(*(axis.tolist() for axis in mask.nonzero()), strict=True)) for mask in decoded]


@settings(max_examples=50, deadline=None)
@given(
    hnp.arrays(np.int64, st.tuples(st.integers(1, 7), st.integers(1, 9)), elements=st.integers(0, 3)),
    st.integers(0, 2**32 - 1),
    st.sampled_from([(0, 1), (0.05, 0.5)]),
    st.sampled_from([3, 1000]),
)
def test_semantic_outputs_fall_into_their_components(classes, seed, limits, most):
    height, width = classes.shape
    logits = np.random.default_rng(seed).normal(0, 1, (4, height, width)).astype(np.float32)
    np.put_along_axis(logits, classes[None], 4 + np.random.default_rng(seed).random((1, height, width)), axis=0)
    config = ProposalsConfig(min_area=limits[0], max_area=limits[1], max_iou=1, max_proposals=most)
    found = to_proposals({"sem_seg": torch.from_numpy(logits)}, height, width, config)

    exponentials = np.exp(logits.astype(np.float64))
    probability = exponentials.max(axis=0) / exponentials.sum(axis=0)
    scores = {part: float(np.mean([probability[place] for place in part])) for part in components(classes)}
    fitting = [part for part in scores if limits[0] <= len(part) / classes.size <= limits[1]]
    best = sorted(fitting, key=lambda part: -scores[part])[:most]
    assert set(pixels(found)) == set(best)
    np.testing.assert_allclose(found.scores, [scores[part] for part in pixels(found)], rtol=1e-5)
    assert (np.diff(found.scores) <= 0).all()


def test_large_semantic_outputs_are_read_in_bands(monkeypatch):
    logits = torch.from_numpy(np.random.default_rng(0).normal(0, 3, (5, 12, 20)).astype(np.float32))
    whole = to_proposals({"sem_seg": logits}, 12, 20, EVERYTHING)
    monkeypatch.setattr(outputs, "_PIXELS_AT_ONCE", 5 * 20 * 7)
    bands = to_proposals({"sem_seg": logits}, 12, 20, EVERYTHING)
    assert bands.masks == whole.masks
    assert bands.scores.tobytes() == whole.scores.tobytes()


PANOPTIC = torch.zeros(6, 8, dtype=torch.int32)
PANOPTIC[:2] = 1
PANOPTIC[4:, :5] = 2
PANOPTIC[5, 7] = 3


def test_panoptic_segments_with_and_without_scores():
    segments = [
        {"id": 1, "isthing": True, "score": 0.4, "category_id": 0},
        {"id": 2, "isthing": False, "category_id": 1},
        {"id": 4, "isthing": False, "category_id": 1},  # covers nothing
    ]
    found = to_proposals({"panoptic_seg": (PANOPTIC, segments)}, 6, 8, EVERYTHING)
    assert list(found.masks) == rle.encode(np.stack([PANOPTIC == 2, PANOPTIC == 1]))
    np.testing.assert_allclose(found.scores, [1, 0.4])


def test_panoptic_segments_are_scored_by_the_semantic_probabilities():
    logits = torch.zeros(2, 6, 8)
    logits[0, :2] = np.log(3)  # softmax of log 3 and 0: 3/4
    segments = [{"id": 1, "category_id": 0}, {"id": 2, "category_id": 1}]
    found = to_proposals({"panoptic_seg": (PANOPTIC, segments), "sem_seg": logits}, 6, 8, EVERYTHING)
    assert list(found.masks) == rle.encode(np.stack([PANOPTIC == 1, PANOPTIC == 2]))
    np.testing.assert_allclose(found.scores, [0.75, 0.5])


def test_panoptic_ids_without_a_list_of_segments():
    """As Panoptic-DeepLab returns them: 0 is a segment, −1 is not."""
    ids = PANOPTIC - 1
    found = to_proposals({"panoptic_seg": (ids, None)}, 6, 8, EVERYTHING)
    assert list(found.masks) == rle.encode(np.stack([ids == 0, ids == 1, ids == 2]))


def test_scores_that_are_not_numbers():
    logits = torch.zeros(2, 6, 8)
    logits[0, :3] = logits[1, 3:] = 1
    logits[:, 4, 4] = torch.nan
    found = to_proposals({"sem_seg": logits}, 6, 8, EVERYTHING)
    expected = np.zeros((2, 6, 8), bool)
    expected[0, :3] = expected[1, 3:] = True
    expected[1, 4, 4] = False
    assert sorted(found.masks) == sorted(rle.encode(expected))
    logits[:] = torch.nan
    with pytest.raises(ImageProblem) as caught:
        to_proposals({"sem_seg": logits}, 6, 8, ProposalsConfig())
    assert caught.value.reason == "not_a_number"


def test_no_segments_give_no_proposals():
    found = to_proposals({"panoptic_seg": (PANOPTIC, [])}, 6, 8, EVERYTHING)
    assert (len(found.masks), found.scores.shape, found.scores.dtype) == (0, (0,), np.float32)


def test_outputs_without_masks_are_refused():
    with pytest.raises(UserError, match=r"^proposals\.options\.config: the model gives proposals without masks"):
        to_proposals({"proposals": object()}, 6, 8, EVERYTHING)
