"""Fewer pairs of frequent nouns: which ones stay, and what is told of them."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.training.balance import balance_pairs
from pipeline.training.config import BalanceConfig
from pipeline.training.samples import DataConfig, Samples, select_samples
from tests.training.datasets import write_dataset

COUNTS = {"dog": 4000, "cat": 400, "zebra": 40, "newt": 3}


def pairs(counts: dict[str, int]) -> pa.Table:
    nouns = [noun for noun, count in counts.items() for _ in range(count)]
    return pa.table({"key": [f"{row:06d}-00000-000" for row in range(len(nouns))], "noun": nouns})


def kept(table: pa.Table, **options) -> np.ndarray:
    return balance_pairs(table, BalanceConfig(**options))[0]


def counted(table: pa.Table, kept_P: np.ndarray) -> dict[str, int]:
    return {noun: int(kept_P[np.array(table["noun"].to_pylist()) == noun].sum()) for noun in COUNTS}


def test_a_noun_keeps_about_as_many_pairs_as_it_may_and_rare_ones_all():
    found = counted(pairs(COUNTS), kept(pairs(COUNTS), per_noun=100))
    # Binomial: 4 standard deviations of sqrt(100 (1 - p)).
    assert abs(found["dog"] - 100) < 40
    assert abs(found["cat"] - 100) < 35
    assert (found["zebra"], found["newt"]) == (40, 3)


def test_the_cap_is_exact():
    assert counted(pairs(COUNTS), kept(pairs(COUNTS), cap=30)) == {"dog": 30, "cat": 30, "zebra": 30, "newt": 3}
    both = counted(pairs(COUNTS), kept(pairs(COUNTS), per_noun=100, cap=60))
    assert both == {"dog": 60, "cat": 60, "zebra": 40, "newt": 3}


@given(
    counts=st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), st.integers(1, 30), min_size=1),
    limits=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    seed=st.integers(0, 3),
)
@settings(deadline=None, max_examples=50)
def test_what_a_lower_limit_keeps_a_higher_one_keeps_in_any_order_of_the_pairs(counts, limits, seed):
    table = pairs(counts)
    low, high = sorted(limits)
    for name in ("per_noun", "cap"):
        few, many = (kept(table, **{name: limit, "seed": seed}) for limit in (low, high))
        assert not (few & ~many).any()
        shuffled = np.random.default_rng(seed).permutation(len(table))
        np.testing.assert_array_equal(kept(table.take(shuffled), **{name: low, "seed": seed}), few[shuffled])


def test_another_seed_keeps_other_pairs():
    first, other = (kept(pairs(COUNTS), cap=100, seed=seed) for seed in (0, 1))
    assert first.sum() == other.sum()
    assert (first != other).any()


def test_the_curve_and_the_tail():
    _, balance = balance_pairs(pairs(COUNTS), BalanceConfig(cap=40))
    assert (balance.ranks, balance.before, balance.after) == ([1, 2, 3, 4], [4000, 400, 40, 3], [40, 40, 40, 3])
    assert (balance.head_nouns, balance.tail_nouns) == (2, 2)
    assert balance.tail_share_before == pytest.approx(43 / 4443)
    assert balance.tail_share_after == pytest.approx(43 / 123)
    assert "123 of 4443 pairs are kept" in str(balance)
    assert str(balance).endswith("pairs by rank of the noun: 1: 4000 → 40")


def test_of_no_pairs_nothing_is_kept():
    found, balance = balance_pairs(pairs({}).cast(pairs(COUNTS).schema), BalanceConfig(per_noun=3))
    assert len(found) == 0
    assert balance.ranks == []


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("dataset"), shards=2, images=30, side=4)


def select(dataset, **options) -> Samples:
    return select_samples(str(dataset), DataConfig(**{"held_out_share": 0.3, **options}))


def test_training_pairs_are_balanced_and_held_out_ones_are_not(dataset):
    every, samples = select(dataset), select(dataset, balance=BalanceConfig(cap=5), weight="mask_area")
    nouns = np.array(samples.nouns)[samples.noun_of_row[samples.train]]
    assert dict(zip(*np.unique(nouns, return_counts=True), strict=True)) == {"apple": 5, "dog": 5, "zebra": 5}
    assert len(samples.held_out) == len(every.held_out) > 0
    assert samples.weight_of_row[samples.train].mean() == pytest.approx(1)
    selection = samples.selection
    assert selection.not_held_out == len(every.train)
    assert selection.described()["balance"]["pairs_after"] == selection.training_pairs == 15
    assert "balanced to 5 pairs a noun" in str(selection)
    assert "of weight 0" not in str(selection)
    assert "balance" not in every.selection.described()


def test_limits_are_checked(dataset):
    with pytest.raises(UserError, match=r"data\.balance\.per_noun is 0"):
        select(dataset, balance=BalanceConfig(per_noun=0))
