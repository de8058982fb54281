"""Soft masks of a network and their scores → proposals. The same for every backend that learned.

Shape suffixes: B images, K masks of each, h×w the network's resolution, H×W the image.
"""

from collections.abc import Sequence

import numpy as np
import torch

from pipeline.images import ImageProblem
from pipeline.masks.masks import Masks
from pipeline.masks.soft import logit
from pipeline.masks.upsampling import upsampled_runs
from pipeline.proposals.config import ProposalsConfig
from pipeline.proposals.filtering import keep
from pipeline.proposals.proposer import Proposals
from pipeline.proposals.soft_filtering import choose


def soft_proposals(
    masks_BKhw: torch.Tensor, scores_BK: torch.Tensor, height: int, width: int, config: ProposalsConfig
) -> list[Proposals]:
    """The proposals of each image to keep, chosen at the network's resolution, then upsampled.

    Masks with numbers that are none, and those whose score is none, are dropped.

    Args:
        masks_BKhw: logits, float on any device, covering the whole image; pixels above `proposals.mask_threshold` as
            probabilities are inside.
        scores_BK: float, higher is better.
        height, width: of the images.

    Raises:
        ImageProblem: `not_a_number`, if nothing is left of K > 0 masks of an image for that reason.
    """
    choices = choose(masks_BKhw, scores_BK, config)
    if any(len(choice.numbers) and not choice.numbers.any() for choice in choices):
        raise ImageProblem("not_a_number", "the proposal model gave masks or scores that are not numbers")
    found = _upsampled(masks_BKhw, [choice.kept for choice in choices], height, width, config)
    return [
        _within_limits(masks, choice.scores[choice.kept], config) for masks, choice in zip(found, choices, strict=True)
    ]


def _upsampled(
    masks_BKhw: torch.Tensor, kept: Sequence[np.ndarray], height: int, width: int, config: ProposalsConfig
) -> list[Masks]:
    """The masks that are kept of each image, all brought to the size of the images together."""
    images = np.repeat(np.arange(len(kept)), [len(some) for some in kept])
    rows = torch.from_numpy(images * masks_BKhw.shape[1] + np.concatenate(kept)).to(masks_BKhw.device)
    chosen = masks_BKhw.flatten(0, 1)[rows]
    masks = Masks.of_runs(list(upsampled_runs(chosen, height, width, logit(config.mask_threshold))), height, width)
    ends = np.cumsum([len(some) for some in kept])
    return [masks.select(range(end - len(some), end)) for end, some in zip(ends, kept, strict=True)]


def _within_limits(masks: Masks, scores: np.ndarray, config: ProposalsConfig) -> Proposals:
    """Upsampling moves areas and overlaps a little: the limits hold for what is given out."""
    kept = keep(masks, scores, config)
    return Proposals(masks.select(kept), scores[kept])


def mask_confidence(masks_BKhw: torch.Tensor, threshold: float) -> torch.Tensor:
    """Mean probability of the pixels that are inside, float32 [B,K]; 0 for empty masks (MaskFormer's mask score).

    Args:
        masks_BKhw: logits, float.
        threshold: probability above which a pixel is inside.
    """
    logits_BKP = masks_BKhw.flatten(2)
    inside_BKP = logits_BKP > logit(threshold)
    sums_BK = (logits_BKP.float().sigmoid() * inside_BKP).sum(dim=2)
    return sums_BK / inside_BKP.sum(dim=2).clamp(min=1)
