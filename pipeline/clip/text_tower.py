"""The text tower, run on those tokens only that its result depends on.

Texts are padded to the context, 77 tokens, and a prompt with a noun has about ten. Where attention is causal and the
embedding is read at the end token, what comes after that token changes nothing, so it is cut off. Other towers (without
a causal mask, with a class token at the end, Hugging Face's) see the padding and get it.

Shape suffixes: B texts, L tokens, W width, D embedding width.
"""

from collections.abc import Callable
from functools import partial

import torch
from open_clip.model import CLIP, CustomTextCLIP
from open_clip.transformer import TextTransformer, text_global_pool
from torch import nn


def used_lengths(model: CLIP | CustomTextCLIP, tokens_BL: torch.Tensor) -> list[int]:
    """How many tokens of each text its embedding depends on: all of them where the tower is of another kind."""
    tower = _causal_tower(model)
    if tower is None:
        return [tokens_BL.shape[1]] * len(tokens_BL)
    pool_type, end = _pooling(tower)
    ends_B = tokens_BL.argmax(dim=1) if pool_type == "argmax" else (tokens_BL == end).int().argmax(dim=1)
    return (ends_B + 1).tolist()


def encode_text(model: CLIP | CustomTextCLIP, tokens_BL: torch.Tensor) -> torch.Tensor:
    """Embeddings [B,D], not normalised, as the model's `encode_text` computes them up to rounding.

    tokens_BL: L may be anything from the largest of `used_lengths` to the context.
    """
    return text_encoder(model)(tokens_BL)


def text_encoder(model: CLIP | CustomTextCLIP) -> Callable[[torch.Tensor], torch.Tensor]:
    """`encode_text` of a model. To look at the tower anew for each batch would stop a GPU."""
    tower = _causal_tower(model)
    return model.encode_text if tower is None else partial(_encode, tower)


def _encode(tower: CLIP | TextTransformer, tokens_BL: torch.Tensor) -> torch.Tensor:
    length = tokens_BL.shape[1]
    dtype = tower.transformer.get_cast_dtype()
    sequence_BLW = tower.token_embedding(tokens_BL).to(dtype) + tower.positional_embedding[:length].to(dtype)
    sequence_BLW = tower.transformer(sequence_BLW, attn_mask=tower.attn_mask[:length, :length])
    pool_type, end = _pooling(tower)
    pooled_BW = text_global_pool(tower.ln_final(sequence_BLW), tokens_BL, pool_type, eos_token_id=end)
    if tower.text_projection is None:
        return pooled_BW
    if isinstance(tower.text_projection, nn.Linear):
        return tower.text_projection(pooled_BW)
    return pooled_BW @ tower.text_projection


def _causal_tower(model: CLIP | CustomTextCLIP) -> CLIP | TextTransformer | None:
    """What holds the parts of the text tower, if nothing that comes after the end token matters to it."""
    # Subclasses and other models (CoCa) may do more than the two forward passes that `encode_text` above repeats.
    if type(model) is CLIP:
        tower = model
    elif type(model) is CustomTextCLIP and type(model.text) is TextTransformer:
        tower = model.text
        if tower.cls_emb is not None or tower.use_pad_mask or tower.output_tokens:
            return None
    else:
        return None
    mask_LL = tower.attn_mask
    if mask_LL is None or _pooling(tower)[0] not in ("argmax", "eos"):
        return None
    is_causal = torch.equal(mask_LL, torch.full_like(mask_LL, float("-inf")).triu_(1))
    return tower if is_causal and len(mask_LL) == len(tower.positional_embedding) else None


def _pooling(tower: CLIP | TextTransformer) -> tuple[str, int]:
    """Where the embedding is read, and the end token's id."""
    if isinstance(tower, CLIP):
        return tower.text_pool_type, tower.text_eos_id
    return tower.pool_type, tower.eos_id
