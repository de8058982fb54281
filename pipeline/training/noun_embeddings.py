"""Embeddings of all nouns of a run: the text tower is frozen, so they are computed once."""

import torch
import torch.distributed as dist

from pipeline.clip import Clip, TextEmbedder
from pipeline.clip.template_choice import Templates
from pipeline.training.ranks import Ranks


def embed_nouns(clip: Clip, nouns: list[str], templates: Templates) -> torch.Tensor:
    """Unit-length embeddings float32 [N,D] on the CLIP's device. Each rank embeds its share, and all get all."""
    ranks = Ranks.of_process_group()
    shares = [TextEmbedder(clip, templates)(nouns[ranks.rank :: ranks.world_size])]
    if ranks.world_size > 1:
        shares *= ranks.world_size
        dist.all_gather_object(shares, shares[0])
    nouns_ND = torch.empty(len(nouns), shares[0].shape[1])
    for first, share_ND in enumerate(shares):
        nouns_ND[first :: ranks.world_size] = share_ND
    return nouns_ND.to(clip.device)
