"""What a verifier, a further CLIP, says of the candidates of an image.

Mining asks with the candidates at hand; afterwards, they come from the candidates table. Both ask the same question
(`asked_of`), so that both get the same answer, to the last bit.

Shape suffixes: C candidates of the image, V their masks, N their texts, D embedding width.
"""

from typing import NamedTuple

import numpy as np

from pipeline.dataset.verified import SecondOpinion
from pipeline.masks.masks import Masks
from pipeline.mining.config import MatchedText
from pipeline.mining.work import Image


class Asked(NamedTuple):
    """The candidates of one image, noun after noun, each noun's best first: rows of the candidates table."""

    masks: Masks
    """V: each mask once, in the order of the proposals."""
    texts: list[str]
    """N: each text once, in the order of the candidates."""
    mask: np.ndarray
    """int64 [C], index into `masks`."""
    text: np.ndarray
    """int64 [C], index into `texts`."""


def asked_of(image: Image, text: MatchedText) -> Asked:
    """The candidates of an image that was matched.

    Args:
        text: what was matched.
    """
    assert image.proposals is not None  # it was matched
    assert image.valid is not None
    candidates = [candidate for best in image.matches or () for candidate in best]
    regions = np.array([candidate.region for candidate in candidates], np.int64)
    chosen_V, mask_C = np.unique(np.flatnonzero(image.valid)[regions], return_inverse=True)
    named = [image.nouns[candidate.noun][text] for candidate in candidates]
    texts = list(dict.fromkeys(named))
    text_C = np.array([texts.index(text) for text in named], np.int64)
    return Asked(image.proposals.masks.select(chosen_V), texts, mask_C, text_C)


def judged(features_VD: np.ndarray, texts_ND: np.ndarray, asked: Asked) -> SecondOpinion:
    """The opinion of a verifier: see `schemas.verified_schema`. Equal scores have equal ranks.

    Args:
        features_VD: float32, unit-length embeddings of the masked regions.
        texts_ND: float32, unit-length embeddings of the texts.
    """
    scores_VN = features_VD @ texts_ND.T
    mask_C, text_C = asked.mask, asked.text
    score_C = scores_VN[mask_C, text_C]
    # Of each candidate its mask with every text, and its text with every mask that is a candidate of it.
    of_mask_CN = scores_VN[mask_C]
    is_candidate_VN = np.zeros(scores_VN.shape, bool)
    is_candidate_VN[mask_C, text_C] = True
    of_text_CV = np.where(is_candidate_VN, scores_VN, -np.inf)[:, text_C].T
    return SecondOpinion(
        score_C,
        _margin(score_C, of_mask_CN, text_C),
        _margin(score_C, of_text_CV, mask_C),
        (of_text_CV > score_C[:, None]).sum(axis=1, dtype=np.int32),
        (of_mask_CN > score_C[:, None]).sum(axis=1, dtype=np.int32),
    )


def _margin(score_C: np.ndarray, scores_CX: np.ndarray, own_C: np.ndarray) -> np.ndarray:
    """Scores minus the best of their row but for their own; NaN where there is no other."""
    others_CX = scores_CX.copy()
    others_CX[np.arange(len(own_C)), own_C] = -np.inf
    best_C = others_CX.max(axis=1, initial=-np.inf)
    return np.where(np.isfinite(best_C), score_C - best_C, np.nan).astype(np.float32)
