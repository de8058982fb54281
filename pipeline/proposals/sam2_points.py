"""SAM 2 is asked what lies at the points of a grid, and its answers are sifted.

Shape suffixes: P points, K masks, h×w their resolution.
"""

import torch


def point_grid(per_side: int, side: int) -> torch.Tensor:
    """The centres of per_side × per_side equal cells of the network's square input, float32 [P,2] as x, y in pixels.

    The input shows the whole image, so the grid is stretched with it.
    """
    centres = (torch.arange(per_side) + 0.5) * (side / per_side)
    return torch.cartesian_prod(centres, centres).flip(1)


def sift(
    mask_logits: torch.Tensor, iou_K: torch.Tensor, level: float, *, iou: float, stable: float, offset: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The masks that the model trusts, float [K',h,w], with their predicted IoU float32 [K'].

    What is not a number stays: somebody has to be told.

    Args:
        mask_logits: float [K,h,w].
        iou_K: float, what the model predicts.
        level: logit above which a pixel is inside.
        iou: masks of a lower predicted IoU are dropped.
        stable: masks of a lower stability are dropped.
        offset: for `stability`.
    """
    trusted_K = ~(iou_K < iou)  # not >=, which drops what is not a number
    mask_logits, iou_K = mask_logits[trusted_K], iou_K[trusted_K]
    stable_K = ~(stability(mask_logits, level, offset) < stable)
    return mask_logits[stable_K], iou_K[stable_K].float()


def stability(mask_logits: torch.Tensor, level: float, offset: float) -> torch.Tensor:
    """IoU of the masks at thresholds of `level` + `offset` and `level` − `offset`, float32 [K] (SAM, arXiv 2304.02643,
    App. B). Not a number if both are empty.

    Args:
        mask_logits: float [K,h,w].
    """
    smaller_K = (mask_logits > level + offset).flatten(1).sum(dim=1)
    larger_K = (mask_logits > level - offset).flatten(1).sum(dim=1)
    return smaller_K / larger_K
