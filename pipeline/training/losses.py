"""What the image tower is trained for. The text tower is frozen: nouns are rows of a table of embeddings.

Shape suffixes: B regions of this rank, G regions of all ranks, N nouns with an embedding, U distinct nouns of the
global batch, D embedding width.
"""

import math

import torch
import torch.distributed.nn
import torch.nn.functional as F  # noqa: N812
from open_clip.loss import ClipLoss

from pipeline.training.config import LossKind
from pipeline.training.ranks import Ranks
from pipeline.training.weighted_losses import WeightedInBatchLoss, weighted_classification


class MultiPositiveLoss(torch.nn.Module):
    """Symmetric contrast of the regions and the distinct nouns of the global batch.

    A region is classified among the distinct nouns, each of which counts once; a noun has all its regions as positives
    of equal weight. A batch without equal nouns has exactly the loss of `ClipLoss`.

    (Spreading the targets of `ClipLoss` over equal nouns, as UniCL does, would change nothing: with a frozen text tower
    equal nouns have equal embeddings, so the loss and its gradients are the same with and without it. What repeats
    do there is to count a noun as often as it occurs.)
    """

    def __init__(self, world_size: int):
        super().__init__()
        self._world_size = world_size

    def forward(
        self, regions_BD: torch.Tensor, nouns_B: torch.Tensor, embeddings_ND: torch.Tensor, scale: torch.Tensor
    ) -> torch.Tensor:
        """Loss of this rank, whose mean over ranks is that of the global batch.

        Args:
            regions_BD: unit length.
            nouns_B: rows of the embeddings.
            scale: factor on the cosine similarities.
        """
        regions_GD, nouns_G = regions_BD, nouns_B
        if self._world_size > 1:
            regions_GD = torch.cat(torch.distributed.nn.all_gather(regions_BD))
            gathered = [torch.empty_like(nouns_B) for _ in range(self._world_size)]
            torch.distributed.all_gather(gathered, nouns_B)
            nouns_G = torch.cat(gathered)
        distinct_U = nouns_G.unique()  # sorted
        texts_UD = embeddings_ND[distinct_U]
        regions_to_nouns = F.cross_entropy(scale * regions_BD @ texts_UD.T, torch.searchsorted(distinct_U, nouns_B))
        positive_UG = (distinct_U[:, None] == nouns_G[None, :]).float()
        targets_UG = positive_UG / positive_UG.sum(dim=1, keepdim=True)
        nouns_to_regions = F.cross_entropy(scale * texts_UD @ regions_GD.T, targets_UG)
        return (regions_to_nouns + nouns_to_regions) / 2


class RegionLoss(torch.nn.Module):
    """Loss of region features against the nouns' embeddings, with the learnt temperature.

    The mean over ranks of this loss is the loss of the global batch, and the mean over ranks of its gradients is its
    gradient: what DistributedDataParallel computes, whatever the number of ranks.
    """

    def __init__(self, kind: LossKind, embeddings_ND: torch.Tensor, logit_scale: torch.nn.Parameter, ranks: Ranks):
        super().__init__()
        self._embeddings_ND = embeddings_ND
        self.logit_scale = logit_scale
        # As in open_clip at most 100, unless the model comes with more (SigLIP).
        self._max_logit_scale = max(math.log(100), logit_scale.item())
        self._kind = kind
        self._contrastive = ClipLoss(
            local_loss=True, gather_with_grad=True, rank=ranks.rank, world_size=ranks.world_size
        )
        self._multi_positive = MultiPositiveLoss(ranks.world_size)
        self._weighted = WeightedInBatchLoss(multi_positive=kind == "multi_positive", world_size=ranks.world_size)

    def forward(
        self, features_BD: torch.Tensor, nouns_B: torch.Tensor, weights_B: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Scalar loss.

        Args:
            features_BD: as the image tower returns them, not normalised.
            nouns_B: int64, rows of the embeddings.
            weights_B: float32, above 0: how much each pair counts; None: all the same.
        """
        regions_BD = F.normalize(features_BD.float(), dim=-1)
        scale = self.logit_scale.exp()
        if self._kind == "classification":
            logits_BN = scale * regions_BD @ self._embeddings_ND.T
            if weights_B is not None:
                return weighted_classification(logits_BN, nouns_B, weights_B)
            return F.cross_entropy(logits_BN, nouns_B)
        if weights_B is not None:
            return self._weighted(regions_BD, nouns_B, weights_B, self._embeddings_ND, scale)
        if self._kind == "multi_positive":
            return self._multi_positive(regions_BD, nouns_B, self._embeddings_ND, scale)
        return self._contrastive(regions_BD, self._embeddings_ND[nouns_B], scale)

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
