"""Samples to label: every pair has a chance, and what was labelled is random in each stratum."""

from fractions import Fraction

import hypothesis.extra.numpy as arrays
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from pipeline.errors import UserError
from pipeline.quality.drawing import DrawingColumns, draw_sample

SCORES = st.floats(-1, 1, width=32) | st.sampled_from([0.25, float("nan")])


@st.composite
def all_columns(draw: st.DrawFn) -> DrawingColumns:
    pairs = draw(st.integers(0, 120))
    agreement = draw(st.none() | arrays.arrays(bool, pairs))
    noun = draw(arrays.arrays(np.int32, pairs, elements=st.integers(0, 9)))
    score, margin = (draw(arrays.arrays(np.float32, pairs, elements=SCORES)) for _ in range(2))
    return DrawingColumns(score, noun, margin, agreement)


def many(pairs: int, seed: int = 0) -> DrawingColumns:
    """Scores without equals, Zipf's nouns, a fifth of the margins below 0."""
    rng = np.random.default_rng(seed)
    score, margin = rng.normal(0.25, 0.05, pairs), rng.normal(0.0085, 0.01, pairs)
    return DrawingColumns(score.astype("f4"), np.minimum(rng.zipf(1.3, pairs) - 1, 500), margin.astype("f4"))


@given(all_columns(), st.integers(1, 150), st.integers(0, 9))
def test_every_pair_has_a_chance_and_sizes_add_up(columns: DrawingColumns, count: int, seed: int):
    pairs = len(columns.score)
    sample = draw_sample(columns, count, seed)
    assert len(sample.rows) == min(count, pairs) == len(set(sample.rows.tolist()))
    assert sum(stratum.pairs for stratum in sample.strata) == pairs
    assert [stratum.drawn for stratum in sample.strata] == np.bincount(
        sample.stratum, minlength=len(sample.strata)
    ).tolist()
    assert all(1 <= stratum.drawn <= stratum.pairs for stratum in sample.strata)
    assert sample.weights.sum() == pytest.approx(pairs)
    again = draw_sample(columns, count, seed)
    assert np.array_equal(again.rows, sample.rows)
    assert np.array_equal(again.stratum, sample.stratum)
    assert again.strata == sample.strata


@given(all_columns(), st.integers(1, 150))
def test_strata_do_not_depend_on_the_seed(columns: DrawingColumns, count: int):
    first, second = (draw_sample(columns, count, seed) for seed in (0, 1))
    assert first.strata == second.strata
    where = dict(zip(first.rows.tolist(), first.stratum.tolist(), strict=True))
    assert all(where.get(row, stratum) == stratum for row, stratum in zip(second.rows, second.stratum, strict=True))


@given(all_columns(), st.integers(1, 150))
def test_a_beginning_has_of_every_stratum_its_part(columns: DrawingColumns, count: int):
    sample = draw_sample(columns, count, 3)
    drawn = [stratum.drawn for stratum in sample.strata]
    seen = [0] * len(drawn)
    for stratum in sample.stratum.tolist():
        seen[stratum] += 1
        # A share of the sample from which each differs by one pair at most.
        least = max(Fraction(found - 1, of) for found, of in zip(seen, drawn, strict=True))
        assert least <= min(Fraction(found + 1, of) for found, of in zip(seen, drawn, strict=True))


def test_the_first_half_of_a_sample_is_random_in_each_stratum():
    columns = many(200)
    counts = np.zeros(200)
    for seed in range(400):
        sample = draw_sample(columns, 80, seed)
        counts[sample.rows[:40]] += 1
    sample = draw_sample(columns, 200, 0)  # all; its strata are finer
    assert sorted(sample.rows.tolist()) == list(range(200))
    strata = draw_sample(columns, 80, 0)
    for number, stratum in enumerate(strata.strata):
        rows = strata.rows[strata.stratum == number]
        expected = 400 * stratum.drawn / stratum.pairs / 2
        assert np.abs(counts[rows] - expected).max() < 6 * np.sqrt(expected), stratum


def test_strata_are_quarters_thirds_and_agreement():
    columns = many(40_000)
    sample = draw_sample(columns, 4000, 0)
    assert len(sample.strata) == 24
    names = np.array([stratum.name for stratum in sample.strata])[sample.stratum]
    edges = np.quantile(columns.score.astype(float), (0.25, 0.5, 0.75))
    quarter = np.searchsorted(edges, columns.score[sample.rows])
    for number, name in enumerate(("lowest", "lower", "higher", "highest")):
        assert np.array_equal(np.char.startswith(names, f"{name} scores, "), quarter == number)
    disagree = columns.noun_margin[sample.rows] < 0
    assert np.array_equal(np.char.endswith(names, ", disagree"), disagree)
    nouns = columns.noun[sample.rows]
    frequency = np.bincount(columns.noun)[nouns]
    groups = [frequency[np.char.find(names, f", {name} nouns") > 0] for name in ("rare", "middling", "frequent")]
    assert groups[0].max() < groups[1].min() <= groups[1].max() < groups[2].min()
    # n_h in proportion to N_h^¾.
    pairs, drawn = (np.array([getattr(part, of) for part in sample.strata], float) for of in ("pairs", "drawn"))
    assert np.abs(drawn - 4000 * pairs**0.75 / (pairs**0.75).sum()).max() <= 1


def test_a_second_opinion_takes_the_place_of_the_margin():
    columns = many(1000)
    opinion = np.random.default_rng(5).random(1000) < 0.5
    sample = draw_sample(DrawingColumns(columns.score, columns.noun, columns.noun_margin, opinion), 400, 0)
    names = np.array([stratum.name for stratum in sample.strata])[sample.stratum]
    assert np.array_equal(np.char.endswith(names, ", agree"), opinion[sample.rows])


@pytest.mark.parametrize("count", [1, 3, 20, 50, 200])
def test_tiny_strata_are_merged(count: int):
    sample = draw_sample(many(2000), count, 0)
    assert len(sample.strata) <= max(1, count // 4)
    assert min(stratum.drawn for stratum in sample.strata) >= min(count, 3)
    assert (count < 8) == (sample.strata[0].name == "all pairs")


def test_weighted_estimates_are_of_all_pairs():
    columns = many(3000)
    right = np.random.default_rng(1).random(3000) < np.clip(4 * (columns.score - 0.1), 0, 1)
    found = []
    for seed in range(300):
        sample = draw_sample(columns, 100, seed)
        found.append(np.average(right[sample.rows], weights=sample.weights))
    plain = np.sqrt(right.mean() * (1 - right.mean()) / 100)
    assert abs(np.mean(found) - right.mean()) < 4 * plain / np.sqrt(300)
    assert np.std(found) < plain  # better than as many at random


def test_nothing_to_draw():
    with pytest.raises(UserError, match="at least 1"):
        draw_sample(many(10), 0, 0)
    empty = draw_sample(many(0), 5, 0)
    assert (len(empty.rows), len(empty.stratum), empty.strata) == (0, 0, ())
