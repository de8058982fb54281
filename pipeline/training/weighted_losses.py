"""The losses of `losses.py` for pairs that count more or less than others.

A weight is how often a pair occurs: the contrastive loss is, up to a factor without gradient, what it would be in a
batch in which pair i stands w_i times (Σ w in all), among its negatives too. So a pair that is probably wrong teaches
less, and misleads others less; and a batch drawn evenly estimates one drawn in proportion to the weights. With
similarities s_ij = scale · ⟨region i, noun of pair j⟩ and equal weights 1 these are the losses without weights:

    classification   1/G Σ_i w_i [log Σ_n exp s_in − s_i,noun(i)]                     over all nouns n
    contrastive      1/2G Σ_i w_i [log Σ_j w_j exp s_ij + log Σ_j w_j exp s_ji − 2 s_ii]
    multi_positive   1/2G Σ_i w_i [log Σ_u v_u exp s_iu − s_i,noun(i)]
                   + 1/2U Σ_u v_u [log Σ_i w_i exp s_iu − Σ_{i of u} w_i s_iu / Σ_{i of u} w_i]

where v_u, of a distinct noun u, is the mean weight of its regions: it counts once, however many they are, and as much
as they do. They are divided by the number of pairs, not by the sum of their weights, so that a pair counts as much in
one batch as in another; the weights' mean over all training pairs is 1.

Hard negatives h of region i (see `losses.py`) stand once beside each of its w_i occurrences, so that Σ_n exp s_in,
Σ_j w_j exp s_ij and Σ_u v_u exp s_iu become … + Σ_h exp s_ih.

Shape suffixes: B regions of this rank, G regions of all ranks, N nouns with an embedding, U distinct nouns of the
global batch, H hard negatives of a region, D embedding width.
"""

import torch
import torch.distributed.nn
import torch.nn.functional as F  # noqa: N812


def weighted_classification(
    logits_BN: torch.Tensor, nouns_B: torch.Tensor, weights_B: torch.Tensor, hard_BH: torch.Tensor | None = None
) -> torch.Tensor:
    """Cross-entropy over all nouns; the mean over ranks is that of the global batch.

    Args:
        logits_BN: similarities times the scale.
        nouns_B: int64, columns of the logits.
        weights_B: float32, above 0.
        hard_BH: logits of the hard negatives, minus infinity where there is none; None: none of any region.
    """
    if hard_BH is not None:
        logits_BN = torch.cat([logits_BN, hard_BH], dim=1)
    return (weights_B * F.cross_entropy(logits_BN, nouns_B, reduction="none")).mean()


class WeightedInBatchLoss(torch.nn.Module):
    """The weighted contrastive or multi-positive loss of the global batch."""

    def __init__(self, *, multi_positive: bool, world_size: int):
        super().__init__()
        self._multi_positive, self._world_size = multi_positive, world_size

    def forward(
        self,
        regions_BD: torch.Tensor,
        nouns_B: torch.Tensor,
        weights_B: torch.Tensor,
        embeddings_ND: torch.Tensor,
        scale: torch.Tensor,
        hard_BH: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Loss of this rank, whose mean over ranks is that of the global batch.

        Args:
            regions_BD: unit length.
            nouns_B: int64, rows of the embeddings.
            weights_B: float32, above 0.
            scale: factor on the cosine similarities.
            hard_BH: logits of the hard negatives, minus infinity where there is none; None: none of any region.
        """
        regions_GD, nouns_G, weights_G = regions_BD, nouns_B, weights_B
        if self._world_size > 1:
            regions_GD = torch.cat(torch.distributed.nn.all_gather(regions_BD))
            nouns_G, weights_G = self._gathered(nouns_B), self._gathered(weights_B)
        own_B = scale * (regions_BD * embeddings_ND[nouns_B]).sum(dim=1)
        if not self._multi_positive:
            to_nouns_B = _log_sum(scale * regions_BD @ embeddings_ND[nouns_G].T, weights_G, hard_BH) - own_B
            to_regions_B = _log_sum(scale * embeddings_ND[nouns_B] @ regions_GD.T, weights_G) - own_B
            return (weights_B * (to_nouns_B + to_regions_B)).mean() / 2
        distinct_U = nouns_G.unique()
        texts_UD = embeddings_ND[distinct_U]
        positive_UG = (distinct_U[:, None] == nouns_G[None, :]).float()
        weight_U = positive_UG @ weights_G
        mean_U = weight_U / positive_UG.sum(dim=1)
        to_nouns_B = _log_sum(scale * regions_BD @ texts_UD.T, mean_U, hard_BH) - own_B
        logits_UG = scale * texts_UD @ regions_GD.T
        own_U = (positive_UG * weights_G * logits_UG).sum(dim=1) / weight_U
        to_regions_U = _log_sum(logits_UG, weights_G) - own_U
        return ((weights_B * to_nouns_B).mean() + (mean_U * to_regions_U).mean()) / 2

    def _gathered(self, values_B: torch.Tensor) -> torch.Tensor:
        gathered = [torch.empty_like(values_B) for _ in range(self._world_size)]
        torch.distributed.all_gather(gathered, values_B)
        return torch.cat(gathered)


def _log_sum(logits: torch.Tensor, weights: torch.Tensor, more: torch.Tensor | None = None) -> torch.Tensor:
    """log(Σ_j w_j exp logit_j + Σ_h exp more_h) over the last axis."""
    weighted = logits + weights.log()
    return torch.logsumexp(weighted if more is None else torch.cat([weighted, more], dim=-1), dim=-1)
