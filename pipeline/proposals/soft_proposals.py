"""Soft masks of a network and their scores → proposals. The same for every backend that learned.

Shape suffixes: K masks, h×w the network's resolution, H×W the image.
"""

import numpy as np
import torch

from pipeline.images import ImageProblem
from pipeline.masks.masks import Masks
from pipeline.masks.soft import binarize, encode, logit
from pipeline.proposals.config import ProposalsConfig
from pipeline.proposals.filtering import keep
from pipeline.proposals.proposer import Proposals


def soft_proposals(
    mask_logits: torch.Tensor, scores_K: torch.Tensor, height: int, width: int, config: ProposalsConfig
) -> Proposals:
    """The proposals to keep, chosen at the network's resolution, then upsampled.

    Masks with numbers that are none, and those whose score is none, are dropped.

    Args:
        mask_logits: float [K,h,w] on any device, covering the whole image; pixels above `proposals.mask_threshold` as
            probabilities are inside.
        scores_K: float [K], higher is better.
        height, width: of the image.

    Raises:
        ImageProblem: `not_a_number`, if nothing is left of K > 0 masks for that reason.
    """
    numbers_K = are_numbers(mask_logits, scores_K)
    if len(numbers_K) and not numbers_K.any():
        raise ImageProblem("not_a_number", "the proposal model gave masks or scores that are not numbers")
    mask_logits, scores = mask_logits[numbers_K], scores_K[numbers_K].float().cpu().numpy()
    small = Masks(encode(mask_logits > logit(config.mask_threshold)), *mask_logits.shape[1:])
    kept = keep(small, scores, config)
    masks = binarize(mask_logits[torch.from_numpy(kept)], height, width, config.mask_threshold)
    scores = scores[kept]
    # Upsampling moves areas and overlaps a little: the limits hold for what is given out.
    kept = keep(masks, scores, config)
    return Proposals(masks.select(kept), scores[kept].astype(np.float32))


def are_numbers(mask_logits: torch.Tensor, scores_K: torch.Tensor) -> torch.Tensor:
    """Whether a mask [h,w] and its score consist of finite numbers, bool [K]."""
    return scores_K.isfinite() & mask_logits.isfinite().flatten(1).all(dim=1)


def mask_confidence(mask_logits: torch.Tensor, threshold: float) -> torch.Tensor:
    """Mean probability of the pixels that are inside, float32 [K]; 0 for empty masks (MaskFormer's mask score).

    Args:
        mask_logits: float [K,h,w].
        threshold: probability above which a pixel is inside.
    """
    inside_Khw = mask_logits > logit(threshold)
    sums_K = (mask_logits.float().sigmoid() * inside_Khw).flatten(1).sum(dim=1)
    return sums_K / inside_Khw.flatten(1).sum(dim=1).clamp(min=1)
