"""Losses of pairs that count differently, against their formulas in loops and against batches with repeats."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.loss import ClipLoss

from pipeline.training.losses import RegionLoss
from pipeline.training.ranks import Ranks

NOUNS, WIDTH, TEMPERATURE = 6, 8, 10.0
KINDS = ("contrastive", "multi_positive", "classification")


def unit(*shape: int, seed: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


EMBEDDINGS = unit(NOUNS, WIDTH, seed=1)


def loss_of(kind: str, features: torch.Tensor, nouns: list[int], weights: list[float] | None) -> torch.Tensor:
    loss = RegionLoss(kind, EMBEDDINGS, torch.nn.Parameter(torch.tensor(math.log(TEMPERATURE))), Ranks())
    return loss(features, torch.tensor(nouns), None if weights is None else torch.tensor(weights))


def log_sum(terms: list[tuple[float, float]]) -> float:
    """Of pairs of weight and logit."""
    return math.log(sum(weight * math.exp(logit) for weight, logit in terms))


def by_hand(kind: str, features: torch.Tensor, nouns: list[int], weights: list[float]) -> float:
    def logit(region: int, noun: int) -> float:
        return TEMPERATURE * float(features[region] @ EMBEDDINGS[noun])

    regions = range(len(nouns))
    total = 0.0
    if kind == "classification":
        for i in regions:
            total += weights[i] * (log_sum([(1, logit(i, noun)) for noun in range(NOUNS)]) - logit(i, nouns[i]))
        return total / len(nouns)
    if kind == "contrastive":
        for i in regions:
            texts = log_sum([(weights[j], logit(i, nouns[j])) for j in regions])
            images = log_sum([(weights[j], logit(j, nouns[i])) for j in regions])
            total += weights[i] * (texts + images - 2 * logit(i, nouns[i]))
        return total / len(nouns) / 2
    own = {noun: [i for i in regions if nouns[i] == noun] for noun in set(nouns)}
    mean = {noun: sum(weights[i] for i in found) / len(found) for noun, found in own.items()}
    for i in regions:
        texts = log_sum([(mean[noun], logit(i, noun)) for noun in own])
        total += weights[i] * (texts - logit(i, nouns[i])) / len(nouns)
    for noun, found in own.items():
        images = log_sum([(weights[i], logit(i, noun)) for i in regions])
        positive = sum(weights[i] * logit(i, noun) for i in found) / sum(weights[i] for i in found)
        total += mean[noun] * (images - positive) / len(own)
    return total / 2


weighted_pairs = st.lists(st.tuples(st.integers(0, NOUNS - 1), st.floats(0.01, 9)), min_size=1, max_size=7)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30, deadline=None)
@given(pairs=weighted_pairs, seed=st.integers(0, 99))
def test_formulas(kind, pairs, seed):
    nouns, weights = map(list, zip(*pairs, strict=True))
    features = unit(len(nouns), WIDTH, seed=seed)
    found = loss_of(kind, 3 * features, nouns, weights)  # length does not matter
    assert found.item() == pytest.approx(by_hand(kind, features, nouns, weights), abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20, deadline=None)
@given(nouns=st.lists(st.integers(0, NOUNS - 1), min_size=1, max_size=7), factor=st.sampled_from([1.0, 0.25, 3.0]))
def test_equal_weights_scale_the_gradient_and_change_nothing_else(kind, nouns, factor):
    gradients = []
    for weights in (None, [factor] * len(nouns)):
        features = unit(len(nouns), WIDTH, seed=3).requires_grad_()
        loss = loss_of(kind, features, nouns, weights)
        loss.backward()
        gradients.append(features.grad)
        if factor == 1:
            assert loss.item() == pytest.approx(loss_of(kind, features, nouns, None).item(), abs=1e-5)
    torch.testing.assert_close(gradients[1], factor * gradients[0], atol=1e-5, rtol=1e-4)


@settings(max_examples=20, deadline=None)
@given(pairs=st.lists(st.tuples(st.integers(0, NOUNS - 1), st.integers(1, 4)), min_size=1, max_size=5))
def test_a_weight_of_the_contrastive_loss_is_how_often_a_pair_stands_in_the_batch(pairs):
    nouns, counts = map(list, zip(*pairs, strict=True))
    features = unit(len(nouns), WIDTH, seed=5)
    repeated = torch.repeat_interleave(torch.arange(len(nouns)), torch.tensor(counts))
    texts = EMBEDDINGS[torch.tensor(nouns)]
    expected = ClipLoss()(features[repeated], texts[repeated], torch.tensor(TEMPERATURE)) * sum(counts) / len(nouns)
    found = loss_of("contrastive", features, nouns, [float(count) for count in counts])
    assert found.item() == pytest.approx(expected.item(), abs=1e-4)


@settings(max_examples=20, deadline=None)
@given(nouns=st.permutations(range(NOUNS)), weights=st.lists(st.floats(0.01, 9), min_size=NOUNS, max_size=NOUNS))
def test_without_equal_nouns_both_contrasts_are_one(nouns, weights):
    features = unit(NOUNS, WIDTH, seed=7)
    contrastive, multi_positive = (loss_of(kind, features, nouns, weights) for kind in KINDS[:2])
    assert multi_positive.item() == pytest.approx(contrastive.item(), abs=1e-4)


@pytest.mark.parametrize("kind", ["contrastive", "classification"])
def test_a_pair_of_hardly_any_weight_is_as_good_as_absent(kind):
    nouns = [0, 1, 1, 2]
    gradients = []
    for count in (4, 3):
        features = unit(4, WIDTH, seed=9)[:count].requires_grad_()
        (loss_of(kind, features, nouns[:count], [2.0, 0.5, 1.0, 1e-9][:count]) * count).backward()
        gradients.append(features.grad)
    assert gradients[0][3].abs().max() < 1e-6
    torch.testing.assert_close(gradients[0][:3], gradients[1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_extreme_weights_give_finite_gradients(kind):
    features = unit(3, WIDTH, seed=11).requires_grad_()
    loss_of(kind, features, [0, 0, 4], [1e-12, 1e6, 1.0]).backward()
    assert features.grad.isfinite().all()
