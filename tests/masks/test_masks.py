"""Run-length masks against numpy and pycocotools."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from pipeline.masks import rle
from pipeline.masks.runs import run_lengths

SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))


@st.composite
def mask_stacks(draw: st.DrawFn) -> np.ndarray:
    """Masks [K, H, W] of noise, blocks, nothing and everything; the frame is seldom square."""
    height, width = draw(SIZES)
    count = draw(st.integers(0, 4))
    return draw(
        st.one_of(
            hnp.arrays(np.bool_, (count, height, width)),
            hnp.arrays(np.bool_, (count, height, width), fill=st.booleans()),
            st.just(np.zeros((count, height, width), bool)),
            st.just(np.ones((count, height, width), bool)),
        )
    )


def runs_by_hand(mask: np.ndarray) -> list[int]:
    """Runs of zeros, ones, zeros, … down the columns, counted pixel by pixel."""
    runs, value = [0], 0
    for pixel in mask.T.ravel():
        if pixel == value:
            runs[-1] += 1
        else:
            runs.append(1)
            value = pixel
    return runs


@given(mask_stacks())
def test_decode_returns_what_encode_took(stack):
    decoded = rle.decode(rle.encode(stack), *stack.shape[1:])
    assert decoded.dtype == np.uint8
    assert decoded.flags.c_contiguous
    np.testing.assert_array_equal(decoded, stack)


@given(mask_stacks())
def test_runs_areas_and_boxes_equal_those_counted_by_hand(stack):
    frame = stack.shape[1:]
    rles = rle.encode(stack)
    for encoded, mask in zip(rles, stack, strict=True):
        assert run_lengths(encoded).tolist() == runs_by_hand(mask)
    areas = rle.areas(rles, *frame)
    assert areas.dtype == np.int64
    assert areas.tolist() == [int(mask.sum()) for mask in stack]
    boxes = rle.boxes(rles, *frame)
    assert boxes.dtype == np.int64
    assert boxes.shape == (len(stack), 4)
    for box, mask in zip(boxes.tolist(), stack, strict=True):
        rows, columns = np.nonzero(mask)
        expected = [0, 0, 0, 0]
        if len(rows):
            expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert box == expected


@given(mask_stacks(), st.data())
def test_iou_equals_brute_force(stack, data):
    frame = stack.shape[1:]
    others = data.draw(hnp.arrays(np.bool_, (data.draw(st.integers(0, 3)), *frame)))
    expected = np.zeros((len(stack), len(others)))
    for row, a in enumerate(stack):
        for column, b in enumerate(others):
            union = (a | b).sum()
            expected[row, column] = (a & b).sum() / union if union else 0
    measured = rle.iou(rle.encode(stack), rle.encode(others), *frame)
    assert measured.dtype == np.float32
    np.testing.assert_allclose(measured, expected, rtol=1e-6)


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=30))
def test_long_runs_are_read_as_pycocotools_writes_them(runs):
    code = coco_mask.frPyObjects({"size": [sum(runs), 1], "counts": runs}, sum(runs), 1)["counts"]
    assert run_lengths(code).tolist() == runs


def test_more_masks_than_fit_a_byte():
    # pycocotools' own area() fails from 256 masks on with NumPy 2.
    stack = np.zeros((300, 4, 6), bool)
    for index, mask in enumerate(stack):
        mask.flat[: index % 24] = True
    rles = rle.encode(stack)
    assert rle.areas(rles, 4, 6).tolist() == [index % 24 for index in range(300)]
    assert rle.boxes(rles, 4, 6).shape == (300, 4)
    assert rle.iou(rles, rles, 4, 6).shape == (300, 300)
    np.testing.assert_array_equal(rle.decode(rles, 4, 6), stack)


def test_uint8_masks_count_every_value_but_0():
    stack = np.array([[[0, 1, 255]]], np.uint8)
    assert rle.decode(rle.encode(stack), 1, 3).tolist() == [[[0, 1, 1]]]


@pytest.mark.parametrize("function", [rle.decode, rle.areas, rle.boxes])
@pytest.mark.parametrize(("height", "width"), [(4, 5), (5, 5), (6, 5), (1000, 1000)])
def test_a_code_of_another_frame_is_an_error_that_names_both(function, height, width):
    rles = rle.encode(np.eye(4, 6, dtype=bool)[None])
    with pytest.raises(ValueError, match=rf"24 pixels .* height {height} × width {width}"):
        function(rles, height, width)


def test_iou_checks_both_sides():
    good, bad = (rle.encode(np.ones((1, 4, width), bool)) for width in (6, 5))
    with pytest.raises(ValueError, match="20 pixels"):
        rle.iou(good, bad, 4, 6)
    with pytest.raises(ValueError, match="20 pixels"):
        rle.iou(bad, good, 4, 6)


@given(st.binary(max_size=40))
def test_any_bytes_give_masks_or_a_value_error(code):
    try:
        runs = run_lengths(code)
    except ValueError:
        return
    assert (runs >= 0).all()


@pytest.mark.parametrize("stack", [np.ones((3, 4), bool), np.ones((1, 3, 4), np.float32), np.ones((1, 3, 4), np.int64)])
def test_arrays_that_are_no_masks_are_refused(stack):
    with pytest.raises(ValueError, match="bool or uint8"):
        rle.encode(stack)
