"""Groups of nouns by how often they occur."""

import numpy as np

from pipeline.quality.columns import PairColumns

GROUPS = ("tail nouns", "middle nouns", "frequent nouns")
"""Thirds of the pairs, the rarest nouns first."""


def noun_groups(pairs: PairColumns) -> np.ndarray:
    """int64 [N]: the group of each noun, index into `GROUPS`; nouns with equally many pairs are in one group."""
    counts, level_of = np.unique(pairs.noun_pairs, return_inverse=True)
    pairs_of = counts * np.bincount(level_of)
    middle = (np.cumsum(pairs_of) - pairs_of / 2) / len(pairs)
    return np.searchsorted((1 / 3, 2 / 3), middle)[level_of]
