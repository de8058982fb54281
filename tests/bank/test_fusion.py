"""Votes and their fusion with CLIP, against the formula written out entry by entry."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.bank import BankConfig, Neighbours
from pipeline.bank.classes import assign_nouns
from pipeline.bank.fusion import fused_logits, votes
from tests.bank.banks import unit


def softmax(logits: np.ndarray) -> np.ndarray:
    exp = np.exp(logits - logits.max())
    return exp / exp.sum()


@given(
    seed=st.integers(0, 10_000),
    regions=st.integers(1, 4),
    neighbours=st.integers(1, 6),
    classes=st.integers(1, 5),
    weight=st.floats(0, 1),
    least=st.floats(-1, 1),
    temperature=st.floats(0.1, 200),
)
def test_against_the_formula(seed, regions, neighbours, classes, weight, least, temperature):
    rng = np.random.default_rng(seed)
    rows = rng.integers(-1, 9, (regions, neighbours))
    similarities = np.where(rows >= 0, rng.uniform(-1, 1, rows.shape), -np.inf).astype(np.float32)
    known = rng.random(classes) < 0.7
    assigned = rng.dirichlet(np.ones(classes), (regions, neighbours)) * rng.integers(0, 2, (regions, neighbours, 1))
    assigned *= known
    logits = rng.normal(scale=5, size=(regions, classes)).astype(np.float32)
    config = BankConfig(weight=weight, min_similarity=least, temperature=temperature)
    found = votes(Neighbours(rows, similarities), assigned, config)
    fused = fused_logits(logits, found, known, weight)
    assert fused.dtype == np.float32
    for region in range(regions):
        there = rows[region] >= 0
        v = np.zeros(classes)
        if there.any():
            shares = softmax(temperature * similarities[region][there].astype(np.float64))
            for share, similarity, a in zip(shares, similarities[region][there], assigned[region][there], strict=True):
                v += share * (similarity >= least) * a
        p = softmax(logits[region].astype(np.float64))
        b = np.where(known, p[known].sum() * v + (1 - v.sum()) * p, p)
        np.testing.assert_allclose(np.exp(fused[region]), (1 - weight) * p + weight * b, atol=1e-5)
        np.testing.assert_allclose(softmax(fused[region].astype(np.float64)), np.exp(fused[region]), atol=1e-5)


def test_a_region_like_no_entry_keeps_what_clip_says():
    logits = np.array([[1.0, 3.0, -2.0]], np.float32)
    far = Neighbours(np.array([[4, 2]]), np.array([[0.3, 0.1]], np.float32))
    found = votes(far, np.ones((1, 2, 3)) / 3, BankConfig(min_similarity=0.5))
    assert not found.any()
    np.testing.assert_allclose(
        fused_logits(logits, found, np.ones(3, bool), 1.0)[0], np.log(softmax(logits[0])), atol=1e-6
    )


def test_all_votes_for_one_class_and_no_part_of_clip():
    fused = fused_logits(np.zeros((1, 3), np.float32), np.array([[0.0, 1.0, 0.0]]), np.ones(3, bool), 1.0)
    assert np.isfinite(fused).all()
    np.testing.assert_allclose(np.exp(fused), [[0, 1, 0]])


def test_a_class_that_no_noun_names_keeps_what_clip_gives_it():
    known = np.array([True, False, True])
    logits = np.array([[0.0, 2.0, 1.0]], np.float32)
    p = softmax(logits[0].astype(np.float64))
    fused = np.exp(fused_logits(logits, np.array([[1.0, 0.0, 0.0]]), known, 1.0))[0]
    np.testing.assert_allclose(fused, [p[0] + p[2], p[1], 0], atol=1e-6)


def test_names_vote_for_their_classes_whatever_their_case():
    classes = [("Dog", "hound"), ("sofa", "couch"), ("Couch",)]
    names = unit(np.eye(5))
    nouns = ["dog", "hound", "couch", "tree"]
    assigned = assign_nouns(nouns, unit(np.ones((4, 5))), classes, names, 100.0, noun_similarity=1.0)
    np.testing.assert_allclose(assigned, [[1, 0, 0], [1, 0, 0], [0, 0.5, 0.5], [0, 0, 0]])


@given(seed=st.integers(0, 1000), least=st.floats(-1, 0.99))
def test_other_nouns_vote_by_what_they_mean(seed, least):
    rng = np.random.default_rng(seed)
    classes = [("a", "b"), ("c",), ("d", "e", "f")]
    names, nouns = unit(rng.normal(size=(6, 3))), unit(rng.normal(size=(7, 3)))
    assigned = assign_nouns([f"noun {row}" for row in range(7)], nouns, classes, names, 10.0, least)
    for row in range(7):
        best = [max(nouns[row] @ names[i] for i in columns) for columns in ((0, 1), (2,), (3, 4, 5))]
        near = [score >= least for score in best]
        expected = np.zeros(3)
        if any(near):
            weights = [np.exp(10 * score) * ok for score, ok in zip(best, near, strict=True)]
            expected = np.array(weights) / sum(weights)
        np.testing.assert_allclose(assigned[row], expected, atol=1e-5)
