"""Labels of round 0 in later rounds: a label holds for the pair of the same image and noun if its region is the same.

Where the region changed, nothing is known: a pair labelled wrong may have become right, and one labelled right may now
show another of the same kind.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.chain.agreement import PairMatch, find_again
from pipeline.chain.config import Jobs
from pipeline.chain.decisions import LabelledPairs
from pipeline.chain.p_right import write_carried_quality
from pipeline.chain.round_jobs import jobs_of_round
from pipeline.dataset.opening import open_mined_dataset
from pipeline.errors import UserError
from pipeline.quality.labels import Label, Labels, check_labels, read_labels
from pipeline.quality.scoring import write_quality_tables


@dataclass(frozen=True)
class Followed:
    """A label of round 0 and its pair in a later round."""

    label: Label
    match: PairMatch | None
    """None: the later round has no pair of this image and noun."""


class LabelledRounds:
    """The labels of a chain, followed through its rounds."""

    def __init__(self, jobs: Jobs):
        self._jobs = jobs
        self._checked: Labels | None = None

    def write(self, number: int) -> dict:
        """Write the quality tables of a round's dataset, unless they are there; says how many pairs and labels.

        Raises:
            UserError: the labels are of another dataset, or too few for a model.
            OSError: storage failed.
        """
        labels, output = self._labels(), jobs_of_round(self._jobs, number).mine.output
        if not number:
            report = write_quality_tables(output, labels=self._jobs.rounds.labels)
            return {"pairs": len(report.fit.p_right), "labels": len(report.fit.model.used)}
        known = {
            found.match.other_key: found.label
            for found in self._follow(number)
            if found.match and found.match.same and found.label.answer != "unclear"
        }
        return write_carried_quality(open_mined_dataset(output), labels, known)

    def follow(self, number: int) -> LabelledPairs | None:
        """What became of the labelled pairs in a round; None without labels."""
        if not self._jobs.rounds.labels:
            return None
        return count_labelled(self._labels(), self._follow(number))

    def _follow(self, number: int) -> list[Followed]:
        labels = self._labels()
        if not number:
            return [Followed(label, PairMatch(label.key, label.key, 1.0)) for label in labels.labels]
        first, later = (open_mined_dataset(jobs_of_round(self._jobs, of).mine.output) for of in (0, number))
        found = find_again(first, later, [label.key for label in labels.labels])
        return [Followed(label, found.get(label.key)) for label in labels.labels]

    def _labels(self) -> Labels:
        """Those of `rounds.labels`, which are of round 0."""
        if self._checked is None:
            uri = self._jobs.rounds.labels
            assert uri is not None  # asked for only with labels
            labels = read_labels(uri)
            try:
                check_labels(labels, open_mined_dataset(self._jobs.mine.output))
            except UserError as error:
                raise UserError(f"rounds.labels: {error}") from error
            self._checked = labels
        return self._checked


def count_labelled(labels: Labels, followed: list[Followed]) -> LabelledPairs:
    """Count what became of labelled pairs, and bound the precision of the round.

    The estimate is stratified: a label stands for N_h / n_h pairs, N_h of its stratum and n_h of these labelled right
    or wrong. Pairs that are not there any more count for nothing.
    """
    by_stratum = np.zeros((len(labels.strata), 4), np.int64)  # right and wrong with the same region, moved, gone
    counts = {"right": 0, "right same": 0, "wrong": 0, "wrong same": 0}
    for found in followed:
        answer = found.label.answer
        if answer == "unclear":
            continue
        same = found.match is not None and found.match.same
        counts[answer] += 1
        counts[f"{answer} same"] += same
        column = 3 if found.match is None else 2 if not same else 0 if answer == "right" else 1
        by_stratum[found.label.stratum, column] += 1
    pairs_H = np.array([stratum.pairs for stratum in labels.strata], np.float64)
    labelled_H = by_stratum.sum(axis=1)
    asked = labelled_H > 0
    weights_H1 = (pairs_H[asked] / labelled_H[asked])[:, None]
    right, wrong, moved, _ = (by_stratum[asked] * weights_H1).sum(axis=0)
    there = right + wrong + moved
    return LabelledPairs(
        right=counts["right"],
        right_kept=counts["right same"],
        wrong=counts["wrong"],
        wrong_left=counts["wrong"] - counts["wrong same"],
        precision=(float(right / there), float((right + moved) / there)) if there else None,
    )
