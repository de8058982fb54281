"""Soft masks that answer names, and their scores → binary masks in the frame of the image.

Shape suffixes: T names, Q masks of the network for each, K of them all that answer, h×w their resolution.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pipeline.images import ImageProblem
from pipeline.masks.masks import Masks
from pipeline.masks.upsampling import upsampled_runs


@dataclass(frozen=True)
class Answer:
    """What a network gives for one name."""

    masks: Masks
    scores: np.ndarray
    """float32, of each mask: a probability."""


def answers(
    scores_TQ: torch.Tensor,
    masks_TQhw: torch.Tensor,
    threshold: float,
    height: int,
    width: int,
    mask_threshold: float,
) -> list[Answer]:
    """Of each name the masks whose score is above a threshold; those that are not numbers are dropped.

    Probabilities are interpolated, not logits, as `post_process_instance_segmentation` of SAM 3's processor does.

    Args:
        scores_TQ: float32 probabilities.
        masks_TQhw: logits, float on the same device, covering the whole image.
        height, width: of the image.
        mask_threshold: probability above which a pixel is inside.

    Raises:
        ImageProblem: `not_a_number`, if nothing is left of a name's scores, or of its masks that answer, for that
            reason.
    """
    above_TQ = scores_TQ > threshold
    masks_Khw, scores_K = masks_TQhw[above_TQ].float(), scores_TQ[above_TQ]
    numbers_K = masks_Khw.flatten(1).isfinite().all(dim=1)
    names_K = torch.nonzero(above_TQ)[:, 0].cpu().numpy()
    finite_T, finite_K = scores_TQ.isfinite().any(dim=1).cpu().numpy(), numbers_K.cpu().numpy()
    counts_T, kept_T = (np.bincount(some, minlength=len(finite_T)) for some in (names_K, names_K[finite_K]))
    if not finite_T.all() or ((counts_T > 0) & (kept_T == 0)).any():
        raise ImageProblem("not_a_number", "the proposal model gave masks or scores that are not numbers")
    soft_Khw = masks_Khw[numbers_K].sigmoid()
    masks = Masks.of_runs(list(upsampled_runs(soft_Khw, height, width, mask_threshold)), height, width)
    scores = scores_K[numbers_K].cpu().numpy()
    ends_T = np.cumsum(kept_T)
    return [
        Answer(masks.select(range(end - count, end)), scores[end - count : end])
        for end, count in zip(ends_T.tolist(), kept_T.tolist(), strict=True)
    ]


def joined(
    found: Sequence[Answer], names: Sequence[str], height: int, width: int
) -> tuple[Masks, list[dict[str, float]]]:
    """The masks of all names of an image, and of each mask its name and score."""
    masks = Masks([code for answer in found for code in answer.masks], height, width)
    prompts = [{name: float(score)} for name, answer in zip(names, found, strict=True) for score in answer.scores]
    return masks, prompts
