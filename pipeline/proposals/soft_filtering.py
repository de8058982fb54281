"""Which soft masks are kept, at their own resolution: as `filtering.keep`, by products of the binary masks.

What the choice depends on leaves the device together: for hundreds of masks of some images, once.

Shape suffixes: B images, K masks, R and C some of them, P pixels of a mask.
"""

from dataclasses import dataclass

import numpy as np
import torch

from pipeline.masks.overlaps import iou_of_counts
from pipeline.masks.soft import logit
from pipeline.proposals.config import ProposalsConfig
from pipeline.proposals.filtering import best_first, suppress

# Masks of an image of which all pairs are compared at once, and which are compared together if there are more.
_ALL_PAIRS = {"cpu": 256, "cuda": 1024}
_ROWS_PER_BLOCK = {"cpu": 64, "cuda": 1024}
_MASKS_AT_ONCE = 64


@dataclass(frozen=True)
class Choice:
    """The soft masks of an image that are kept."""

    kept: np.ndarray
    """Their indices, int64, best first."""
    scores: np.ndarray
    """Of all K masks, float32."""
    numbers: np.ndarray
    """Whether a mask and its score consist of finite numbers, bool [K]; others are not kept."""


def choose(masks_BKhw: torch.Tensor, scores_BK: torch.Tensor, config: ProposalsConfig) -> list[Choice]:
    """The choice for each image.

    Args:
        masks_BKhw: logits, float on any device; pixels above `proposals.mask_threshold` as probabilities are inside. At
            most 2²⁴ of them in a mask, so that float32 counts them exactly.
        scores_BK: float, higher is better.
    """
    logits_BKP = masks_BKhw.flatten(2)
    if masks_BKhw.shape[1] > _ALL_PAIRS.get(masks_BKhw.device.type, _ALL_PAIRS["cpu"]):
        return [_of_many(*image, config) for image in zip(logits_BKP, scores_BK, strict=True)]
    inside_BKP = _inside(logits_BKP, config)
    common_BKK = inside_BKP @ inside_BKP.mT
    facts_BK3 = torch.stack([scores_BK, logits_BKP.amax(dim=2), logits_BKP.amin(dim=2)], dim=2)
    facts = torch.cat([facts_BK3, common_BKK], dim=2).cpu().numpy()
    return [_of_all_pairs(image, logits_BKP.shape[2], config) for image in facts]


def _of_all_pairs(facts: np.ndarray, frame: int, config: ProposalsConfig) -> Choice:
    """The choice where all is known: of a mask its score, greatest, least, and what it has in common with each one.

    Args:
        facts: float32 [K,3+K].
    """
    scores_K, common_KK = facts[:, 0].astype(np.float32), facts[:, 3:]
    numbers_K = np.isfinite(facts[:, :3]).all(axis=1)
    areas_K = common_KK.diagonal()
    above_KK = iou_of_counts(common_KK, areas_K, areas_K) > np.float32(config.max_iou)
    waiting = best_first(areas_K, frame, scores_K, config)
    kept = suppress(
        waiting[numbers_K[waiting]],
        lambda rows, columns, _: above_KK[np.ix_(rows, columns)],
        config.max_proposals,
        max(1, len(waiting)),
    )
    return Choice(kept, scores_K, numbers_K)


def _of_many(logits_KP: torch.Tensor, scores_K: torch.Tensor, config: ProposalsConfig) -> Choice:
    """The choice among so many masks that only blocks of them are compared with those kept."""
    parts = [
        torch.stack([part.amax(dim=1), part.amin(dim=1), _inside(part, config).sum(dim=1)], dim=1)
        for part in logits_KP.split(_MASKS_AT_ONCE)
    ]
    facts = torch.cat([scores_K[:, None], torch.cat(parts)], dim=1).cpu().numpy()
    scores, areas_K = facts[:, 0], facts[:, 3]
    numbers_K = np.isfinite(facts).all(axis=1)

    def above(rows: np.ndarray, columns: np.ndarray, _: np.ndarray) -> np.ndarray:
        inside_RP, inside_CP = (
            _inside(logits_KP[torch.from_numpy(which).to(logits_KP.device)], config) for which in (rows, columns)
        )
        common_RC = (inside_RP @ inside_CP.T).cpu().numpy()
        return iou_of_counts(common_RC, areas_K[rows], areas_K[columns]) > np.float32(config.max_iou)

    waiting = best_first(areas_K, logits_KP.shape[1], scores, config)
    rows = _ROWS_PER_BLOCK.get(logits_KP.device.type, _ROWS_PER_BLOCK["cpu"])
    kept = suppress(waiting[numbers_K[waiting]], above, config.max_proposals, rows)
    return Choice(kept, scores, numbers_K)


def _inside(logits: torch.Tensor, config: ProposalsConfig) -> torch.Tensor:
    """1 where a logit is inside, else 0; float32."""
    inside = torch.empty(logits.shape, dtype=torch.float32, device=logits.device)
    return torch.gt(logits, logit(config.mask_threshold), out=inside)
