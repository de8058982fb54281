"""Codes of all masks together against those that pycocotools writes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from pipeline.masks import rle
from pipeline.masks.rle_writing import encode_runs
from pipeline.masks.runs import Runs, decode_runs


def cocos(lengths: list[int], height: int, width: int) -> bytes:
    """The code of runs of zeros, ones, zeros, … that pycocotools writes."""
    return coco_mask.frPyObjects({"size": [height, width], "counts": lengths}, height, width)["counts"]


def runs_of_lengths(masks: list[list[int]], height: int, width: int) -> Runs:
    borders = [np.cumsum(lengths).tolist() for lengths in masks]
    begins = [border for ends in borders for border in ends[: len(ends) - len(ends) % 2 : 2]]
    ends = [border for ends in borders for border in ends[1::2]]
    first = np.append(0, np.cumsum([len(lengths) // 2 for lengths in masks]))
    return Runs(np.array(begins, np.int64), np.array(ends, np.int64), first, height, width)


@given(hnp.arrays(bool, st.tuples(st.integers(0, 5), st.integers(1, 9), st.integers(1, 9)), fill=st.booleans()))
@settings(deadline=None)
def test_codes_of_pixels(masks_QHW):
    codes = rle.encode(masks_QHW)
    assert encode_runs(decode_runs(codes, *masks_QHW.shape[1:])) == codes


@st.composite
def frames(draw: st.DrawFn) -> tuple[list[list[int]], int, int]:
    """The lengths of runs of masks in a frame of up to 24 megapixels: zeros, ones, …; only the first may be 0."""
    height, width = draw(st.integers(1, 4000)), draw(st.integers(1, 6000))
    near = st.integers(1, 40)
    edge = st.one_of(
        near, st.sampled_from([15, 16, 17, 31, 32, 511, 512, 16383, 16384]), st.integers(1, height * width)
    )
    masks = []
    for steps in draw(st.lists(st.lists(edge, max_size=30), min_size=1, max_size=4)):
        borders = np.unique(np.minimum(np.cumsum([draw(st.sampled_from([0, 1, 7])), *steps]), height * width))
        masks.append(np.diff(borders, prepend=0, append=height * width).tolist())
        if masks[-1][-1] == 0:
            masks[-1].pop()
    return masks, height, width


@given(frames())
@settings(deadline=None)
def test_codes_of_runs_of_any_length(frame):
    masks, height, width = frame
    expected = [cocos(lengths, height, width) for lengths in masks]
    assert encode_runs(runs_of_lengths(masks, height, width)) == expected
    for code, lengths in zip(expected, masks, strict=True):
        assert rle.areas([code], height, width).tolist() == [sum(lengths[1::2])]


@pytest.mark.parametrize(
    ("lengths", "height", "width"),
    [
        ([24_000_000], 4000, 6000),  # nothing
        ([0, 24_000_000], 4000, 6000),  # everything
        ([0, 1, 23_999_999], 4000, 6000),
        ([23_999_999, 1], 4000, 6000),
        ([0, 1], 1, 1),
        ([1], 1, 1),
    ],
)
def test_ends_of_the_frame(lengths, height, width):
    many = [lengths, [height * width], lengths]
    codes = [cocos(some, height, width) for some in many]
    assert encode_runs(runs_of_lengths(many, height, width)) == codes


def test_no_masks():
    assert encode_runs(decode_runs([], 4, 6)) == []
