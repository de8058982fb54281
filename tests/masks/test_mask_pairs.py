"""The overlap of many pairs of masks, each in a frame of its own, against pixels and pycocotools."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pipeline.masks import rle
from pipeline.masks.mask_pairs import FramedMasks, iou_of_pairs

masks = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(lambda size: arrays.arrays(bool, size))


def framed(pixels: list[np.ndarray]) -> FramedMasks:
    heights, widths = (np.array([mask.shape[axis] for mask in pixels], np.int64) for axis in (0, 1))
    return FramedMasks([rle.encode(mask[None])[0] for mask in pixels], heights, widths)


def nearest(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    rows, columns = (
        np.floor((np.arange(new) + 0.5) * old / new).astype(int)
        for old, new in zip(mask.shape, (height, width), strict=True)
    )
    return mask[rows][:, columns]


def expected(one: np.ndarray, other: np.ndarray) -> float:
    size = other.shape if other.size > one.size else one.shape
    one, other = nearest(one, *size), nearest(other, *size)
    union = (one | other).sum()
    return (one & other).sum() / union if union else 0.0


@given(st.lists(st.tuples(masks, masks), max_size=6))
def test_pairs_of_any_frames_overlap_as_their_pixels_do(pairs):
    found = iou_of_pairs(framed([one for one, _ in pairs]), framed([other for _, other in pairs]))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [expected(*pair) for pair in pairs], rtol=1e-6)


def test_pairs_of_equal_frames_overlap_as_pycocotools_says():
    generator = np.random.default_rng(0)
    stacks = generator.random((2, 40, 30, 20)) < generator.random((2, 40, 1, 1))
    one, other = (framed(list(stack)) for stack in stacks)
    [*expected_ious] = rle.iou(one.rles, other.rles, 30, 20).diagonal()
    assert iou_of_pairs(one, other).tolist() == expected_ious


def test_a_code_of_another_frame_is_refused():
    good, smaller = framed([np.ones((2, 3), bool)]), framed([np.ones((2, 2), bool)])
    wrong = FramedMasks(smaller.rles, good.heights, good.widths)
    with pytest.raises(ValueError, match="does not fill a frame of height 2 × width 3"):
        iou_of_pairs(good, wrong)
