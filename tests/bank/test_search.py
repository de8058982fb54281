"""The nearest entries, against all similarities computed and sorted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.bank import ExactSearch, open_bank
from pipeline.bank import search as module
from tests.bank.banks import unit, write_bank


def brute_force(embeddings: np.ndarray, features: np.ndarray, count: int, excluded: list[int]) -> np.ndarray:
    """Similarities of the nearest entries in float64, [Q,count], the largest first; fewer: -inf."""
    scores = features.astype(np.float64) @ embeddings.astype(np.float16).astype(np.float64).T
    scores[:, excluded] = -np.inf
    scores = -np.sort(-scores, axis=1)[:, :count]
    return np.pad(scores, ((0, 0), (0, count - scores.shape[1])), constant_values=-np.inf)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@settings(max_examples=25)
@given(
    seed=st.integers(0, 1000),
    entries=st.integers(1, 90),
    files=st.integers(1, 4),
    count=st.integers(1, 20),
    block=st.integers(1, 40),
    share=st.floats(0, 1),
    memory=st.integers(0, 5),
)
def test_against_brute_force(tmp_path_factory, precision, seed, entries, files, count, block, share, memory):
    rng = np.random.default_rng(seed)
    embeddings, features = unit(rng.normal(size=(entries, 8))), unit(rng.normal(size=(5, 8)))
    excluded = np.flatnonzero(rng.random(entries) < share / 2)
    folder = tmp_path_factory.mktemp("bank")
    write_bank(folder, embeddings, ["dog"] * entries, files=files)
    bank = open_bank(str(folder))
    before, module._BLOCK = module._BLOCK, block
    try:
        search = ExactSearch(bank, precision, memory_gb=memory * min(2 * block, entries) * 8 * 2 / 1e9)
        before_kept = search.nearest(features, count, excluded)
        found = search.nearest(features, count, excluded)
    finally:
        module._BLOCK = before
    np.testing.assert_array_equal(found.rows, before_kept.rows)
    expected = brute_force(embeddings, features, count, excluded.tolist())
    assert found.rows.shape == found.similarities.shape == (5, count)
    # Of a bf16 scan the candidates are rounded: what it takes for the last of them may be as near to that.
    np.testing.assert_allclose(found.similarities, expected, atol=1e-5 if precision == "fp32" else 2**-7)
    assert not set(found.rows.ravel()) & set(excluded.tolist())
    for query in range(5):
        rows = found.rows[query][found.rows[query] >= 0]
        assert len(set(rows)) == len(rows) == min(count, entries - len(excluded))
        own = features[query] @ embeddings[rows].astype(np.float16).astype(np.float32).T
        np.testing.assert_allclose(found.similarities[query][: len(rows)], own, atol=1e-5)


def test_nothing_to_ask_and_everything_excluded(tmp_path):
    embeddings = unit(np.random.default_rng(0).normal(size=(6, 4)))
    write_bank(tmp_path, embeddings, ["dog"] * 6)
    search = ExactSearch(open_bank(str(tmp_path)), "fp32")
    assert search.nearest(np.zeros((0, 4), np.float32), 3).rows.shape == (0, 3)
    found = search.nearest(embeddings[:1], 3, np.arange(6))
    assert (found.rows == -1).all()
    assert np.isneginf(found.similarities).all()


def test_the_same_question_has_the_same_answer(tmp_path):
    embeddings = unit(np.random.default_rng(0).normal(size=(50, 4)).repeat(2, axis=0))  # every entry twice
    write_bank(tmp_path, embeddings, ["dog"] * 100, files=3)
    answers = [ExactSearch(open_bank(str(tmp_path)), "fp32").nearest(embeddings[:9], 5) for _ in range(2)]
    np.testing.assert_array_equal(answers[0].rows, answers[1].rows)
