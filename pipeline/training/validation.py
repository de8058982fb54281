"""Zero-shot accuracy on masked regions: is a region nearest to its own noun? (the paper's cheap proxy)"""

from dataclasses import dataclass

import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812
from torch.utils.data import DataLoader

from pipeline.clip import Clip


@dataclass(frozen=True)
class Accuracy:
    """Shares of regions whose noun is the nearest one, and among the five nearest."""

    top1: float
    top5: float
    regions: int


@torch.inference_mode()
def measure_accuracy(clip: Clip, loader: DataLoader, bank_ND: torch.Tensor) -> Accuracy:
    """Classify regions by cosine similarity against all nouns of the bank; mask prompts apply if there are some.

    Every rank calls it with its own part of the regions, and all get the accuracy over all of them.

    Args:
        loader: batches with `pixels`, `masks` and `nouns` (rows of the bank).
        bank_ND: unit-length embeddings on the CLIP's device.
    """
    clip.vision.eval()
    counts = torch.zeros(3, dtype=torch.float64, device=clip.device)
    for batch in loader:
        with clip.autocast():
            features_BD = clip.vision(batch["pixels"].to(clip.device), batch["masks"].to(clip.device))
        similarity_BN = F.normalize(features_BD.float(), dim=-1) @ bank_ND.T
        nearest_B5 = similarity_BN.topk(min(5, len(bank_ND)), dim=1).indices
        hits_B5 = nearest_B5 == batch["nouns"].to(clip.device)[:, None]
        counts += torch.stack([hits_B5[:, 0].sum(), hits_B5.sum(), torch.tensor(len(hits_B5), device=clip.device)])
    if dist.is_initialized():
        dist.all_reduce(counts)
    top1, top5, regions = counts.tolist()
    return Accuracy(top1 / max(regions, 1), top5 / max(regions, 1), int(regions))
