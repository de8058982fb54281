"""Vision transformers of open_clip in pieces: patch tokens, sequence, blocks, pooled features.

open_clip and timm run them in one `forward`; mask prompts replace patch tokens in between. The parameters stay where
the tower keeps them: a piece only calls it.

Shape suffixes: B images, S input side, N patches, L sequence length (prefix tokens and N patches), W width,
D embedding width.
"""

from collections.abc import Callable
from functools import partial
from typing import Protocol

import timm.models.eva
import timm.models.vision_transformer
import torch
from open_clip.timm_model import TimmModel
from open_clip.transformer import PatchDropout, VisionTransformer
from torch import nn

from pipeline.errors import UserError

Block = Callable[[torch.Tensor], torch.Tensor]


class PatchTower(Protocol):
    """A vision tower whose sequence is `prefix` tokens (class, registers) followed by one token per patch."""

    grid: tuple[int, int]
    """Patches: rows, columns."""
    patch: tuple[int, int]
    """Size of a patch: height, width, px."""
    width: int
    """Channels of a token."""
    prefix: int
    """Tokens before those of the patches."""
    layers: int
    """Transformer blocks."""

    @property
    def grad_checkpointing(self) -> bool:
        """Whether the tower's `set_grad_checkpointing` is on."""

    def tokens(self, pixels_B3SS: torch.Tensor) -> torch.Tensor:
        """Patch tokens [B,N,W] before class token and position embedding."""

    def sequence(self, tokens_BNW: torch.Tensor) -> tuple[torch.Tensor, list[Block]]:
        """What enters the first block [B,L,W], and the blocks, each [B,L,W] → [B,L,W]."""

    def pooled(self, sequence_BLW: torch.Tensor) -> torch.Tensor:
        """The embedding [B,D] from what left the last block."""


class OpenClipTower:
    """open_clip's own ViT: one class token; pooled by it, by average, or by attention (CoCa)."""

    prefix = 1

    def __init__(self, visual: VisionTransformer):
        self._visual = visual
        self.grid = visual.grid_size
        self.patch = visual.patch_size
        self.width = visual.transformer.width
        self.layers = visual.transformer.layers

    @property
    def grad_checkpointing(self) -> bool:
        """Whether the transformer computes its blocks again for the gradients."""
        return self._visual.transformer.grad_checkpointing

    def tokens(self, pixels_B3SS: torch.Tensor) -> torch.Tensor:
        """Patch tokens [B,N,W] of the convolution."""
        return self._visual.conv1(pixels_B3SS).flatten(2).transpose(1, 2)

    def sequence(self, tokens_BNW: torch.Tensor) -> tuple[torch.Tensor, list[Block]]:
        """Class token first, position embedding added, normalised [B,L,W]; and the residual blocks."""
        visual = self._visual
        class_token_B1W = visual.class_embedding.to(tokens_BNW.dtype).expand(len(tokens_BNW), 1, -1)
        sequence_BLW = torch.cat([class_token_B1W, tokens_BNW], dim=1)
        sequence_BLW = sequence_BLW + visual.positional_embedding.to(tokens_BNW.dtype)
        return visual.ln_pre(sequence_BLW), list(visual.transformer.resblocks)

    def pooled(self, sequence_BLW: torch.Tensor) -> torch.Tensor:
        """The embedding [B,D]: pooled as the tower is configured, then projected where it has a projection."""
        pooled, _ = self._visual._pool(sequence_BLW)
        return pooled if self._visual.proj is None else pooled @ self._visual.proj


class TimmTower:
    """timm's ViT (SigLIP, SigLIP2, MobileCLIP-B) or Eva (EVA02, PE-Core) behind open_clip's adapter."""

    def __init__(self, visual: TimmModel):
        self._visual = visual
        trunk = visual.trunk
        self.grid = trunk.patch_embed.grid_size
        self.patch = trunk.patch_embed.feat_ratio(as_scalar=False)
        self.width = trunk.embed_dim
        self.prefix = trunk.num_prefix_tokens
        self.layers = len(trunk.blocks)

    @property
    def grad_checkpointing(self) -> bool:
        """Whether the trunk computes its blocks again for the gradients."""
        return self._visual.trunk.grad_checkpointing

    def tokens(self, pixels_B3SS: torch.Tensor) -> torch.Tensor:
        """Patch tokens [B,N,W] of the patch embedding."""
        tokens = self._visual.trunk.patch_embed(pixels_B3SS)
        return tokens.flatten(1, 2) if tokens.ndim == 4 else tokens  # 4: trunks that take any image size

    def sequence(self, tokens_BNW: torch.Tensor) -> tuple[torch.Tensor, list[Block]]:
        """Prefix tokens and position embedding added [B,L,W]; and the trunk's blocks, rotary embeddings bound."""
        trunk = self._visual.trunk
        if trunk.dynamic_img_size:
            tokens_BNW = tokens_BNW.unflatten(1, self.grid)
        positioned = trunk._pos_embed(tokens_BNW)
        if isinstance(trunk, timm.models.vision_transformer.VisionTransformer):
            return trunk.norm_pre(positioned), list(trunk.blocks)
        sequence_BLW, rope = positioned
        # Mixed rotary embeddings differ from block to block; the others are one tensor for all.
        ropes = rope if trunk.rope_mixed else [rope] * self.layers
        return trunk.norm_pre(sequence_BLW), [
            partial(block, rope=rope) for block, rope in zip(trunk.blocks, ropes, strict=True)
        ]

    def pooled(self, sequence_BLW: torch.Tensor) -> torch.Tensor:
        """The embedding [B,D] of the trunk's norm and head, and of open_clip's projection."""
        trunk = self._visual.trunk
        return self._visual.head(trunk.forward_head(trunk.norm(sequence_BLW)))


def patch_tower(visual: nn.Module) -> PatchTower:
    """The pieces of an open_clip vision tower.

    Raises:
        UserError: the tower has no patch tokens of its own that prompts could replace, or drops some in training.
    """
    kind = type(visual).__name__
    tower: PatchTower
    if isinstance(visual, VisionTransformer):
        drops = isinstance(visual.patch_dropout, PatchDropout)
        tower = OpenClipTower(visual)
    elif isinstance(visual, TimmModel):
        trunk = visual.trunk
        kind = f"{type(trunk).__name__} ({trunk.pretrained_cfg.get('architecture', 'timm')})"
        # Subclasses run their blocks in ways of their own, so only the two classes themselves are known to fit.
        if type(trunk) not in (timm.models.vision_transformer.VisionTransformer, timm.models.eva.Eva):
            raise _no_patch_tokens(kind)
        drops = not isinstance(trunk.patch_drop, (nn.Identity, type(None)))
        tower = TimmTower(visual)
    else:
        raise _no_patch_tokens(kind)
    if drops:
        raise UserError(
            f"mask prompts need every patch token, but the vision tower {kind} drops some in training: "
            "set vision_cfg.patch_dropout to 0 in its configuration"
        )
    return tower


def _no_patch_tokens(kind: str) -> UserError:
    return UserError(
        f"mask prompts replace the patch tokens of a ViT, and the vision tower is a {kind}: "
        "set mask_prompt_depth to 0 (full finetuning works), or take a ViT"
    )
