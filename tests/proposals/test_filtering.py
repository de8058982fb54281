"""Filtering against greedy suppression written out."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.masks.masks import Masks
from pipeline.masks.overlaps import iou_of_counts
from pipeline.proposals import ProposalsConfig
from pipeline.proposals.filtering import keep, suppress
from tests.proposals.inputs import encode_boxes


@st.composite
def box_lists(draw: st.DrawFn) -> list[tuple[int, int, int, int]]:
    """Boxes in a frame 12 × 16, many of them overlapping or empty."""
    starts = st.tuples(st.integers(0, 15), st.integers(0, 11))
    sizes = st.tuples(st.integers(0, 16), st.integers(0, 12))
    pairs = draw(st.lists(st.tuples(starts, sizes), max_size=80))
    return [(x, y, min(x + w, 16), min(y + h, 12)) for (x, y), (w, h) in pairs]


@settings(deadline=None)
@given(box_lists(), st.data())
def test_keep_equals_greedy_suppression_written_out(boxes, data):
    scores = np.array(data.draw(st.lists(st.integers(0, 5), min_size=len(boxes), max_size=len(boxes))), np.float32)
    config = ProposalsConfig(
        min_area=data.draw(st.sampled_from([0.0, 0.05])),
        max_area=data.draw(st.sampled_from([0.5, 1.0])),
        max_iou=data.draw(st.sampled_from([0.3, 0.7, 1.0])),
        max_proposals=data.draw(st.sampled_from([1, 5, 100])),
    )
    pixels = [{(x, y) for x in range(x0, x1) for y in range(y0, y1)} for x0, y0, x1, y1 in boxes]
    expected: list[int] = []
    for place in sorted(range(len(boxes)), key=lambda place: (-scores[place], place)):
        area = len(pixels[place])
        fits = area > 0 and config.min_area * 192 <= area <= config.max_area * 192
        if fits and all(
            np.float32(len(pixels[place] & pixels[other]) / len(pixels[place] | pixels[other])) <= config.max_iou
            for other in expected
        ):
            expected.append(place)
    kept = keep(encode_boxes(boxes, 12, 16), scores, config)
    assert kept.tolist() == expected[: config.max_proposals]


@settings(deadline=None)
@given(box_lists(), st.sampled_from([0.1, 0.5, 2 / 3, 0.7, 1.0]), st.integers(1, 12), st.sampled_from([1, 7, 80]))
def test_from_counted_intersections_the_same_are_kept_in_blocks_of_any_size(boxes, max_iou, most, rows_per_block):
    pixels = np.zeros((len(boxes), 12, 16), np.int64)
    for mask, (x0, y0, x1, y1) in zip(pixels, boxes, strict=True):
        mask[y0:y1, x0:x1] = 1
    pixels = pixels[pixels.any((1, 2))].reshape(-1, 192)
    above = iou_of_counts(pixels @ pixels.T, pixels.sum(1), pixels.sum(1)) > max_iou
    found = suppress(
        np.arange(len(pixels)), lambda rows, columns, asked: asked & above[np.ix_(rows, columns)], most, rows_per_block
    )
    config = ProposalsConfig(min_area=0, max_area=1, max_iou=max_iou, max_proposals=most)
    masks = Masks.encode(pixels.reshape(-1, 12, 16).astype(bool))
    assert found.tolist() == keep(masks, -np.arange(len(pixels)), config).tolist()


def test_scores_that_are_not_numbers_come_last():
    masks = encode_boxes([(0, 0, 2, 2), (4, 4, 6, 6), (8, 8, 10, 10)], 12, 16)
    kept = keep(masks, np.array([np.nan, -1.0, 2.0]), ProposalsConfig())
    assert kept.tolist() == [2, 1, 0]
