"""Which pairs a report shows."""

from dataclasses import dataclass

import numpy as np

from pipeline.report.dataset.reading import Pairs
from pipeline.report.dataset.shared import SharedMasks

GROUPS = ("random", "best", "worst", "shared", "nouns")
"""Why a pair was chosen: by chance; for its score; because several nouns share its mask; as the one of its noun."""

_SHARES = {"best": 0.15, "worst": 0.15, "shared": 0.15, "nouns": 0.25}
"""Of the pairs shown; the rest is random."""


@dataclass(frozen=True)
class ShownPairs:
    """Pairs to show; S of them, in a random order."""

    pairs: np.ndarray
    """int64 [S]: indices into `Pairs`, each once."""
    groups: dict[str, np.ndarray]
    """By group, bool [S]; a pair may be in several, and `random` is a random sample of all pairs by itself."""

    def first(self, count: int) -> "ShownPairs":
        """The first `count` of them."""
        return ShownPairs(self.pairs[:count], {group: chosen[:count] for group, chosen in self.groups.items()})


def choose(pairs: Pairs, shared: SharedMasks, count: int, seed: int) -> ShownPairs:
    """At most `count` pairs of every kind; all if there are no more. Equal seeds choose equally."""
    generator = np.random.default_rng(seed)
    all_of_them = count >= len(pairs)
    quota = {group: int(share * min(count, len(pairs))) for group, share in _SHARES.items()}
    by_score = np.argsort(pairs.score, kind="stable")
    chosen = {
        "best": by_score[::-1][: quota["best"]],
        "worst": by_score[: quota["worst"]],
        "shared": _of_shared_masks(shared, quota["shared"], generator),
        "nouns": _one_of_each_noun(pairs, quota["nouns"], generator),
    }
    # Drawn from all pairs, whatever else was chosen: what is seen here is what the dataset looks like.
    random = count - len(np.unique(np.concatenate(list(chosen.values())))) if not all_of_them else len(pairs)
    chosen["random"] = generator.choice(len(pairs), random, replace=False) if len(pairs) else by_score
    indices = generator.permutation(np.unique(np.concatenate(list(chosen.values()))))
    return ShownPairs(indices, {group: np.isin(indices, chosen[group]) for group in GROUPS})


def _of_shared_masks(shared: SharedMasks, quota: int, generator: np.random.Generator) -> np.ndarray:
    """All pairs of some masks that several nouns share."""
    starts = generator.permutation(np.unique(shared.start[shared.nouns > 1]))
    sizes = shared.pairs[shared.order[starts]]
    starts = starts[np.cumsum(sizes) <= quota]
    return np.concatenate([np.zeros(0, np.int64), *(shared.of(shared.order[start]) for start in starts)])


def _one_of_each_noun(pairs: Pairs, quota: int, generator: np.random.Generator) -> np.ndarray:
    """A random pair of every noun, rare nouns first."""
    mixed = generator.permutation(len(pairs))
    nouns, first = np.unique(pairs.noun[mixed], return_index=True)
    rarest = np.argsort(np.bincount(pairs.noun, minlength=len(pairs.nouns))[nouns], kind="stable")
    return mixed[first[rarest[:quota]]]
