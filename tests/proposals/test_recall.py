"""Recall on examples worked by hand."""

import numpy as np
import pytest

from pipeline.proposals.recall import best_overlaps, recall, recall_by_area
from tests.proposals.inputs import encode_boxes


def test_recall_of_a_worked_example():
    # One row of 10 pixels. Object 0 is pixels 0–3: proposal 0 (0–2) covers 3 of 4 = 0.75.
    # Object 1 is pixels 6–9: proposal 1 (4–7) shares 2 of 6 = 1/3. Object 2 is pixel 5: 1/4.
    objects = encode_boxes([(0, 0, 4, 1), (6, 0, 10, 1), (5, 0, 6, 1)], 1, 10)
    proposals = encode_boxes([(0, 0, 3, 1), (4, 0, 8, 1)], 1, 10)
    best = best_overlaps(objects, proposals)
    np.testing.assert_allclose(best, [3 / 4, 1 / 3, 1 / 4], rtol=1e-6)
    measured = recall(best)
    assert measured.objects == 3
    assert measured.mean_best_iou == pytest.approx(4 / 9)
    assert (measured.at_50, measured.at_75) == (pytest.approx(1 / 3), pytest.approx(1 / 3))


def test_recall_by_area_divides_at_32_and_96_squared():
    areas = np.array([1, 1023, 1024, 9215, 9216, 10**6])
    best = np.array([0.0, 0.6, 0.5, 0.9, 0.75, 0.2], np.float32)
    measured = recall_by_area(best, areas)
    assert {name: row.objects for name, row in measured.items()} == {
        "all": 6,
        "small": 2,
        "medium": 2,
        "large": 2,
    }
    assert [measured[name].at_50 for name in ("small", "medium", "large")] == [0.5, 1.0, 0.5]
    assert [measured[name].at_75 for name in ("small", "medium", "large")] == [0.0, 0.5, 0.5]


def test_recall_without_proposals_or_objects():
    objects = encode_boxes([(0, 0, 4, 1)], 1, 10)
    nothing = objects.select([])
    assert best_overlaps(objects, nothing).tolist() == [0]
    assert best_overlaps(nothing, objects).tolist() == []
    assert np.isnan(recall(np.zeros(0)).mean_best_iou)
