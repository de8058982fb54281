"""Retrieval: is a caption among the k most similar to its image, and an image among the k most similar to its caption?

The protocol of CLIP's paper and its successors: of an image that has several captions, one of them among the k is
enough.

Shape suffixes: N images, T captions, B of a block, L tokens, D embedding width.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from pipeline.clip import Clip
from pipeline.clip.text_tower import encode_text, used_lengths
from pipeline.retention.encoding import check_finite

RECALL_AT = (1, 5, 10)
_TEXTS_PER_PASS = 64
_BLOCK = 1024


@torch.inference_mode()
def embed_captions(clip: Clip, captions: Sequence[str]) -> torch.Tensor:
    """Embeddings float32 [T,D] of unit length, on the CPU; what is longer than the context is cut off.

    Captions of one length share a pass, and nothing is computed of the padding where it does not matter. The same
    captions in the same order have the same bits, on the same hardware.

    Raises:
        UserError: an embedding is not a number.
    """
    if not captions:
        return torch.zeros((0, 0))
    clip.model.eval()
    tokens_TL = clip.tokenizer(list(captions))
    by_length = defaultdict(list)
    for row, length in enumerate(used_lengths(clip.model, tokens_TL)):
        by_length[length].append(row)
    parts, order = [], []
    for length, rows in sorted(by_length.items()):
        for start in range(0, len(rows), _TEXTS_PER_PASS):
            chosen = rows[start : start + _TEXTS_PER_PASS]
            with clip.autocast():
                features_BD = encode_text(clip.model, tokens_TL[chosen, :length].to(clip.device))
            parts.append(F.normalize(features_BD.float(), dim=-1))
            order += chosen
    found_TD = torch.cat(parts).cpu()
    check_finite(found_TD)
    features_TD = torch.empty_like(found_TD)
    features_TD[order] = found_TD
    return features_TD


def recalls(
    images_ND: torch.Tensor, captions_TD: torch.Tensor, image_of_caption: np.ndarray
) -> dict[str, float | None]:
    """`image_recall_at_K`: share of the captions whose image is among the K most similar ones; `text_recall_at_K`:
    share of the images one of whose captions is. None where there are fewer than K to find among.

    Args:
        images_ND, captions_TD: float32, of unit length, on one device.
        image_of_caption: int64 [T], the row of each caption's image. Every image has a caption.
    """
    owner_T = torch.from_numpy(image_of_caption).to(images_ND.device)
    of_images = _image_ranks(images_ND, captions_TD, owner_T) if len(owner_T) else np.zeros(0)
    of_captions = _caption_ranks(images_ND, captions_TD, owner_T) if len(owner_T) else np.zeros(0)
    found: dict[str, float | None] = {}
    for name, ranks, among in (("image", of_images, len(images_ND)), ("text", of_captions, len(captions_TD))):
        for k in RECALL_AT:
            found[f"{name}_recall_at_{k}"] = float((ranks < k).mean()) if among >= k else None
    return found


def _image_ranks(images_ND: torch.Tensor, captions_TD: torch.Tensor, owner_T: torch.Tensor) -> np.ndarray:
    """For each caption how many images are more similar than its own, or as similar and before it."""
    ranks = []
    places_N = torch.arange(len(images_ND), device=images_ND.device)
    for captions_BD, owner_B in zip(captions_TD.split(_BLOCK), owner_T.split(_BLOCK), strict=True):
        similarity_BN = captions_BD @ images_ND.T
        own_B1 = similarity_BN.gather(1, owner_B[:, None])
        before_BN = (similarity_BN == own_B1) & (places_N < owner_B[:, None])
        ranks.append(((similarity_BN > own_B1) | before_BN).sum(1))
    return torch.cat(ranks).cpu().numpy()


def _caption_ranks(images_ND: torch.Tensor, captions_TD: torch.Tensor, owner_T: torch.Tensor) -> np.ndarray:
    """For each image how many captions are more similar than the best of its own, or as similar and before it."""
    ranks = []
    places_T = torch.arange(len(captions_TD), device=images_ND.device)
    for start in range(0, len(images_ND), _BLOCK):
        images_BD = images_ND[start : start + _BLOCK]
        similarity_BT = images_BD @ captions_TD.T
        is_own_BT = owner_T == torch.arange(start, start + len(images_BD), device=images_ND.device)[:, None]
        best_B1 = similarity_BT.masked_fill(~is_own_BT, float("-inf")).max(1, keepdim=True).values
        first_B1 = (is_own_BT & (similarity_BT == best_B1)).int().argmax(1, keepdim=True)
        before_BT = (similarity_BT == best_B1) & (places_T < first_B1)
        ranks.append(((similarity_BT > best_B1) | before_BT).sum(1))
    return torch.cat(ranks).cpu().numpy()
