"""Which nouns which training data know: the paper's seen and unseen classes, in the micro world."""

from dataclasses import dataclass

import numpy as np

from pipeline.microworld.categories import GROUNDS, NAMES, THINGS


@dataclass(frozen=True)
class Groups:
    """The 42 nouns in three groups, a third of the grounds and things or so in each of the first two."""

    annotated: frozenset[str]
    """14 nouns: the only ones that true masks of "few classes" are labelled with. Captions name them too."""
    captioned: frozenset[str]
    """21 nouns that captions name, and ground truth with few classes lacks."""
    unnamed: frozenset[str]
    """7 nouns that no caption of the mined images names; only the pretraining has seen them."""

    def of(self, name: str) -> str:
        """The name of the group of a noun."""
        return next(group for group in ("annotated", "captioned", "unnamed") if name in getattr(self, group))


def draw_groups(seed: int) -> Groups:
    """Deal the nouns out at random, grounds and things in proportion."""
    rng = np.random.default_rng((seed, 42))
    grounds, things = (rng.permutation(list(kind)).tolist() for kind in (GROUNDS, THINGS))
    annotated, unnamed = {*grounds[:4], *things[:10]}, {*grounds[4:6], *things[10:15]}
    return Groups(frozenset(annotated), frozenset(NAMES) - annotated - unnamed, frozenset(unnamed))
