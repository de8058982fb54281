"""Which classes a mined noun votes for, whatever the classes are.

A noun that is a name of a class, in any case of letters, votes for it (in equal parts for several that share the name).
Any other noun votes for the classes whose names mean nearly the same by the text embeddings of CLIP, those that reach
`noun_similarity`: shared among them by the softmax with which CLIP itself chooses. Without any it votes for no class.

Shape suffixes: M nouns, N names, C classes and then background names, D embedding width.
"""

from collections.abc import Sequence

import numpy as np


def assign_nouns(
    nouns: Sequence[str],
    noun_embeddings_MD: np.ndarray,
    classes: Sequence[tuple[str, ...]],
    name_embeddings_ND: np.ndarray,
    temperature: float,
    noun_similarity: float,
) -> np.ndarray:
    """A: the share of each noun's vote that a class gets, float32 [M,C]; rows sum to 1, or to 0 for no class.

    Args:
        nouns: lower case.
        noun_embeddings_MD: their text embeddings, of unit length.
        classes: the names of each class, and of each background class.
        name_embeddings_ND: the text embeddings of all names, one class after the other, of unit length.
        temperature: factor on cosine similarities before the softmax over the classes.
        noun_similarity: least cosine similarity of a noun and a name that means the same; 1: only names vote.
    """
    assigned_MC = np.zeros((len(nouns), len(classes)), np.float32)
    of_name: dict[str, set[int]] = {}
    for column, names in enumerate(classes):
        for name in names:
            of_name.setdefault(_plain(name), set()).add(column)
    named_M = np.zeros(len(nouns), bool)
    for row, noun in enumerate(nouns):
        if columns := of_name.get(_plain(noun)):
            assigned_MC[row, list(columns)] = 1 / len(columns)
            named_M[row] = True
    if noun_similarity >= 1 or named_M.all():
        return assigned_MC
    first_names = np.cumsum([0, *(len(names) for names in classes[:-1])])
    others = np.flatnonzero(~named_M)
    similarities_MC = np.maximum.reduceat(noun_embeddings_MD[others] @ name_embeddings_ND.T, first_names, axis=1)
    near_MC = similarities_MC >= noun_similarity
    meant = near_MC.any(axis=1)
    logits_MC = np.where(near_MC[meant], temperature * similarities_MC[meant], -np.inf)
    shares_MC = np.exp(logits_MC - logits_MC.max(axis=1, keepdims=True, initial=-np.inf))
    assigned_MC[others[meant]] = shares_MC / shares_MC.sum(axis=1, keepdims=True)
    return assigned_MC


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())
