"""Estimates: against brute force, known formulas, and simulated draws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from pipeline.quality.answers import Answers, reach_all
from pipeline.quality.drawing import DrawingColumns, draw_sample
from pipeline.quality.estimates import Predicted, estimate

ANSWERS = {"right": (True, True), "wrong": (False, True), "unclear": (False, False)}


def made(answers: list[tuple[int, str]], sizes: list[float], drawn: bool = True) -> Answers:
    stratum = np.array([each for each, _ in answers], np.int64)
    right, clear = np.array([ANSWERS[answer] for _, answer in answers], bool).reshape(-1, 2).T
    return Answers(np.arange(len(answers)), right, clear, stratum, np.array(sizes, np.float64), drawn)


labelled = st.lists(st.tuples(st.integers(0, 2), st.sampled_from(sorted(ANSWERS))), min_size=1, max_size=40)


@given(labelled, st.lists(st.integers(0, 500), min_size=3, max_size=3), st.randoms())
def test_a_weighted_ratio(answers, extra, random):
    sizes = [sum(each == h for each, _ in answers) + extra[h] for h in range(3)]
    inside = [random.random() < 0.7 for _ in answers]
    found = estimate(made(answers, sizes), np.array(inside), 77)
    weight = {h: sizes[h] / sum(each == h for each, _ in answers) for h in {each for each, _ in answers}}
    sums = dict.fromkeys(ANSWERS, 0.0)
    for (stratum, answer), is_inside in zip(answers, inside, strict=True):
        sums[answer] += weight[stratum] * is_inside
    clear, total = sums["right"] + sums["wrong"], sum(sums.values())
    assert found.pairs == 77
    assert 0 <= found.low <= found.high <= 1
    if not clear:
        assert np.isnan(found.value)
        assert (found.low, found.high) == (0, 1)
        return
    assert found.value == pytest.approx(sums["right"] / clear)
    assert found.low - 1e-9 <= found.value <= found.high + 1e-9
    assert found.if_unclear_wrong == pytest.approx(sums["right"] / total)
    assert found.if_unclear_right == pytest.approx((sums["right"] + sums["unclear"]) / total)
    assert found.if_unclear_wrong - 1e-9 <= found.value <= found.if_unclear_right + 1e-9


@given(labelled)
def test_a_census_is_known(answers):
    sizes = [sum(each == h for each, _ in answers) for h in range(3)]
    found = estimate(made(answers, sizes), np.ones(len(answers), bool), len(answers))
    clear = [answer for _, answer in answers if answer != "unclear"]
    if clear:
        share = clear.count("right") / len(clear)
        assert found.value == found.low == found.high == pytest.approx(share)


@pytest.mark.parametrize("count", [20, 100, 1000])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_a_plain_sample_has_about_wilsons_interval(count, share):
    """A little wider: Student's quantile, and the variance of a sample of n is divided by n - 1."""
    hits = round(count * share)
    answers = [(0, "right")] * hits + [(0, "wrong")] * (count - hits)
    found = estimate(made(answers, [10**9]), np.ones(count, bool), 10**9)
    wilson = binomtest(hits, count).proportion_ci(method="wilson")
    width, wider = wilson.high - wilson.low, max(5 / count, 0.01)
    assert wilson.low - wider * width < found.low <= wilson.low + 0.001 * width
    assert wilson.high - 0.001 * width <= found.high < wilson.high + wider * width


def test_a_stratum_that_says_one_thing_does_not_make_sure():
    answers = [(0, "right")] * 30 + [(1, "right")] * 2
    found = estimate(made(answers, [100, 900]), np.ones(32, bool), 1000)
    assert found.value == 1
    assert found.low < 0.7  # two labels stand for nine tenths of the pairs


def test_strata_without_labels_count_to_the_nearest():
    pairs, moved = reach_all(np.array([1, 1, 4]), np.array([10.0, 20, 30, 40, 50, 60]))
    assert pairs.tolist() == [0, 60, 0, 0, 150, 0]  # 3 is nearer to 4, 2 to 1
    assert moved == 10 + 30 + 40 + 60


def drawn(seed: int, count: int, truth: np.ndarray, columns: DrawingColumns) -> Answers:
    sample = draw_sample(columns, count, seed)
    sizes = np.array([part.pairs for part in sample.strata], np.float64)
    clear = np.ones(len(sample.rows), bool)
    return Answers(sample.rows, truth[sample.rows], clear, sample.stratum.astype(np.int64), sizes, True)


@pytest.fixture(scope="module")
def columns() -> DrawingColumns:
    generator = np.random.default_rng(1)
    scores, margins = generator.normal(size=(2, 2000)).astype(np.float32)
    return DrawingColumns(scores, generator.integers(0, 30, 2000), margins)


def truth_of(columns: DrawingColumns, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Which pairs are right, and how probable that was."""
    p = 1 / (1 + np.exp(-(level + columns.score + columns.noun_margin)))
    return np.random.default_rng(2).random(len(p)) < p, p


@pytest.mark.parametrize("level", [-2.0, 0.5, 2.5])
def test_the_interval_covers_the_truth(columns, level):
    """In 95 % of draws; of 300, two standard errors are 2.5 %. The benchmark has more draws, and real pairs."""
    count, draws = 100, 300
    truth, p = truth_of(columns, level)
    wrong_by_far = np.clip(1.2 * p**3 + 0.1, 0, 1)
    high = columns.score > 0.5
    covered = np.zeros(3)
    for seed in range(draws):
        answers = drawn(seed, count, truth, columns)
        everything, inside = np.ones(count, bool), high[answers.row]
        predicted = Predicted(wrong_by_far[answers.row], float(wrong_by_far.mean()))
        found = (
            (estimate(answers, everything, 2000), truth.mean()),
            (estimate(answers, everything, 2000, predicted), truth.mean()),
            (estimate(answers, inside, int(high.sum())), truth[high].mean()),
        )
        covered += [each.low <= value <= each.high for each, value in found]
    assert (covered / draws > 0.92).all(), covered
    assert (covered[:2] / draws < 0.99).all(), covered


def test_predictions_narrow_the_interval_and_do_not_move_it(columns):
    truth, _ = truth_of(columns, 0.5)
    good = np.where(truth, 0.8, 0.2) + np.random.default_rng(0).normal(size=2000) * 0.1
    alone, powered, values = [], [], []
    for seed in range(100):
        answers = drawn(seed, 100, truth, columns)
        everything = np.ones(100, bool)
        alone.append(estimate(answers, everything, 2000).half_width)
        found = estimate(answers, everything, 2000, Predicted(good[answers.row], float(good.mean())))
        powered.append(found.half_width)
        values.append(found.value)
        assert found.power == 1  # more is not taken
    assert np.mean(powered) < 0.6 * np.mean(alone)
    assert np.mean(values) == pytest.approx(truth.mean(), abs=0.01)


def test_predictions_that_say_nothing_are_not_used(columns):
    truth, _ = truth_of(columns, 0.5)
    answers = drawn(0, 100, truth, columns)
    everything = np.ones(100, bool)
    alone = estimate(answers, everything, 2000)
    assert estimate(answers, everything, 2000, Predicted(np.full(100, 0.3), 0.9)) == alone
    few = np.arange(100) < 5
    assert estimate(answers, few, 100, Predicted(truth[answers.row].astype(float), 0.9)).power == 0


@given(st.floats(-0.3, 0.3))
def test_a_constant_in_the_predictions_is_nothing(shift):
    generator = np.random.default_rng(0)
    answers = made(
        [(i % 3, "right" if value else "wrong") for i, value in enumerate(generator.random(60) < 0.6)], [99] * 3
    )
    f = generator.random(60)
    one, other = (estimate(answers, np.ones(60, bool), 297, Predicted(f + by, 0.5 + by)) for by in (0, shift))
    assert one.value == pytest.approx(other.value)
    assert one.half_width == pytest.approx(other.half_width)
