"""The runs of all masks of an image, against masks in full and pycocotools."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from pipeline.masks import rle
from pipeline.masks.mask_window import mask_window
from pipeline.masks.runs import decode_runs, run_lengths
from tests.masks.test_masks import mask_stacks


@given(mask_stacks())
def test_pixels_between_begins_and_ends_are_those_of_the_masks(stack):
    height, width = stack.shape[1:]
    runs = decode_runs(rle.encode(stack), height, width)
    assert len(runs) == len(stack)
    assert (runs.ends > runs.begins).all()
    for index, mask in enumerate(stack):
        positions = np.zeros(height * width, bool)
        for run in range(runs.first[index], runs.first[index + 1]):
            positions[runs.begins[run] : runs.ends[run]] = True
        np.testing.assert_array_equal(positions.reshape(width, height).T, mask)
    assert runs.areas().tolist() == stack.sum((1, 2)).tolist()


@given(mask_stacks().filter(len), st.data())
def test_a_window_is_that_part_of_the_mask(stack, data):
    height, width = stack.shape[1:]
    x0, y0 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    x1, y1 = data.draw(st.integers(x0 + 1, width)), data.draw(st.integers(y0 + 1, height))
    index = data.draw(st.integers(0, len(stack) - 1))
    part = mask_window(decode_runs(rle.encode(stack), height, width), index, (x0, y0, x1, y1))
    assert part.dtype == np.uint8
    assert part.flags.c_contiguous
    np.testing.assert_array_equal(part, stack[index, y0:y1, x0:x1])


@given(st.lists(st.lists(st.integers(0, 10**7), min_size=1, max_size=30), min_size=1, max_size=5))
def test_codes_of_any_runs_are_read_together_as_one_by_one(all_runs):
    # Runs of no length and codes of an odd and an even number of runs beside each other; frames filled up with zeros.
    pixels = max(sum(runs) for runs in all_runs) + 1
    filled = [[*runs, 0] if len(runs) % 2 else runs for runs in all_runs]
    filled = [[*runs, pixels - sum(runs)] for runs in filled]
    codes = [coco_mask.frPyObjects({"size": [pixels, 1], "counts": runs}, pixels, 1)["counts"] for runs in filled]
    together = decode_runs(codes, pixels, 1)
    for index, (code, runs) in enumerate(zip(codes, filled, strict=True)):
        assert run_lengths(code).tolist() == runs
        ends = np.cumsum(runs)
        expected = [(end - run, end) for end, run in zip(ends[1::2], runs[1::2], strict=False) if run]
        own = slice(together.first[index], together.first[index + 1])
        assert list(zip(together.begins[own], together.ends[own], strict=True)) == expected


@pytest.mark.parametrize("wrong", [b"", b"/1", b"p1", b"P", b"1P", b"o" * 13 + b"0"], ids=repr)
def test_bytes_that_are_no_code_are_refused_among_good_ones(wrong):
    good = rle.encode(np.ones((1, 2, 3), bool))[0]
    with pytest.raises(ValueError, match="not a COCO run-length code"):
        decode_runs([good, wrong, good], 2, 3)


def test_a_code_of_another_frame_is_refused_among_good_ones():
    good, other = rle.encode(np.ones((1, 2, 3), bool))[0], rle.encode(np.ones((1, 2, 4), bool))[0]
    with pytest.raises(ValueError, match="code of 8 pixels does not fill a frame of height 2 × width 3 = 6"):
        decode_runs([good, other], 2, 3)
