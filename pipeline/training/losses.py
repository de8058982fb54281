"""What the image tower is trained for. The text tower is frozen: nouns are rows of a bank of embeddings.

Shape suffixes: B regions of this rank, G regions of all ranks, N nouns of the bank, D embedding width.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from open_clip.loss import ClipLoss, gather_features

LossKind = Literal["contrastive", "multi_positive", "classification"]


@dataclass
class LossConfig:
    """What is minimised."""

    kind: LossKind = "multi_positive"
    """contrastive: InfoNCE over the global batch, as the paper; multi_positive: the same with equal nouns as positives
    of one another; classification: cross-entropy over all nouns of the dataset."""
    distillation: float = 0.0
    """Weight of the cosine distance to the original model's features on un-masked regions
    (needs `data.unmasked_share`)."""


class MultiPositiveClipLoss(ClipLoss):
    """Symmetric InfoNCE in which all regions of a noun are positives of it (UniCL, Yang et al. 2022, eq. 3–5).

    The target of a row is uniform over the columns with the same noun, so a batch without equal nouns gives exactly
    `ClipLoss`.
    """

    def forward(
        self,
        image_features: torch.Tensor,
        text_features: torch.Tensor,
        logit_scale: torch.Tensor,
        nouns: torch.Tensor,
    ) -> torch.Tensor:
        """Loss of this rank's rows.

        Args:
            image_features: unit length [B,D].
            text_features: unit length [B,D].
            nouns: int64 [B], equal for equal nouns.
        """
        logits_image_BG, logits_text_BG = self.get_logits(image_features, text_features, logit_scale)
        nouns_G = nouns
        if self.world_size > 1:
            # gather_features gathers two tensors of one shape; the nouns are both.
            nouns_G, _ = gather_features(nouns, nouns, local_loss=True, rank=self.rank, world_size=self.world_size)
        same_BG = (nouns[:, None] == nouns_G[None, :]).float()
        targets_BG = same_BG / same_BG.sum(dim=1, keepdim=True)
        return (F.cross_entropy(logits_image_BG, targets_BG) + F.cross_entropy(logits_text_BG, targets_BG)) / 2


class RegionLoss(torch.nn.Module):
    """Loss of region features against the nouns' embeddings, with the learnt temperature.

    The mean over ranks of this loss is the loss of the global batch, and the mean over ranks of its gradients is its
    gradient: what DistributedDataParallel computes, whatever the number of ranks.
    """

    def __init__(
        self, kind: LossKind, bank_ND: torch.Tensor, logit_scale: torch.nn.Parameter, *, rank: int, world_size: int
    ):
        super().__init__()
        self._bank_ND = bank_ND
        self.logit_scale = logit_scale
        # As in open_clip at most 100, unless the model comes with more (SigLIP).
        self._max_logit_scale = max(math.log(100), logit_scale.item())
        self._kind = kind
        loss_class = {"contrastive": ClipLoss, "multi_positive": MultiPositiveClipLoss}.get(kind)
        self._in_batch = loss_class and loss_class(
            local_loss=True, gather_with_grad=True, rank=rank, world_size=world_size
        )

    def forward(self, features_BD: torch.Tensor, nouns_B: torch.Tensor) -> torch.Tensor:
        """Scalar loss.

        Args:
            features_BD: as the image tower gives them, not normalised.
            nouns_B: int64, rows of the bank.
        """
        regions_BD = F.normalize(features_BD.float(), dim=-1)
        scale = self.logit_scale.exp()
        if self._kind == "classification":
            return F.cross_entropy(scale * regions_BD @ self._bank_ND.T, nouns_B)
        texts_BD = self._bank_ND[nouns_B]
        if self._kind == "multi_positive":
            return self._in_batch(regions_BD, texts_BD, scale, nouns_B)
        return self._in_batch(regions_BD, texts_BD, scale)

    @torch.no_grad()
    def clamp_logit_scale(self) -> None:
        """Keep the temperature in the range that CLIP was trained with."""
        self.logit_scale.clamp_(0, self._max_logit_scale)


def distillation_loss(features_BD: torch.Tensor, original_UD: torch.Tensor, unmasked_B: torch.Tensor) -> torch.Tensor:
    """Cosine distance to the original model's features of the U un-masked regions, summed and divided by B.

    Dividing by B rather than U makes the mean over ranks the loss of the global batch however the un-masked regions
    fall on the ranks.
    """
    cosines_U = F.cosine_similarity(features_BD[unmasked_B].float(), original_UD.float(), dim=-1)
    return (1 - cosines_U).sum() / len(features_BD)
