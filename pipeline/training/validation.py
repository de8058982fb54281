"""Zero-shot accuracy on masked regions: is a region nearest to its own noun? (the cheap proxy of the paper's code)"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812

import schemas
from pipeline.clip import Clip


@dataclass(frozen=True)
class Validation:
    """What each of R regions is nearest to; the same on every rank, in the order of the samples' rows."""

    rows: np.ndarray
    """Rows of the samples, int64 [R]."""
    nouns: np.ndarray
    """The noun of each region, int64 [R]: row of the embeddings."""
    nearest: np.ndarray
    """The up to five nearest nouns, int64 [R,5], nearest first."""
    ranks: np.ndarray
    """How many nouns are nearer than the own one, int64 [R]."""
    similarities: np.ndarray
    """Cosine similarity with the own noun and with the nearest one, float32 [R,2]."""

    @property
    def top1(self) -> float:
        """Share of regions whose noun is the nearest one; 0 without regions."""
        return float((self.nearest[:, 0] == self.nouns).sum() / max(len(self.rows), 1))

    @property
    def top5(self) -> float:
        """Share of regions whose noun is among the five nearest; 0 without regions."""
        return float((self.nearest == self.nouns[:, None]).sum() / max(len(self.rows), 1))

    def table(self, keys: Sequence[str], nouns: Sequence[str]) -> pa.Table:
        """As `schemas.NEAREST`.

        Args:
            keys: of the samples in `rows`.
            nouns: by row of the embeddings.
        """
        names = np.asarray(nouns, dtype=object)
        columns = [keys, names[self.nouns], names[self.nearest[:, 0]], self.ranks.astype(np.int32)]
        return pa.table([*columns, *self.similarities.T], schema=schemas.NEAREST)


@torch.inference_mode()
def validate(clip: Clip, batches: Iterable[dict[str, torch.Tensor]], embeddings_ND: torch.Tensor) -> Validation:
    """Classify regions by cosine similarity against all nouns; mask prompts apply if there are some.

    Every rank calls it with its own part of the regions, and all get what all found.

    Args:
        batches: with `pixels`, `masks`, `nouns` (rows of the embeddings) and `rows`.
        embeddings_ND: unit-length embeddings on the CLIP's device.
    """
    clip.vision.eval()
    parts = []
    for batch in batches:
        with clip.autocast():
            features_BD = clip.vision(batch["pixels"].to(clip.device), batch["masks"].to(clip.device))
        similarity_BN = F.normalize(features_BD.float(), dim=-1) @ embeddings_ND.T
        nearest_B5 = similarity_BN.topk(min(5, len(embeddings_ND)), dim=1).indices
        nouns_B = batch["nouns"].to(clip.device)
        own_B1 = similarity_BN.gather(1, nouns_B[:, None])
        ranks_B = (similarity_BN > own_B1).sum(1)
        similarities_B2 = torch.cat([own_B1, similarity_BN.gather(1, nearest_B5[:, :1])], dim=1)
        found = (batch["rows"], nouns_B, nearest_B5, ranks_B, similarities_B2)
        parts.append([tensor.cpu().numpy() for tensor in found])
    if dist.is_initialized():
        gathered: list[list] = [[]] * dist.get_world_size()
        dist.all_gather_object(gathered, parts)
        parts = [part for rank in gathered for part in rank]
    if not parts:
        nothing = np.zeros(0, np.int64)
        return Validation(nothing, nothing, nothing.reshape(0, 1), nothing, np.zeros((0, 2), np.float32))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = columns[0].argsort()
    return Validation(*(column[order] for column in columns))
