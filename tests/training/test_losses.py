"""Losses against their formulas, written out in loops."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.loss import ClipLoss

from pipeline.training.losses import RegionLoss, distillation_loss
from pipeline.training.ranks import Ranks

NOUNS, WIDTH = 6, 8


def unit(*shape: int, seed: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def make_loss(kind: str, temperature: float = 10.0) -> RegionLoss:
    scale = torch.nn.Parameter(torch.tensor(math.log(temperature)))
    return RegionLoss(kind, unit(NOUNS, WIDTH, seed=1), scale, Ranks())


def by_hand(features: torch.Tensor, nouns: list[int], bank: torch.Tensor, temperature: float) -> float:
    """Regions among the distinct nouns, and each distinct noun among the regions, its own with equal weight."""

    def logit(region: int, noun: int) -> float:
        return temperature * float(features[region] @ bank[noun])

    def log_sum(logits: list[float]) -> float:
        return math.log(sum(math.exp(value) for value in logits))

    regions, distinct = range(len(nouns)), sorted(set(nouns))
    to_nouns = [log_sum([logit(i, noun) for noun in distinct]) - logit(i, nouns[i]) for i in regions]
    to_regions = []
    for noun in distinct:
        own = [logit(i, noun) for i in regions if nouns[i] == noun]
        to_regions.append(log_sum([logit(i, noun) for i in regions]) - sum(own) / len(own))
    return (sum(to_nouns) / len(nouns) + sum(to_regions) / len(distinct)) / 2


@settings(max_examples=30, deadline=None)
@given(nouns=st.lists(st.integers(0, NOUNS - 1), min_size=1, max_size=7), seed=st.integers(0, 99))
def test_every_distinct_noun_counts_once(nouns, seed):
    features = unit(len(nouns), WIDTH, seed=seed)
    found = make_loss("multi_positive")(3 * features, torch.tensor(nouns))  # length does not matter
    assert found.item() == pytest.approx(by_hand(features, nouns, unit(NOUNS, WIDTH, seed=1), 10.0), abs=1e-4)


@settings(max_examples=20, deadline=None)
@given(nouns=st.lists(st.integers(0, NOUNS - 1), min_size=1, max_size=7), seed=st.integers(0, 99))
def test_spreading_the_targets_over_equal_nouns_would_change_nothing(nouns, seed):
    """UniCL's targets give InfoNCE's gradients, as the docstring says: equal nouns have equal embeddings."""
    nouns = torch.tensor(nouns)
    gradients = []
    for spread in (False, True):
        features = unit(len(nouns), WIDTH, seed=seed).requires_grad_()
        logits = 10 * features @ unit(NOUNS, WIDTH, seed=1)[nouns].T
        same = (nouns[:, None] == nouns[None, :]).float()
        targets = same / same.sum(dim=1, keepdim=True) if spread else torch.eye(len(nouns))
        cross_entropy = torch.nn.functional.cross_entropy
        (cross_entropy(logits, targets) + cross_entropy(logits.T, targets)).backward()
        gradients.append(features.grad)
    torch.testing.assert_close(*gradients)


@settings(max_examples=20, deadline=None)
@given(nouns=st.permutations(range(NOUNS)), seed=st.integers(0, 99))
def test_without_equal_nouns_it_is_the_loss_of_open_clip(nouns, seed):
    features, nouns = unit(NOUNS, WIDTH, seed=seed), torch.tensor(nouns)
    expected = ClipLoss()(features, unit(NOUNS, WIDTH, seed=1)[nouns], torch.tensor(10.0))
    for kind in ("contrastive", "multi_positive"):
        assert make_loss(kind)(features, nouns).item() == pytest.approx(expected.item(), abs=1e-5)


def test_classification_is_cross_entropy_over_all_nouns():
    features, nouns = unit(3, WIDTH, seed=4), [0, 5, 5]
    logits = 10.0 * features @ unit(NOUNS, WIDTH, seed=1).T
    expected = sum(-math.log(torch.softmax(row, 0)[noun]) for row, noun in zip(logits, nouns, strict=True)) / 3
    assert make_loss("classification")(features, torch.tensor(nouns)).item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("start", "pushed", "expected"), [(10.0, 500.0, 100.0), (118.0, 500.0, 118.0), (10, 0.1, 1.0)])
def test_temperature_stays_between_one_and_a_hundred_or_where_the_model_had_it(start, pushed, expected):
    loss = make_loss("contrastive", start)
    loss.logit_scale.data.fill_(math.log(pushed))
    loss.clamp_logit_scale()
    assert loss.logit_scale.exp().item() == pytest.approx(expected, rel=1e-5)


def test_distillation_counts_unmasked_regions_only():
    features = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    unmasked = torch.tensor([True, False, True])
    original = torch.tensor([[0.0, 3.0], [5.0, 5.0]])
    assert distillation_loss(features, original, unmasked).item() == pytest.approx((1.0 + 0.0) / 3)
    assert distillation_loss(features, original[:0], torch.zeros(3, dtype=torch.bool)).item() == 0
