"""What the towers are trained for. Nouns are rows of a table of embeddings: one for the run where the text tower is
frozen, one for each step where it is not.

Hard negatives are texts more for their region alone, in the direction from regions to texts: with similarities s_ij =
scale · ⟨region i, noun of pair j⟩, and h over the negatives of region i,

    classification   1/G Σ_i [log(Σ_n exp s_in + Σ_h exp s_ih) − s_i,noun(i)]                         over all nouns n
    contrastive      1/2G Σ_i [log(Σ_j exp s_ij + Σ_h exp s_ih) + log Σ_j exp s_ji − 2 s_ii]
    multi_positive   1/2G Σ_i [log(Σ_u exp s_iu + Σ_h exp s_ih) − s_i,noun(i)]        over the batch's distinct nouns u
                   + from nouns to regions what it has without them

They are no positives of any region and no negatives of another one. One that is also a noun of the dataset, or of
another region of the batch, counts once as that and once as a hard negative.

Shape suffixes: B regions of this rank, G regions of all ranks, N nouns with an embedding, U distinct nouns of the
global batch, T texts with an embedding (the nouns, then others), H hard negatives of a region, D embedding width.
"""

import math

import torch
import torch.distributed.nn
import torch.nn.functional as F  # noqa: N812
from open_clip.loss import ClipLoss

from pipeline.training.batch_texts import BatchTexts
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

    Attributes:
        logit_scale: the temperature.
        beside: what is trained outside the image tower, so that somebody else has to average its gradients.
    """

    def __init__(
        self,
        kind: LossKind,
        embeddings_ND: torch.Tensor | None,
        logit_scale: torch.nn.Parameter,
        ranks: Ranks,
        texts_TD: torch.Tensor | None = None,
        in_step: BatchTexts | None = None,
    ):
        """
        Args:
            embeddings_ND: of the nouns, all through the run.
            texts_TD: of which hard negatives are rows.
            in_step: embeds the texts of each step, all of them in one pass, in place of these two.
        """
        super().__init__()
        self._embeddings_ND, self._texts_TD, self._in_step = embeddings_ND, texts_TD, in_step
        self.beside = [logit_scale, *(in_step.parameters if in_step else [])]
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
        self,
        features_BD: torch.Tensor,
        nouns_B: torch.Tensor,
        weights_B: torch.Tensor | None = None,
        negatives_BH: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Scalar loss.

        Args:
            features_BD: as the image tower returns them, not normalised.
            nouns_B: int64, index into the nouns of the run; this and what follows may be on the host.
            weights_B: float32, above 0: how much each pair counts; None: all the same.
            negatives_BH: int64, hard negatives of each region, index into the texts of the run; -1 where it has fewer.
                None: none.
        """
        embeddings_ND, texts_TD = self._embeddings_ND, self._texts_TD
        if self._in_step is not None:
            (embeddings_ND, texts_TD), nouns_B, negatives_BH = self._in_step(nouns_B, negatives_BH)
        device = features_BD.device
        nouns_B = nouns_B.to(device, non_blocking=True)
        weights_B, negatives_BH = (
            None if values is None else values.to(device, non_blocking=True) for values in (weights_B, negatives_BH)
        )
        assert embeddings_ND is not None  # of the run, or of the step
        regions_BD = F.normalize(features_BD.float(), dim=-1)
        scale = self.logit_scale.exp()
        hard_BH = None
        if negatives_BH is not None:
            assert texts_TD is not None  # of which they are rows
            hard_BH = _hard_negatives(regions_BD, negatives_BH, texts_TD, scale)
            # With weights of 1, what follows has the losses without weights.
            weights_B = torch.ones_like(regions_BD[:, 0]) if weights_B is None else weights_B
        if self._kind == "classification":
            logits_BN = scale * regions_BD @ embeddings_ND.T
            if weights_B is not None:
                return weighted_classification(logits_BN, nouns_B, weights_B, hard_BH)
            return F.cross_entropy(logits_BN, nouns_B)
        if weights_B is not None:
            return self._weighted(regions_BD, nouns_B, weights_B, embeddings_ND, scale, hard_BH)
        if self._kind == "multi_positive":
            return self._multi_positive(regions_BD, nouns_B, embeddings_ND, scale)
        return self._contrastive(regions_BD, embeddings_ND[nouns_B], scale)

    @torch.no_grad()
    def clamp_logit_scale(self) -> None:
        """Keep the temperature in the range that CLIP was trained with."""
        self.logit_scale.clamp_(0, self._max_logit_scale)


def _hard_negatives(
    regions_BD: torch.Tensor, negatives_BH: torch.Tensor, texts_TD: torch.Tensor, scale: torch.Tensor
) -> torch.Tensor:
    """The logits of each region and its hard negatives; minus infinity where it has fewer."""
    logits_BH = scale * torch.einsum("bd,bhd->bh", regions_BD, texts_TD[negatives_BH.clamp(min=0)])
    return logits_BH.masked_fill(negatives_BH < 0, -torch.inf)


def distillation_loss(features_BD: torch.Tensor, original_UD: torch.Tensor, unmasked_B: torch.Tensor) -> torch.Tensor:
    """Cosine distance to the original model's features of the U un-masked regions, summed and divided by B.

    Dividing by B rather than U makes the mean over ranks the loss of the global batch however the un-masked regions
    fall on the ranks.
    """
    cosines_U = F.cosine_similarity(features_BD[unmasked_B].float(), original_UD.float(), dim=-1)
    return (1 - cosines_U).sum() / len(features_BD)
