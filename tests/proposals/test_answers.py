"""Masks that answer names: which are kept, whose names they hand on, and which names found nothing."""

import numpy as np
import pytest

from pipeline.images import ImageProblem
from pipeline.masks.masks import Masks
from pipeline.proposals import ProposalsConfig
from pipeline.proposals.answers import named_proposals
from tests.proposals.inputs import encode_boxes

CONFIG = ProposalsConfig(min_area=0, max_area=1, max_iou=0.5)


def test_names_of_a_dropped_mask_go_to_the_one_that_it_was_dropped_for():
    boxes = [(0, 0, 10, 10), (0, 0, 10, 9), (20, 0, 30, 10), (20, 0, 30, 8), (0, 20, 4, 24)]
    prompts = [{"person": 0.6}, {"man": 0.9}, {"dog": 0.5}, {"dog": 0.8, "animal": 0.4}, {"ball": 0.1}]
    found = named_proposals(encode_boxes(boxes, 40, 40), prompts, ["man", "person", "dog", "ball", "cat"], {}, CONFIG)
    assert [dict(of) for of in found.proposals.prompts] == [
        {"man": 0.9, "person": 0.6},
        {"dog": 0.8, "animal": 0.4},
        {"ball": 0.1},
    ]
    np.testing.assert_array_equal(found.proposals.scores, np.array([0.9, 0.8, 0.1], np.float32))
    assert found.proposals.masks == encode_boxes([boxes[1], boxes[3], boxes[4]], 40, 40)
    assert found.proposals.asked == ("man", "person", "dog", "ball", "cat")
    assert {name: (problem.reason, problem.detail) for name, problem in found.unanswered.items()} == {
        "cat": ("not_found", "")
    }


def test_a_name_whose_masks_the_limits_drop_is_not_found_and_says_so():
    masks = encode_boxes([(0, 0, 1, 1), (0, 0, 20, 20), (20, 20, 30, 30)], 40, 40)
    config = ProposalsConfig(min_area=0.01, max_area=1, max_proposals=1)
    prompts = [{"speck": 0.9}, {"big": 0.8}, {"late": 0.7}]
    found = named_proposals(masks, prompts, ["late", "speck", "big"], {"": ImageProblem("empty_name")}, config)
    assert [dict(of) for of in found.proposals.prompts] == [{"big": 0.8}]
    assert list(found.unanswered) == ["", "late", "speck"]
    for name in ("late", "speck"):
        assert found.unanswered[name].reason == "not_found"
        assert "proposals.min_area" in found.unanswered[name].detail


@pytest.mark.parametrize("seed", range(5))
def test_every_mask_that_overlaps_a_kept_one_too_much_has_its_names_there(seed):
    rng = np.random.default_rng(seed)
    stack = np.zeros((40, 30, 30), bool)
    for mask in stack:
        x, y = rng.integers(0, 15, 2)
        mask[y : y + rng.integers(3, 15), x : x + rng.integers(3, 15)] = True
    masks = Masks.encode(stack)
    prompts = [{str(rng.integers(12)): float(rng.random())} for _ in stack]
    found = named_proposals(masks, prompts, [], {}, CONFIG)
    flat = stack.reshape(40, -1).astype(int)
    union = flat.sum(1)[:, None] + flat.sum(1) - flat @ flat.T
    iou = (flat @ flat.T) / union
    rows = [list(masks).index(code) for code in found.proposals.masks]
    assert all(name in found.proposals.prompts[place] for place, row in enumerate(rows) for name in prompts[row])
    for row, of in enumerate(prompts):
        if (iou[row, rows] > CONFIG.max_iou).any():
            place = int(iou[row, rows].argmax())
            for name, score in of.items():
                assert found.proposals.prompts[place][name] >= score
        assert any(set(of) <= set(kept) for kept in found.proposals.prompts)


def test_nothing_found_and_nothing_asked():
    found = named_proposals(encode_boxes([], 5, 5), [], [], {}, CONFIG)
    assert (len(found.proposals.masks), found.proposals.scores.shape, found.unanswered) == (0, (0,), {})
