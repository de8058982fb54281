"""What the proposal model and CLIP say of each mask, fused (OVSeg Sec. 3.1).

Shape suffixes: Q masks of an image, V of them valid, C classes, H×W the image, P pixels (or groups of equal ones).
"""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

UNLABELLED = 65535
"""The label of pixels that no class wins."""


def fuse(
    proposal_logits: torch.Tensor | None,
    mask_logits: torch.Tensor,
    region_logits: torch.Tensor,
    valid: torch.Tensor,
    weight: float,
) -> torch.Tensor:
    """Scores of every class at every pixel, float32 [C,H,W]: Σ over masks of class score times mask probability.

    Whole at once, for small maps; `Prediction.label_map` returns the classes that win without holding the scores.

    Args:
        proposal_logits: [Q,C+1], last column: no object. None where the proposals are not classified, which counts
            as uniform.
        mask_logits: [Q,H,W].
        region_logits: [V,C], CLIP's.
        valid: bool [Q], the masks that CLIP could look at.
        weight: λ, see `class_scores`.
    """
    scores_QC = class_scores(proposal_logits, region_logits, valid, weight)
    return torch.einsum("qc,qhw->chw", scores_QC, torch.as_tensor(mask_logits).float().sigmoid())


def class_scores(
    proposal_logits: torch.Tensor | np.ndarray | None,
    region_logits: torch.Tensor | np.ndarray,
    valid: torch.Tensor | np.ndarray,
    weight: float,
) -> torch.Tensor:
    """Class scores of each mask, p^(1−λ) · q^λ, float32 [Q,C], not normalised. Arguments as for `fuse`.

    p is the proposals' softmax over the classes and "no object", which is then dropped; q is CLIP's softmax over the
    classes, and 1 for masks that are not valid, so that they keep p^(1−λ). Masks of which nothing is known, invalid
    ones at λ = 1 or without proposal logits, score 0: they could only add the same to every class. λ = 0 is the
    proposals' classification alone (the paper's meaning; the reference code's differs), and 0 without any.
    """
    valid_Q, region_logits_VC = torch.as_tensor(valid), torch.as_tensor(region_logits).float()
    log_scores_QC = torch.zeros(len(valid_Q), region_logits_VC.shape[1])
    known_Q = valid_Q.clone() if weight > 0 else torch.zeros_like(valid_Q)
    # A branch of weight 0 is left out, not multiplied by 0: an oracle's logits may be infinite.
    if weight < 1:
        if proposal_logits is None:
            log_scores_QC -= (1 - weight) * torch.tensor(log_scores_QC.shape[1] + 1.0).log()
        else:
            log_p_QC = F.log_softmax(torch.as_tensor(proposal_logits).float(), dim=1)[:, :-1]
            log_scores_QC += (1 - weight) * log_p_QC
            known_Q[:] = True
    if weight > 0:
        log_scores_QC[valid_Q] += weight * F.log_softmax(region_logits_VC, dim=1)
    return log_scores_QC.exp() * known_Q[:, None]


def winners(scores_PC: np.ndarray, classes: int) -> np.ndarray:
    """Labels int64 [P] of the classes with the highest scores; UNLABELLED where all scores are 0, or where a column
    from `classes` on wins, which is background.
    """
    # Both stay in NumPy: its product and its argmax take half the time of torch's on the CPU for these shapes.
    labels_P = scores_PC.argmax(axis=1)
    best_P = np.take_along_axis(scores_PC, labels_P[:, None], axis=1)[:, 0]
    labels_P[(best_P <= 0) | (labels_P >= classes)] = UNLABELLED
    return labels_P
