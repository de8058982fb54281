"""When rounds stop, and which of them is the best."""

from dataclasses import replace

import pytest

from pipeline.chain.decisions import Decision, LabelledPairs, Round, best_round, decide
from pipeline.chain.rounds_config import StopConfig

FIRST = Round(0, pairs=100, nouns=10, accuracy=0.5, retention=0.8)
LATER = Round(1, pairs=100, nouns=10, accuracy=0.6, retention=0.8, agreement=0.9, surviving_nouns=1.0)
STOP = StopConfig(
    min_gain=0.02, max_retention_loss=0.05, min_nouns=0.9, min_agreement=0.5, min_right_kept=0.7
)  # fmt: skip


def judged(*rounds: Round, stop: StopConfig = STOP, by_miou: bool = False, original: float | None = 0.82) -> Decision:
    return decide(rounds, original, stop, by_miou)


def test_a_round_that_is_better_goes_on():
    assert judged(FIRST, LATER) == Decision(
        1, stops=False, eligible=True, reasons=("accuracy +10.0 points against the best before",)
    )


@pytest.mark.parametrize(("accuracy", "stops"), [(0.515, True), (0.53, False), (0.4, True)])
def test_a_gain_that_is_too_small_stops(accuracy, stops):
    decision = judged(FIRST, replace(LATER, accuracy=accuracy))
    assert (decision.stops, decision.eligible) == (stops, True)


def test_the_gain_is_over_the_best_before_not_the_last():
    third = replace(LATER, number=2, accuracy=0.58)
    assert judged(FIRST, LATER, third).stops
    assert judged(FIRST, LATER, third).reasons == ("accuracy -2.0 points against the best before",)


def test_without_a_least_gain_rounds_go_on():
    assert not judged(FIRST, replace(LATER, accuracy=0.1), stop=replace(STOP, min_gain=None)).stops


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"retention": 0.74}, "max_retention_loss"),
        ({"surviving_nouns": 0.89}, "min_nouns"),
        ({"agreement": 0.49}, "min_agreement"),
        ({"labelled": LabelledPairs(10, 6, 5, 5, (0.5, 0.9))}, "min_right_kept"),
    ],
)
def test_guards(change, key):
    """A round that violates one stops, and is not chosen, however good it is; null looks away."""
    bad = replace(LATER, **change)
    decision = judged(FIRST, bad)
    assert (decision.stops, decision.eligible) == (True, False)
    [reason] = decision.reasons
    assert f"stop.{key}" in reason
    assert judged(FIRST, bad, stop=replace(STOP, **{key: None})).eligible
    assert best_round([FIRST, bad], [judged(FIRST), decision], STOP, by_miou=False) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"retention": 0.76},
        {"surviving_nouns": 0.9},
        {"agreement": 0.5},
        {"labelled": LabelledPairs(10, 7, 5, 0, (0.5, 0.9))},
        {"labelled": LabelledPairs(0, 0, 5, 0, None)},
        {"retention": None, "surviving_nouns": None, "agreement": None},
    ],
)
def test_guards_hold_at_their_limits_and_where_nothing_is_known(change):
    assert judged(FIRST, replace(LATER, **change)).eligible


def test_round_0_stands_whatever_it_lost():
    """There is nothing before it; what it lost is told."""
    decision = judged(replace(FIRST, retention=0.5))
    assert (decision.stops, decision.eligible) == (False, False)
    assert decision.reasons == ("retention −32.0 points, stop.max_retention_loss 5",)
    assert best_round([replace(FIRST, retention=0.5)], [decision], STOP, by_miou=False) == 0


def test_what_chooses():
    """Accuracy, or mIoU; the last of equals."""
    rounds = [replace(FIRST, miou=0.3), replace(LATER, miou=0.3), replace(LATER, number=2, accuracy=0.59, miou=0.25)]
    decisions = [Decision(number, stops=False, eligible=True, reasons=()) for number in range(3)]
    assert best_round(rounds, decisions, STOP, by_miou=False) == 1
    assert best_round(rounds, decisions, STOP, by_miou=True) == 1
    assert judged(*rounds[:2], by_miou=True).stops


@pytest.mark.parametrize(("accuracy", "same"), [(0.73, True), (0.71, False), (0.9, True)])
def test_what_chance_explains_is_no_loss(accuracy, same):
    """Of 100 regions with an accuracy of 0.8 the standard error is 0.04 (√(0.8 · 0.2 / 100)), and two are allowed."""
    stop = replace(STOP, min_gain=0.0)
    rounds = [replace(FIRST, accuracy=0.8, regions=100), replace(LATER, accuracy=accuracy, regions=100)]
    decisions = [judged(*rounds[:count], stop=stop) for count in (1, 2)]
    assert decisions[1].stops is not same
    assert best_round(rounds, decisions, stop, by_miou=False) == int(same)
    assert judged(*rounds, stop=replace(stop, errors=0.0)).stops is (accuracy < 0.8)


def test_retention_is_held_beside_that_of_round_0():
    """What adapting costs at all is the user's choice, and no fault of a later round."""
    assert judged(replace(FIRST, retention=0.5), replace(LATER, retention=0.5)).eligible


def test_nothing_to_compare_by_stops():
    decision = judged(FIRST, replace(LATER, accuracy=None))
    assert (decision.stops, decision.eligible) == (True, False)
    assert decision.reasons == ("no accuracy to compare it by",)
