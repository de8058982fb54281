"""The rule that stops rounds, and the choice of the best one: from figures alone."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.chain.rounds_config import StopConfig


@dataclass(frozen=True)
class LabelledPairs:
    """What became of the pairs of round 0 that people labelled."""

    right: int
    """Labelled right."""
    right_kept: int
    """Of these, with the same region in this round."""
    wrong: int
    """Labelled wrong."""
    wrong_left: int
    """Of these, with another region in this round, or none."""
    precision: tuple[float, float] | None
    """Share of this round's pairs that are right, at least and at most: those whose region changed may be either. In
    round 0 both are the estimate itself; None without labels that say so."""


@dataclass(frozen=True)
class Round:
    """The figures of one round; shares are 0..1."""

    number: int
    pairs: int
    nouns: int
    accuracy: float | None
    """Held-out regions of round 0 that its CLIP finds nearest to their noun."""
    retention: float | None
    """Whole held-out images that its CLIP finds nearest to a noun of their captions."""
    agreement: float | None = None
    """Pairs in common with round 0 that have the same region; None in round 0."""
    surviving_nouns: float | None = None
    """Nouns of round 0 that still have a pair; None in round 0."""
    labelled: LabelledPairs | None = None
    """None without labels."""
    miou: float | None = None
    """Of the evaluation that chooses; None if none does."""
    regions: int = 0
    """Held-out regions that accuracy is a share of."""


@dataclass(frozen=True)
class Decision:
    """What follows from the figures of a round and of those before it."""

    number: int
    stops: bool
    """No further round is begun."""
    eligible: bool
    """It may be the best one: it violates no guard."""
    reasons: tuple[str, ...]
    """In words."""


def decide(rounds: Sequence[Round], original_retention: float | None, stop: StopConfig, by_miou: bool) -> Decision:
    """Judge the last of some rounds.

    Args:
        original_retention: of the CLIP before any adaptation.
        by_miou: whether mIoU chooses, not the accuracy.
    """
    last = rounds[-1]
    violated = list(_violations(last, rounds[0].retention if last.number else original_retention, stop))
    if not last.number:
        # There is nothing before it to go back to, so it stands; what is wrong with it is told.
        return Decision(0, stops=False, eligible=not violated, reasons=tuple(violated))
    if violated:
        return Decision(last.number, stops=True, eligible=False, reasons=tuple(violated))
    name = "mIoU" if by_miou else "accuracy"
    figure = _figure(last, by_miou)
    earlier = [(found, _error(row, by_miou)) for row in rounds[:-1] if (found := _figure(row, by_miou)) is not None]
    if figure is None or not earlier:
        return Decision(last.number, stops=True, eligible=False, reasons=(f"no {name} to compare it by",))
    best, error = max(earlier)
    gain = figure - best
    said = f"{name} {100 * gain:+.1f} points against the best before"
    if error:
        said += f" (error {100 * error:.1f})"
    stops = stop.min_gain is not None and gain + stop.errors * error <= stop.min_gain
    return Decision(last.number, stops, eligible=True, reasons=(said,))


def best_round(rounds: Sequence[Round], decisions: Sequence[Decision], stop: StopConfig, by_miou: bool) -> int:
    """The number of the last round, of those that violate no guard, whose figure is the best or within `stop.errors`
    standard errors of it; 0 if none is left.
    """
    figures = [
        (figure, _error(row, by_miou), row.number)
        for row, decision in zip(rounds, decisions, strict=True)
        if decision.eligible and (figure := _figure(row, by_miou)) is not None
    ]
    if not figures:
        return 0
    best, error, _ = max(figures)
    return max(number for figure, _, number in figures if figure >= best - stop.errors * error)


def _figure(row: Round, by_miou: bool) -> float | None:
    return row.miou if by_miou else row.accuracy


def _error(row: Round, by_miou: bool) -> float:
    """The standard error of a share of so many regions; 0 of mIoU."""
    if by_miou or row.accuracy is None or not row.regions:
        return 0.0
    return math.sqrt(row.accuracy * (1 - row.accuracy) / row.regions)


def _violations(row: Round, retention_before: float | None, stop: StopConfig) -> Iterator[str]:
    if stop.max_retention_loss is not None and row.retention is not None and retention_before is not None:
        loss = retention_before - row.retention
        if loss > stop.max_retention_loss:
            yield f"retention −{100 * loss:.1f} points, stop.max_retention_loss {100 * stop.max_retention_loss:g}"
    for what, found, key in (
        ("nouns that survive", row.surviving_nouns, "min_nouns"),
        ("agreement with round 0", row.agreement, "min_agreement"),
        ("labelled right that keep their region", _right_kept(row), "min_right_kept"),
    ):
        least = getattr(stop, key)
        if least is not None and found is not None and found < least:
            yield f"{what} {found:.1%}, stop.{key} {least:.0%}"


def _right_kept(row: Round) -> float | None:
    labelled = row.labelled
    return labelled.right_kept / labelled.right if labelled and labelled.right else None
