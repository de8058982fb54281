"""What CLIP sees at each patch of a whole image.

Shape suffixes: B images, S CLIP's input side, N patches, L sequence length, W width, D embedding width.
"""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from pipeline.clip import Clip, load_clip
from pipeline.clip.towers import PatchTower, patch_tower
from pipeline.errors import UserError
from pipeline.proposals.networks import to_device
from pipeline.weights.precision import Precision


class PatchFeatures:
    """Embeds the patches of whole images, each in its context, in one forward pass."""

    def __init__(self, clip: Clip) -> None:
        """
        Raises:
            UserError: the vision tower has no patch tokens.
        """
        self._clip = clip
        self._tower = patch_tower(clip.vision.visual)
        self.grid = self._tower.grid
        """Patches: rows, columns."""
        self.weights_sha256 = clip.weights_sha256()

    @torch.inference_mode()
    def __call__(self, images: list[np.ndarray]) -> torch.Tensor:
        """Features of unit length, float32 [B,N,D] on CLIP's device, row by row.

        Images are resized to CLIP's square whatever their aspect, so that the patches cover them whole.

        Args:
            images: uint8 [H, W, 3] RGB, of one size.
        """
        clip = self._clip
        pixels_B3HW = to_device(np.stack(images), clip.device).permute(0, 3, 1, 2).float()
        size = (clip.input.size, clip.input.size)
        pixels_B3SS = F.interpolate(pixels_B3HW, size, mode="bicubic", antialias=True).clamp(0, 255) / 255
        mean, std = (
            torch.tensor(value, device=clip.device).view(3, 1, 1) for value in (clip.input.mean, clip.input.std)
        )
        with clip.autocast():
            features_BND = embed_patches(self._tower, (pixels_B3SS - mean) / std)
        return F.normalize(features_BND.float(), dim=-1)


def embed_patches(tower: PatchTower, pixels_B3SS: torch.Tensor) -> torch.Tensor:
    """What leaves the last block at each patch, brought into the space of the image embeddings: [B,N,D]."""
    sequence_BLW, blocks = tower.sequence(tower.tokens(pixels_B3SS))
    for block in blocks:
        sequence_BLW = block(sequence_BLW)
    tokens_BNW = sequence_BLW[:, tower.prefix :]
    # Whether a tower pools by its class token, by the average or by attention: of a sequence that consists of one
    # token alone, it makes that token's embedding.
    alone_RLW = tokens_BNW.flatten(0, 1)[:, None].expand(-1, tower.prefix + 1, -1)
    return tower.pooled(alone_RLW).unflatten(0, tokens_BNW.shape[:2])


def load_patch_features(
    architecture: str | None, weights: str | None, precision: Precision, device: torch.device
) -> PatchFeatures:
    """The CLIP that merging uses.

    Args:
        architecture: the option `merge_clip`.
        weights: the option `merge_clip_weights`.

    Raises:
        UserError: it cannot be loaded, or is not a ViT.
    """
    try:
        clip = load_clip(architecture, weights, precision=precision, device=device)
    except UserError as error:
        raise UserError(f"proposals.options.merge_clip and merge_clip_weights: {error}") from error
    try:
        return PatchFeatures(clip)
    except UserError as error:
        raise UserError(
            f"proposals.options.merge_clip: the vision tower of {architecture or weights!r} has "
            "no patch tokens to compare masks by; name a CLIP with a ViT, or leave merge_similarity empty"
        ) from error
