"""Fusing the two branches, against the formulas written out."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.segmentation import fuse


def softmax(logits):
    powers = np.exp(np.asarray(logits, np.float64))
    return powers / powers.sum()


def sigmoid(logits):
    return 1 / (1 + np.exp(-np.asarray(logits, np.float64)))


def written_out(proposal_logits, mask_logits, region_logits, valid, weight):
    """OVSeg Sec. 3.1, mask by mask."""
    regions = iter(region_logits)
    total = 0
    for query, is_valid in enumerate(valid):
        p = softmax(proposal_logits[query])[:-1]
        q = softmax(next(regions)) if is_valid else np.ones(len(p))
        total = total + (p ** (1 - weight) * q**weight)[:, None, None] * sigmoid(mask_logits[query])
    return total


def random_logits(seed, queries=6, classes=4, height=5, width=7):
    rng = np.random.default_rng(seed)
    valid = rng.random(queries) < 0.7
    return (
        rng.normal(0, 3, (queries, classes + 1)).astype(np.float32),
        rng.normal(0, 3, (queries, height, width)).astype(np.float32),
        rng.normal(0, 3, (int(valid.sum()), classes)).astype(np.float32),
        valid,
    )


@given(seed=st.integers(0, 10**6), weight=st.floats(0, 0.99))
@settings(max_examples=50, deadline=None)
def test_the_map_is_the_formula(seed, weight):
    logits = random_logits(seed)
    np.testing.assert_allclose(fuse(*logits, weight), written_out(*logits, weight), rtol=1e-4, atol=1e-5)


def test_weight_0_is_the_proposals_alone():
    proposal_logits, mask_logits, region_logits, valid = random_logits(1)
    p = torch.softmax(torch.tensor(proposal_logits), dim=1)[:, :-1]
    expected = torch.einsum("qc,qhw->chw", p, torch.sigmoid(torch.tensor(mask_logits)))
    torch.testing.assert_close(fuse(proposal_logits, mask_logits, region_logits, valid, 0), expected)
    torch.testing.assert_close(fuse(proposal_logits, mask_logits, -5 * region_logits, valid, 0), expected)


def test_weight_1_is_clip_alone_over_valid_masks():
    proposal_logits, mask_logits, region_logits, valid = random_logits(2)
    assert 0 < valid.sum() < len(valid)
    q = torch.softmax(torch.tensor(region_logits), dim=1)
    expected = torch.einsum("qc,qhw->chw", q, torch.sigmoid(torch.tensor(mask_logits[valid])))
    torch.testing.assert_close(fuse(proposal_logits, mask_logits, region_logits, valid, 1), expected)
    torch.testing.assert_close(fuse(None, mask_logits, region_logits, valid, 1), expected)


def test_no_object_lowers_a_proposals_say_but_not_clips():
    mask_logits, region_logits, valid = np.zeros((1, 1, 1), np.float32), np.zeros((1, 2), np.float32), np.ones(1, bool)
    shy = np.array([[0, 0, 9]], np.float32)
    bold = np.array([[0, 0, -9]], np.float32)
    assert (
        fuse(shy, mask_logits, region_logits, valid, 0.5).max()
        < fuse(bold, mask_logits, region_logits, valid, 0.5).min()
    )
    assert torch.equal(
        fuse(shy, mask_logits, region_logits, valid, 1), fuse(bold, mask_logits, region_logits, valid, 1)
    )


@pytest.mark.parametrize("weight", [0.3, 0.7, 1.0])
def test_unclassified_proposals_count_as_uniform(weight):
    _, mask_logits, region_logits, _ = random_logits(3)
    valid = np.ones(len(mask_logits), bool)
    region_logits = np.resize(region_logits, (len(valid), region_logits.shape[1]))
    uniform = np.zeros((len(valid), region_logits.shape[1] + 1), np.float32)
    torch.testing.assert_close(
        fuse(None, mask_logits, region_logits, valid, weight), fuse(uniform, mask_logits, region_logits, valid, weight)
    )


def test_an_oracle_may_be_infinitely_sure():
    proposal_logits, mask_logits, _, _ = random_logits(4)
    valid = np.ones(len(mask_logits), bool)
    oracle = np.full((len(valid), 4), -np.inf, np.float32)
    oracle[:, 2] = 0
    for weight in (0.0, 0.5, 1.0):
        assert not fuse(proposal_logits, mask_logits, oracle, valid, weight).isnan().any()
    assert (fuse(proposal_logits, mask_logits, oracle, valid, 0.5).argmax(0) == 2).all()


@pytest.mark.parametrize("queries", [0, 1])
def test_none_or_one_mask(queries):
    proposal_logits, mask_logits = np.zeros((queries, 4), np.float32), np.zeros((queries, 2, 3), np.float32)
    for valid in (np.zeros(queries, bool), np.ones(queries, bool)):
        region_logits = np.zeros((int(valid.sum()), 3), np.float32)
        assert fuse(proposal_logits, mask_logits, region_logits, valid, 0.7).shape == (3, 2, 3)
