"""For each noun of an image, the region that CLIP finds most similar (OVSeg Sec. 3.2, Fig. 3).

Shape suffixes: V regions, N nouns of the image, D embedding width.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.mining.config import MatchingConfig


@dataclass(frozen=True)
class Candidate:
    """One region for one noun. `noun` and `region` are indices; rank 0 is the noun's best region."""

    noun: int
    region: int
    rank: int
    score: float
    noun_margin: float | None
    mask_margin: float | None


def match(
    features_VD: np.ndarray, nouns_ND: np.ndarray, candidates: int, allowed_VN: np.ndarray | None = None
) -> list[list[Candidate]]:
    """The `candidates` best regions of every noun, best first; ties go to the lower region index.

    `score` is the cosine similarity. `noun_margin` is the score minus the best score of the same region with
    another noun of the image (None with one noun; negative where another noun fits the region better).
    `mask_margin` is the score minus that of the next best region of the same noun (None if there is none).

    Args:
        features_VD: float32, unit-length region embeddings.
        nouns_ND: float32, unit-length noun embeddings.
        allowed_VN: bool, the regions that each noun may choose among; None: all. The margin to another noun is that of
            the region, whoever may choose it.
    """
    if not len(features_VD):
        return [[] for _ in nouns_ND]
    scores_VN = features_VD @ nouns_ND.T
    order_VN = np.argsort(-scores_VN, axis=0, kind="stable")
    found = []
    for noun in range(len(nouns_ND)):
        order = order_VN[:, noun]
        if allowed_VN is not None:
            order = order[allowed_VN[order, noun]]
        order = order[: candidates + 1]
        others_VN = np.delete(scores_VN, noun, axis=1)
        best = []
        for rank, region in enumerate(order[:candidates]):
            score = scores_VN[region, noun]
            best.append(
                Candidate(
                    noun=noun,
                    region=int(region),
                    rank=rank,
                    score=float(score),
                    noun_margin=float(score - others_VN[region].max()) if others_VN.shape[1] else None,
                    mask_margin=float(score - scores_VN[order[rank + 1], noun]) if rank + 1 < len(order) else None,
                )
            )
        found.append(best)
    return found


def passes(candidate: Candidate, mask_area: int, config: MatchingConfig) -> bool:
    """Whether a noun's best candidate becomes a pair. A margin that does not exist passes."""
    limits = (
        (candidate.score, config.min_score),
        (candidate.noun_margin, config.min_noun_margin),
        (candidate.mask_margin, config.min_mask_margin),
        (mask_area, config.min_area),
    )
    return all(value is None or limit is None or value >= limit for value, limit in limits)
