"""Over-fine masks → fewer and larger ones: parts that touch, and that look alike to CLIP, become one.

SAM 2's masks are finer than the categories of semantic segmentation (github.com/hustvl/MaskAdapter/issues/3). The union
takes the place of its parts. In the fusion of segmentation (OVSeg Sec. 3.1) every mask votes for a class on its pixels,
and a fragment, cropped out of what makes it recognisable, votes as confidently as the whole.

Shape suffixes: K masks, R some of them, h×w their resolution, P its pixels, N patches of CLIP, D its embedding width.
"""

import dataclasses
import math

import torch
import torch.nn.functional as F  # noqa: N812

from pipeline.masks.soft import logit
from pipeline.proposals.config import ProposalsConfig
from pipeline.proposals.soft_filtering import choose


def unite_similar(
    mask_logits: torch.Tensor,
    scores_K: torch.Tensor,
    patches_ND: torch.Tensor,
    grid: tuple[int, int],
    *,
    similarity: float,
    config: ProposalsConfig,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Drop duplicates and what is beyond the area limits, then unite pairs, the most similar first, until none is left.

    A pair is united if its masks touch or overlap (after growing one by a pixel, also diagonally), the cosine of their
    features is at least `similarity`, and the union is within the area limit. The feature of a mask is the mean of
    those of the patches, weighted by how much of each it covers. The union's logits are the greater of the two, its
    score their mean weighted by area; its feature is computed anew. Masks smaller than a patch stay as they are: what
    CLIP sees there are their surroundings.

    Args:
        mask_logits: float [K,h,w] on any device, covering the whole image.
        scores_K: float, higher is better.
        patches_ND: float32 of unit length, on the same device, of the whole image, row by row.
        grid: rows and columns of the patches.
        similarity: cosine.
        config: area limits, `max_iou` for duplicates, `mask_threshold`.

    Returns:
        mask logits and scores as given, but fewer. If none is a number, all of them.
    """
    level = logit(config.mask_threshold)
    height, width = mask_logits.shape[1:]
    # First, because what duplicates unite to has the faults of both. Not yet limited in number: parts further down may
    # belong to a whole.
    everything = dataclasses.replace(config, max_proposals=len(scores_K))
    [choice] = choose(mask_logits[None], scores_K[None], everything)
    if not choice.numbers.any():
        return mask_logits, scores_K
    kept = torch.from_numpy(choice.kept).to(mask_logits.device)
    parts = _Parts(mask_logits[kept], scores_K[kept], patches_ND, grid, level, config.max_area * height * width)
    while pair := parts.most_similar(similarity):
        parts.unite(*pair)
    return parts.mask_logits[parts.remaining_K], parts.scores_K[parts.remaining_K]


class _Parts:
    """Masks, and the cosine of the features of each two that may be united. Rows stay: a union takes that of its first
    part, and the other is no longer `remaining_K`.
    """

    def __init__(
        self,
        mask_logits: torch.Tensor,
        scores_K: torch.Tensor,
        patches_ND: torch.Tensor,
        grid: tuple[int, int],
        level: float,
        max_pixels: float,
    ) -> None:
        count = len(scores_K)
        self.mask_logits, self.scores_K = mask_logits, scores_K
        self.remaining_K = torch.ones(count, dtype=torch.bool, device=mask_logits.device)
        self._patches_ND, self._grid = patches_ND, grid
        self._level, self._max_pixels = level, max_pixels
        self._inside_KP = mask_logits.new_empty((count, mask_logits.shape[1:].numel()), dtype=torch.float32)
        self._features_KD = patches_ND.new_empty((count, patches_ND.shape[1]))
        self._seen_K = torch.empty_like(self.remaining_K)
        self._rows_K = torch.arange(count, device=mask_logits.device)
        self._describe(self._rows_K)
        self._cosines_KK = self._compare(self._rows_K)

    def most_similar(self, similarity: float) -> tuple[int, int] | None:
        """The rows of the pair to unite next, if there is one."""
        count = len(self.scores_K)
        if count < 2:
            return None
        best, index = self._cosines_KK.flatten().max(dim=0)
        return divmod(int(index), count) if best >= similarity else None

    def unite(self, first: int, second: int) -> None:
        pair = torch.tensor([first, second], device=self.scores_K.device)
        areas = self._inside_KP[pair].sum(dim=1)
        self.scores_K[first] = (self.scores_K[pair] * areas).sum() / areas.sum()
        self.mask_logits[first] = self.mask_logits[pair].amax(dim=0)
        self.remaining_K[second] = False
        self._describe(pair[:1])
        self._cosines_KK[first] = self._cosines_KK[:, first] = self._compare(pair[:1])[0]
        self._cosines_KK[second] = self._cosines_KK[:, second] = -math.inf

    def _describe(self, rows_R: torch.Tensor) -> None:
        """Bring what is known of some masks up to date."""
        inside_R1hw = (self.mask_logits[rows_R] > self._level).float()[:, None]
        covered_RN = F.adaptive_avg_pool2d(inside_R1hw, self._grid).flatten(1)
        self._inside_KP[rows_R] = inside_R1hw.flatten(1)
        self._features_KD[rows_R] = F.normalize(covered_RN @ self._patches_ND, dim=1)
        self._seen_K[rows_R] = covered_RN.sum(dim=1) >= 1

    def _compare(self, rows_R: torch.Tensor) -> torch.Tensor:
        """Cosines of some masks with all, float32 [R,K]; −∞ for pairs that must not be united."""
        inside_RP = self._inside_KP[rows_R]
        grown_R1hw = F.max_pool2d(inside_RP.view(-1, 1, *self.mask_logits.shape[1:]), 3, stride=1, padding=1)
        touching_RK = grown_R1hw.flatten(1) @ self._inside_KP.T > 0
        areas_K = self._inside_KP.sum(dim=1)
        union_RK = areas_K[rows_R, None] + areas_K - inside_RP @ self._inside_KP.T
        fitting_RK = touching_RK & (union_RK <= self._max_pixels) & self._seen_K[rows_R, None]
        fitting_RK &= self._seen_K & self.remaining_K & (rows_R[:, None] != self._rows_K)
        return torch.where(fitting_RK, self._features_KD[rows_R] @ self._features_KD.T, -math.inf)
