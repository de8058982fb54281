"""Mask prompts: learnable tokens in place of the patches outside a mask (OVSeg Sec. 3.3).

Shape suffixes: B images, S input side, N patches, L sequence length (prefix tokens and N patches), W width,
D embedding width.
"""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.utils.checkpoint import checkpoint

from pipeline.clip.towers import patch_tower
from pipeline.errors import UserError

_INITIAL_STD = 0.02


def patch_mask(masks_B1SS: torch.Tensor, patch: int | tuple[int, int]) -> torch.Tensor:
    """Which patches show any foreground: bool [B,N], row by row.

    The same as rounding the average of each patch up to 0 or 1: a patch is replaced only if all its pixels are
    masked out. Pixels right of and below the last whole patch are seen by no patch.

    Args:
        masks_B1SS: boolean or 0..1.
        patch: size of a patch, px; height and width if they differ.
    """
    return F.max_pool2d(masks_B1SS.float(), patch).flatten(1) > 0


class MaskPromptedVision(nn.Module):
    """A vision tower of open_clip that takes the mask of what it sees.

    With the patch tokens T [N,W], the patch mask M in {0,1}^N and prompts P, patches enter as T·M + P·(1−M): at the
    input, before class token and position embedding, and again after each of the blocks 1 to depth−1 with prompts of
    their own, to which no position is added. Other tokens are never replaced, and attention is not masked.

    Attributes:
        visual: the tower, untouched.
        prompts: float32 [depth,N,W], drawn from a normal distribution of deviation 0.02; None at depth 0.
        depth: replaced inputs; 0 leaves the plain tower and works for every architecture.
        grid: patches as (rows, columns); None at depth 0.

    Raises:
        UserError: the tower cannot take prompts, or not so many.
    """

    def __init__(self, visual: nn.Module, depth: int):
        super().__init__()
        if depth < 0:
            raise UserError(f"mask_prompt_depth must be 0 or more, is {depth}")
        self.visual = visual
        self.depth = depth
        self._tower = patch_tower(visual) if depth else None
        self.grid = self._tower.grid if self._tower else None
        if self._tower is None:
            self.register_parameter("prompts", None)
            return
        if depth > self._tower.layers:
            raise UserError(f"mask_prompt_depth is {depth}, but the vision tower has {self._tower.layers} blocks")
        rows, columns = self._tower.grid
        prompts = torch.empty(depth, rows * columns, self._tower.width).normal_(std=_INITIAL_STD)
        self.prompts = nn.Parameter(prompts.to(next(visual.parameters()).device))

    def forward(self, pixels_B3SS: torch.Tensor, masks_B1SS: torch.Tensor | None = None) -> torch.Tensor:
        """Embeddings [B,D], not normalised.

        Args:
            pixels_B3SS: float, normalised.
            masks_B1SS: boolean or 0..1; what to look at. None: everything, exactly the plain tower.

        Raises:
            ValueError: masks that do not belong to the pixels.
        """
        if masks_B1SS is None or self._tower is None:
            features = self.visual(pixels_B3SS)
            return features[0] if isinstance(features, tuple) else features  # CoCa also returns its tokens
        batch, _, *size = pixels_B3SS.shape
        if list(masks_B1SS.shape) != [batch, 1, *size]:
            raise ValueError(f"masks must be {[batch, 1, *size]}, are {list(masks_B1SS.shape)}")
        tower = self._tower
        keep_BN1 = patch_mask(masks_B1SS, tower.patch)[..., None]
        # One select over the whole sequence is cheaper than cutting the patches out and putting them back.
        keep_BL1 = F.pad(keep_BN1, (0, 0, tower.prefix, 0), value=True)

        tokens_BNW = tower.tokens(pixels_B3SS)
        tokens_BNW = torch.where(keep_BN1, tokens_BNW, self.prompts[0].to(tokens_BNW.dtype))
        sequence_BLW, blocks = tower.sequence(tokens_BNW)
        for done, block in enumerate(blocks, start=1):
            if tower.grad_checkpointing:
                sequence_BLW = checkpoint(block, sequence_BLW, use_reentrant=False)
            else:
                sequence_BLW = block(sequence_BLW)
            if done < self.depth:
                prompts_LW = F.pad(self.prompts[done], (0, 0, tower.prefix, 0)).to(sequence_BLW.dtype)
                sequence_BLW = torch.where(keep_BL1, sequence_BLW, prompts_LW)
        return tower.pooled(sequence_BLW)
