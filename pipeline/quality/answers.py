"""What is known of some pairs: labels of people, or the judgement of annotations, with what each one stands for.

L answers in H strata.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Answers:
    """Answers to "does the region show what the noun names?"."""

    row: np.ndarray
    """int64 [L]: the pair, as a row of all manifests."""
    right: np.ndarray
    """bool [L]; False where it is unclear."""
    clear: np.ndarray
    """bool [L]: the answer is right or wrong."""
    stratum: np.ndarray
    """int64 [L], index into the strata."""
    stratum_pairs: np.ndarray
    """float64 [H]: pairs of the dataset that the answers of each stratum stand for."""
    drawn: bool
    """They are a draw without replacement from the pairs of the dataset (labels). False: they are all that annotations
    say, and an interval tells how much others that come the same way would differ."""

    def __len__(self) -> int:
        return len(self.row)

    @cached_property
    def counts(self) -> np.ndarray:
        """int64 [H]: answers in each stratum."""
        return np.bincount(self.stratum, minlength=len(self.stratum_pairs))

    @cached_property
    def _share(self) -> np.ndarray:
        return np.divide(self.counts, self.stratum_pairs, out=np.ones(len(self.counts)), where=self.stratum_pairs > 0)

    @cached_property
    def weights(self) -> np.ndarray:
        """float64 [L]: pairs that each answer stands for."""
        return 1 / self._share[self.stratum]

    @cached_property
    def remaining(self) -> np.ndarray:
        """float64 [L]: 1 - n_h / N_h of the answer's stratum, the correction for a draw from a finite population."""
        return 1 - self._share[self.stratum] if self.drawn else np.ones(len(self))


def reach_all(stratum: np.ndarray, stratum_pairs: np.ndarray) -> tuple[np.ndarray, int]:
    """Pairs of strata without any answer count to the nearest stratum (by index) that has some.

    Args:
        stratum: int64 [L].
        stratum_pairs: float64 [H].

    Returns:
        float64 [H], 0 for strata without answers; and how many pairs were counted elsewhere.
    """
    answered = np.unique(stratum)
    pairs = np.zeros(len(stratum_pairs))
    moved = 0
    for number, size in enumerate(stratum_pairs.tolist()):
        nearest = int(answered[np.argmin(np.abs(answered - number))])
        pairs[nearest] += size
        moved += 0 if nearest == number else int(size)
    return pairs, moved
