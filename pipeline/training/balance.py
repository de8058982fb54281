"""`data.balance`: fewer pairs of nouns that have very many, so that a few do not make up most of what is learnt."""

import hashlib
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.training.config import BalanceConfig

_RANKS = 60
"""Points of the curve, in even ratios."""


@dataclass(frozen=True)
class Balance:
    """What `data.balance` does to the training pairs."""

    threshold: int
    """Pairs of a noun above which it loses some: the least of `per_noun` and `cap`."""
    pairs_before: int
    pairs_after: int
    head_nouns: int
    """With more pairs than the threshold."""
    tail_nouns: int
    """The others, which keep all."""
    tail_share_before: float
    """Of the pairs, 0..1."""
    tail_share_after: float
    ranks: list[int]
    """Places in the order of nouns by frequency, from 1 (the most frequent), in even ratios."""
    before: list[int]
    """Pairs of the noun at each of these ranks."""
    after: list[int]
    """Pairs at that rank afterwards, in their own order."""

    def __str__(self) -> str:
        """One line for the terminal."""
        shown = [index for index, rank in enumerate(self.ranks) if str(rank).strip("0") == "1"]
        curve = ", ".join(f"{self.ranks[index]}: {self.before[index]} → {self.after[index]}" for index in shown)
        return (
            f"balanced to {self.threshold} pairs a noun: {self.pairs_after} of {self.pairs_before} pairs are kept; the "
            f"{self.tail_nouns} nouns of the tail, which lose none, were {self.tail_share_before:.1%} of the pairs and "
            f"are {self.tail_share_after:.1%}; pairs by rank of the noun: {curve}"
        )


def balance_pairs(pairs: pa.Table, config: BalanceConfig) -> tuple[np.ndarray, Balance] | None:
    """Which pairs are kept: bool [P], and what that changes; None if nothing is configured.

    A pair of a noun with n pairs is kept with probability min(1, t/n) (MetaCLIP, Xu et al. 2023, Algorithm 1), t being
    `per_noun`; of those that are left, a noun keeps `cap` at most. Each pair has one number, which follows from its key
    and the seed alone, and decides both: a smaller t keeps a part of what a larger one keeps, and other pairs change
    nothing but n.

    Args:
        pairs: those that are trained on, with `key` and `noun`.
    """
    if config.per_noun is None and config.cap is None:
        return None
    draws_P = _draws(pairs["key"].to_pylist(), config.seed)
    _, noun_P, counts_N = np.unique(
        pairs["noun"].combine_chunks().dictionary_encode().indices.to_numpy(), return_inverse=True, return_counts=True
    )
    kept_P = np.ones(len(pairs), bool)
    if config.per_noun is not None:
        kept_P = draws_P * counts_N[noun_P] < config.per_noun
    if config.cap is not None:
        kept_P &= _ranks_in_groups(draws_P, noun_P, counts_N) < config.cap
    threshold = min(limit for limit in (config.per_noun, config.cap) if limit is not None)
    return kept_P, _described(counts_N, np.bincount(noun_P[kept_P], minlength=len(counts_N)), threshold)


def _draws(keys: list[str], seed: int) -> np.ndarray:
    """A number for each key, even in 0..1: float64 [P], the same on every machine."""
    digests = b"".join(hashlib.sha256(f"{seed} {key}".encode()).digest()[:8] for key in keys)
    return np.frombuffer(digests, ">u8") / 2.0**64


def _ranks_in_groups(draws_P: np.ndarray, noun_P: np.ndarray, counts_N: np.ndarray) -> np.ndarray:
    """Of each pair how many of its noun have a lower number: int [P]."""
    order_P = np.lexsort((draws_P, noun_P))
    ranks_P = np.empty(len(draws_P), np.int64)
    ranks_P[order_P] = np.arange(len(draws_P)) - np.repeat(np.cumsum(counts_N) - counts_N, counts_N)
    return ranks_P


def _described(before_N: np.ndarray, after_N: np.ndarray, threshold: int) -> Balance:
    tail_N = before_N <= threshold
    ranks = (
        np.unique(np.geomspace(1, len(before_N), _RANKS).round().astype(int)) if len(before_N) else np.array([], int)
    )
    powers = 10 ** np.arange(len(str(len(before_N))))  # so that these are among them
    ranks = np.union1d(ranks, powers[powers <= len(before_N)])
    before, after = (np.sort(counts_N)[::-1][ranks - 1].tolist() for counts_N in (before_N, after_N))
    share_before, share_after = (
        float(counts_N[tail_N].sum() / max(counts_N.sum(), 1)) for counts_N in (before_N, after_N)
    )
    head = int(np.count_nonzero(~tail_N))
    return Balance(
        threshold,
        pairs_before=int(before_N.sum()),
        pairs_after=int(after_N.sum()),
        head_nouns=head,
        tail_nouns=len(before_N) - head,
        tail_share_before=share_before,
        tail_share_after=share_after,
        ranks=ranks.tolist(),
        before=before,
        after=after,
    )
