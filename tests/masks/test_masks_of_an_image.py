"""Masks of one frame, against the arrays that they were made from."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.masks import rle
from pipeline.masks.masks import Masks

stacks = hnp.arrays(bool, st.tuples(st.integers(0, 4), st.integers(1, 6), st.integers(1, 6)))


@settings(deadline=None)
@given(stacks)
def test_what_they_say_is_what_the_pixels_say(stack):
    masks = Masks.encode(stack)
    assert (len(masks), masks.size) == (len(stack), stack.shape[1:])
    assert (masks.decode() == stack).all()
    assert masks.areas.tolist() == stack.sum(axis=(1, 2)).tolist()
    for mask, (x0, y0, x1, y1) in zip(stack, masks.boxes().tolist(), strict=True):
        ys, xs = np.nonzero(mask)
        assert [x0, y0, x1, y1] == ([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1] if mask.any() else [0, 0, 0, 0])


@settings(deadline=None)
@given(stacks, st.data())
def test_some_of_them_in_any_order(stack, data):
    indices = data.draw(st.lists(st.integers(0, max(len(stack) - 1, 0)), max_size=6 if len(stack) else 0))
    chosen = Masks.encode(stack).select(np.array(indices, np.int64))
    assert chosen == Masks.encode(stack[np.array(indices, np.int64)])
    assert chosen.areas.tolist() == stack[np.array(indices, np.int64)].sum(axis=(1, 2)).tolist()
    assert chosen[1:] == Masks.encode(stack[np.array(indices[1:], np.int64)])
    assert list(chosen) == [rle.encode(stack[[index]])[0] for index in indices]


def test_overlaps_are_those_of_the_pixels():
    rng = np.random.default_rng(0)
    a, b = rng.random((3, 5, 7)) < 0.4, rng.random((2, 5, 7)) < 0.4
    expected = [[(one & other).sum() / (one | other).sum() for other in b] for one in a]
    np.testing.assert_allclose(Masks.encode(a).iou(Masks.encode(b)), expected, rtol=1e-6)
    assert Masks.encode(a).iou(Masks([], 5, 7)).shape == (3, 0)


def test_a_code_that_does_not_fill_the_frame_is_refused():
    [good, bad] = (rle.encode(np.ones((1, 4, width), bool))[0] for width in (6, 5))
    with pytest.raises(ValueError, match=r"20 pixels .* height 4 × width 6"):
        Masks([good, bad], 4, 6)
    with pytest.raises(ValueError, match="not a COCO run-length code"):
        Masks([b"\x00"], 4, 6)


def test_masks_of_different_frames_are_not_compared():
    with pytest.raises(ValueError, match=r"\(4, 6\) and \(6, 4\)"):
        Masks.encode(np.ones((1, 4, 6), bool)).iou(Masks.encode(np.ones((1, 6, 4), bool)))


def test_they_travel_between_processes_as_they_are():
    masks = Masks.encode(np.eye(3, dtype=bool)[None])
    copy = pickle.loads(pickle.dumps(masks))
    assert copy == masks
    assert copy.areas.tolist() == [3]
    assert masks != Masks(masks.rles, 1, 9)


@pytest.mark.parametrize("stack", [np.ones((3, 4), bool), np.ones((1, 3, 4), np.float32)])
def test_arrays_that_are_no_masks_are_refused(stack):
    with pytest.raises(ValueError, match="bool or uint8"):
        Masks.encode(stack)


@settings(deadline=None)
@given(stacks, st.data())
def test_masks_made_of_runs_are_those_of_the_codes(stack, data):
    masks = Masks.encode(stack)
    cut = data.draw(st.integers(0, len(stack)))
    parts = [masks.runs().select(0, cut), masks.runs().select(cut, len(stack))]
    made = Masks.of_runs(parts, *masks.size)
    assert made == masks
    indices = data.draw(st.lists(st.integers(0, max(len(stack) - 1, 0)), max_size=6 if len(stack) else 0))
    for chosen in (made, made.select(indices), made[1:], pickle.loads(pickle.dumps(made))):
        again = Masks(chosen.rles, *masks.size)
        assert chosen.areas.tolist() == again.areas.tolist()
        assert chosen.boxes().tolist() == again.boxes().tolist()
        assert chosen.runs().first.tolist() == again.runs().first.tolist()
    assert len(pickle.dumps(made)) == len(pickle.dumps(masks))
