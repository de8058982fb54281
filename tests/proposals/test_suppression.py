"""Suppression that compares few masks, against `keep`, which compares them all."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.masks.masks import Masks
from pipeline.proposals import ProposalsConfig
from pipeline.proposals.filtering import keep
from pipeline.proposals.suppression import suppress, suppress_masks

# Not empty, often alike: a few base masks with some pixels turned.
masks_of_one_frame = st.tuples(
    hnp.arrays(np.bool_, (3, 4, 5)),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=20),
)
limits = st.sampled_from([0.1, 0.5, 2 / 3, 0.7, 0.9, 1.0])


def varied(case) -> np.ndarray:
    bases, changes = case
    masks = np.array([bases[base] for base, _, _ in changes])
    for mask, (_, row, column) in zip(masks, changes, strict=True):
        mask[row, column] = True
    return masks


@settings(max_examples=200, deadline=None)
@given(masks_of_one_frame, limits, st.integers(1, 12))
def test_from_intersections_the_same_are_kept(case, max_iou, count):
    masks_KHW = varied(case)
    config = ProposalsConfig(min_area=0, max_area=1, max_iou=max_iou, max_proposals=count)
    expected = keep(Masks.encode(masks_KHW), -np.arange(len(masks_KHW)), config)
    flat = masks_KHW.reshape(len(masks_KHW), -1).astype(np.int64)
    assert suppress(flat @ flat.T, flat.sum(axis=1), max_iou, count).tolist() == expected.tolist()


@settings(max_examples=200, deadline=None)
@given(masks_of_one_frame, limits)
def test_of_masks_the_same_are_kept(case, max_iou):
    masks = Masks.encode(varied(case))
    config = ProposalsConfig(min_area=0, max_area=1, max_iou=max_iou, max_proposals=100)
    assert suppress_masks(masks, max_iou).tolist() == keep(masks, -np.arange(len(masks)), config).tolist()


def test_nothing_is_kept_of_nothing():
    assert suppress(np.zeros((0, 0), np.int64), np.zeros(0, np.int64), 0.7, 100).tolist() == []
    assert suppress_masks(Masks([], 3, 4), 0.7).tolist() == []
