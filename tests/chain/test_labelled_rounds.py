"""Labels of round 0 followed into a later round, counted by hand."""

import pytest

from pipeline.chain.agreement import PairMatch
from pipeline.chain.decisions import LabelledPairs
from pipeline.chain.labelled_rounds import Followed, count_labelled
from pipeline.quality.labels import Label, Labels, Stratum


def labels(*strata: int) -> Labels:
    """Strata of so many pairs."""
    parts = tuple(Stratum(f"part {number}", pairs, min(pairs, 10)) for number, pairs in enumerate(strata))
    return Labels("0" * 64, "1" * 64, parts, (), "2" * 64)


def followed(answer: str, iou: float | None, stratum: int = 0) -> Followed:
    match = None if iou is None else PairMatch("a", "b", iou)
    return Followed(Label("000000-00000-000", "dog", stratum, answer), match)


def test_in_round_0_precision_is_the_stratified_estimate():
    """Of 30 pairs a half is right, of 10 all are: (15 + 10) / 40."""
    answers = [followed("right", 1.0), followed("wrong", 1.0), followed("unclear", 1.0), followed("right", 1.0, 1)]
    assert count_labelled(labels(30, 10), answers) == LabelledPairs(2, 2, 1, 0, (0.625, 0.625))


def test_a_region_that_changed_may_be_right_or_wrong():
    """A stratum of 40 with four labels: each stands for ten pairs. One is gone, so that 30 are left."""
    answers = [followed("right", 0.95), followed("right", 0.5), followed("wrong", 0.9), followed("wrong", None)]
    found = count_labelled(labels(40), answers)
    assert (found.right, found.right_kept, found.wrong, found.wrong_left) == (2, 1, 2, 1)
    assert found.precision == (pytest.approx(1 / 3), pytest.approx(2 / 3))


def test_strata_without_labels_count_for_nothing():
    found = count_labelled(labels(10, 1000), [followed("right", 1.0)])
    assert found.precision == (1, 1)


@pytest.mark.parametrize("answers", [[], [followed("unclear", 1.0)], [followed("right", None)]])
def test_nothing_is_known(answers):
    assert count_labelled(labels(10), answers).precision is None
