"""Pairs of masks that overlap more than a limit, against the pixels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.masks import overlaps
from pipeline.masks.masks import Masks
from pipeline.masks.overlaps import Overlaps, iou_of_counts


def iou(a: np.ndarray, b: np.ndarray) -> np.float32:
    union = int((a | b).sum())
    return np.float32(int((a & b).sum()) / union) if union else np.float32(0)


def above(stack: np.ndarray, max_iou: float) -> np.ndarray:
    return np.array([[iou(a, b) > np.float32(max_iou) for b in stack] for a in stack], bool)


@settings(deadline=None)
@given(
    hnp.arrays(bool, st.tuples(st.integers(1, 5), st.integers(1, 8), st.integers(1, 9)), fill=st.booleans()),
    st.sampled_from([0.2, 0.5, 0.7, 1.0]),
    st.data(),
)
def test_what_is_asked_is_what_pixels_say(stack, max_iou, data):
    indices = st.lists(st.integers(0, len(stack) - 1), min_size=1, max_size=6)
    rows, columns = (np.array(data.draw(indices)) for _ in range(2))
    asked = data.draw(hnp.arrays(bool, (len(rows), len(columns))))
    found = Overlaps(Masks.encode(stack), max_iou).above(rows, columns, asked)
    assert (found == (above(stack, max_iou)[np.ix_(rows, columns)] & asked)).all()


@pytest.mark.parametrize("bits", [True, False])
def test_noise_is_compared_by_bits_where_memory_allows_it(monkeypatch, bits):
    rng = np.random.default_rng(0)
    base = rng.random((70, 90)) < 0.5
    stack = np.stack([base ^ (rng.random(base.shape) < share) for share in np.linspace(0, 0.4, 20)])
    stack = np.concatenate([stack, np.stack([np.eye(70, 90, dtype=bool), np.zeros((70, 90), bool)])])
    if not bits:
        monkeypatch.setattr(overlaps, "_MOST_BYTES_OF_BITS", 0)
    pairs = Overlaps(Masks.encode(stack), 0.7)
    everything = np.arange(len(stack))
    for rows in (everything[:12], everything[5:], everything):  # masks stay known from call to call
        found = pairs.above(rows, everything, np.ones((len(rows), len(stack)), bool))
        assert (found == above(stack, 0.7)[rows]).all()
    assert bool(pairs._bits) == bits


def test_counts_are_divided_as_pycocotools_does():
    rng = np.random.default_rng(1)
    stack = rng.random((30, 40, 50)) < rng.random((30, 1, 1))
    masks, flat = Masks.encode(stack), stack.reshape(30, -1).astype(np.float32)
    assert (iou_of_counts(flat @ flat.T, masks.areas, masks.areas) == masks.iou(masks)).all()
    assert iou_of_counts(np.zeros((1, 1)), np.zeros(1), np.zeros(1)) == 0
