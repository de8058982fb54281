"""Embeddings of all nouns of a run: the text tower is frozen, so they are computed once."""

import torch
import torch.distributed as dist

from pipeline.clip import Clip, TextEmbedder
from pipeline.clip.templates import TemplateSet


def noun_bank(clip: Clip, nouns: list[str], templates: TemplateSet) -> torch.Tensor:
    """Unit-length embeddings float32 [N,D] on the CLIP's device. Each rank embeds its share, and all get all."""
    ranks, rank = (dist.get_world_size(), dist.get_rank()) if dist.is_initialized() else (1, 0)
    shares = [TextEmbedder(clip, templates)(nouns[rank::ranks])]
    if ranks > 1:
        share_ND, shares = shares[0], [None] * ranks
        dist.all_gather_object(shares, share_ND)
    bank_ND = torch.empty(len(nouns), shares[0].shape[1])
    for first, share_ND in enumerate(shares):
        bank_ND[first::ranks] = share_ND
    return bank_ND.to(clip.device)
