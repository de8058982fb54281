"""Backend `sam2`: SAM 2 (arXiv 2408.00714) through `transformers`, asked at a grid of points.

Shape suffixes: B images, S the side of the network's input, P points, K masks, h×w their resolution, N patches of
CLIP, D its embedding width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from transformers import Sam2Model

from pipeline.configuration.limits import Limit
from pipeline.configuration.markers import LocalPath
from pipeline.errors import UserError
from pipeline.masks.soft import logit
from pipeline.proposals.config import ProposalsConfig
from pipeline.proposals.merging import unite_similar
from pipeline.proposals.networks import Batches, autocast, device
from pipeline.proposals.patch_features import load_patch_features
from pipeline.proposals.pretrained import Pretrained, load_pretrained
from pipeline.proposals.proposer import Proposals
from pipeline.proposals.sam2_points import point_grid, sift
from pipeline.proposals.soft_proposals import soft_proposals

_KEY = "proposals.options.weights"


@dataclass
class Sam2Options:
    """The `sam2` backend: SAM 2 (arXiv 2408.00714) through `transformers`, asked at a grid of points."""

    weights: Annotated[str | None, LocalPath.PATH_OR_NAME] = None
    """A directory that `transformers` saved, or `hf-hub:org/repo`."""
    points_per_side: Annotated[int, Limit(ge=1)] = 32
    """Points of the grid a side."""
    points_per_batch: Annotated[int, Limit(ge=1)] = 64
    """Points decoded together; fewer need less memory."""
    iou_threshold: Annotated[float, Limit(ge=0, le=1)] = 0.8
    """Masks whose IoU the model predicts lower are dropped."""
    stability_threshold: Annotated[float, Limit(ge=0, le=1)] = 0.95
    """Masks that change more when their threshold moves by `stability_offset` are dropped; IoU of the two."""
    stability_offset: Annotated[float, Limit(ge=0)] = 1.0
    """How far the threshold of a mask moves for `stability_threshold`; logits."""
    merge_similarity: Annotated[float, Limit(ge=-1, le=1)] | None = None
    """Masks that touch and whose CLIP features have at least this cosine are united, and their union is proposed in
    their place. Empty: no."""
    merge_clip: Annotated[str | None, LocalPath.LOCAL_DIR] = "ViT-B-16"
    """CLIP architecture of the features for `merge_similarity`, a ViT; see `clip.architecture`. Masks smaller than one
    of its patches are never united: the finer, the better."""
    merge_clip_weights: Annotated[str | None, LocalPath.FILE_OR_NAME] = "openai"
    """Weights of `merge_clip`; see `clip.weights`."""


def load_sam2(weights: str | None, key: str) -> tuple[Pretrained, int]:
    """A SAM 2 with its image processor, and the side of its input in pixels.

    Args:
        weights: a directory that `transformers` saved, or `hf-hub:org/repo`.
        key: of the configuration, for messages.

    Raises:
        UserError: see `load_pretrained`; or its image processor does not resize to the model's input.
    """
    pretrained = load_pretrained(weights, key, Sam2Model, supersets=("sam2_video",))
    side = pretrained.model.config.prompt_encoder_config.image_size
    size = pretrained.processor.size
    if (size.height, size.width) != (side, side):
        raise UserError(
            f"{key}: the preprocessor_config.json in {weights} resizes images to "
            f"{size.height}×{size.width}, but the model takes {side}×{side}"
        )
    return pretrained, side


class Sam2:
    """Three masks for each point of a grid over the whole image, scored by the IoU that the model predicts for them.

    As SAM 2's automatic mask generator without crops, with two differences: stability is measured at the resolution of
    the decoder, not of the image, and duplicates are found by the overlap of masks, not of boxes.

    Each image is encoded once, several of one size together; its points are decoded `points_per_batch` at a time.
    Until duplicates are dropped, an image holds all masks that pass the thresholds: of a 1024-pixel model that is
    128 KiB each in half precision, so 384 MiB if all of 32 × 32 points · 3 did.
    """

    options_class = Sam2Options
    learned = True

    def __init__(self, config: ProposalsConfig, options: Sam2Options) -> None:
        """Load the models onto the GPU if there is one.

        Raises:
            UserError: no weights are named, or they are not a SAM 2; with `merge_similarity`, a CLIP that cannot be
                loaded or has no patch tokens.
        """
        pretrained, side = load_sam2(options.weights, _KEY)
        self._config = config
        self._options = options
        self._device = device()
        self._model = pretrained.model.to(self._device)
        self._pretrained = pretrained
        self._points_P2 = point_grid(options.points_per_side, side).to(self._device)
        self._batches = Batches(config.batch_size)
        self.batch_size = config.batch_size
        # 2: rows are interpolated before columns, so a pixel whose logit ties with the threshold may be another.
        self.identity = {"name": "sam2", "version": "2", "weights_sha256": pretrained.sha256}
        self._patches = None
        if options.merge_similarity is not None:
            self._patches = load_patch_features(
                options.merge_clip, options.merge_clip_weights, config.precision, self._device
            )
            self.identity["merge_clip_sha256"] = self._patches.weights_sha256

    def propose(self, images: Sequence[np.ndarray], image_ids: Sequence[str]) -> list[Proposals]:
        """Proposals of each image.

        Args:
            images: uint8 [H, W, 3] RGB, of any sizes from 1 × 1.
            image_ids: not looked at.

        Raises:
            ImageProblem: `not_a_number`.
            ValueError: an image is not such an array.
            torch.OutOfMemoryError: the GPU's memory does not suffice for one image.
        """
        return self._batches.run(images, self._propose)

    @torch.inference_mode()
    def _propose(self, images: list[np.ndarray]) -> list[Proposals]:
        pixels_B3SS = self._pretrained.preprocess(images, self._device).pixel_values
        with autocast(self._config.precision, self._device):
            levels = self._model.get_image_embeddings(pixels_B3SS)
        patches_BND = self._patches(images) if self._patches else [None] * len(images)
        return [
            self._choose([level[index : index + 1] for level in levels], patches_ND, *images[0].shape[:2])
            for index, patches_ND in enumerate(patches_BND)
        ]

    def _choose(
        self, levels: list[torch.Tensor], patches_ND: torch.Tensor | None, height: int, width: int
    ) -> Proposals:
        mask_logits, scores_K = self._decode(levels)
        similarity = self._options.merge_similarity
        if self._patches:
            assert similarity is not None  # it asks for the patches
            assert patches_ND is not None
            mask_logits, scores_K = unite_similar(
                mask_logits,
                scores_K,
                patches_ND,
                self._patches.grid,
                similarity=similarity,
                config=self._config,
            )
        [found] = soft_proposals(mask_logits[None], scores_K[None], height, width, self._config)
        return found

    def _decode(self, levels: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Mask logits [K,h,w] and scores float32 [K] of one image, from its features at each level, [1,C,h,w]."""
        level = logit(self._config.mask_threshold)
        options, found = self._options, []
        for points_P2 in self._points_P2.split(options.points_per_batch):
            with autocast(self._config.precision, self._device):
                output = self._model(image_embeddings=levels, input_points=points_P2[None, :, None])
            mask_logits, iou_K = output.pred_masks[0].flatten(0, 1), output.iou_scores.flatten()
            found.append(
                sift(
                    mask_logits,
                    iou_K,
                    level,
                    iou=options.iou_threshold,
                    stable=options.stability_threshold,
                    offset=options.stability_offset,
                )
            )
        masks, scores = zip(*found, strict=True)
        return torch.cat(masks), torch.cat(scores)
