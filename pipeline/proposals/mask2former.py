"""Backend `mask2former`: Mask2Former (arXiv 2112.01527) through `transformers`, whatever classes it was trained on.

Shape suffixes: B images, Q queries, C classes, h×w the resolution of the mask logits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from transformers import Mask2FormerForUniversalSegmentation

from pipeline.configuration.markers import LocalPath
from pipeline.proposals.config import ProposalsConfig
from pipeline.proposals.networks import Batches, autocast, device
from pipeline.proposals.pretrained import load_pretrained
from pipeline.proposals.proposer import Proposals
from pipeline.proposals.soft_proposals import mask_confidence, soft_proposals


@dataclass
class Mask2FormerOptions:
    """The `mask2former` backend: Mask2Former (arXiv 2112.01527) through `transformers`."""

    weights: Annotated[str | None, LocalPath.PATH_OR_NAME] = None
    """A directory that `transformers` saved, or `hf-hub:org/repo`. Its preprocessor_config.json says the sizes."""


class Mask2Former:
    """The masks of all queries, of whatever class: instances, things and stuff alike.

    The score of a query is (1 − p(no object)) · mean probability inside its mask: Mask2Former's own, with the
    probability of the best class replaced by that of any class.
    """

    options_class = Mask2FormerOptions
    learned = True

    def __init__(self, config: ProposalsConfig, options: Mask2FormerOptions) -> None:
        """Load the model onto the GPU if there is one.

        Raises:
            UserError: no weights are named, or they are not a Mask2Former.
        """
        pretrained = load_pretrained(options.weights, "proposals.options.weights", Mask2FormerForUniversalSegmentation)
        self._config = config
        self._device = device()
        self._model = pretrained.model.to(self._device)
        self._pretrained = pretrained
        self._batches = Batches(config.batch_size)
        self.batch_size = config.batch_size
        # 2: rows are interpolated before columns, so a pixel whose logit ties with the threshold may be another.
        self.identity = {"name": "mask2former", "version": "2", "weights_sha256": pretrained.sha256}

    def propose(self, images: Sequence[np.ndarray], image_ids: Sequence[str]) -> list[Proposals]:
        """Proposals of each image; several of one size are computed together.

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
        height, width = images[0].shape[:2]
        inputs = self._pretrained.preprocess_within_edges(images, self._device)
        with autocast(self._config.precision, self._device):
            output = self._model(pixel_values=inputs.pixel_values)
        masks_BQhw = _without_padding(output.masks_queries_logits.float(), inputs.pixel_mask[0])
        objectness_BQ = 1 - output.class_queries_logits.float().softmax(dim=-1)[..., -1]
        scores_BQ = objectness_BQ * mask_confidence(masks_BQhw, self._config.mask_threshold)
        return soft_proposals(masks_BQhw, scores_BQ, height, width, self._config)


def _without_padding(masks_BQhw: torch.Tensor, inside_HW: torch.Tensor) -> torch.Tensor:
    """Mask logits of the image alone, where `inside_HW` says which pixels of the network's input show it.

    Processors pad only if their configuration has a `pad_size`. Its border need not fall between two pixels of the
    logits, so that they are upsampled to the input first, as in Mask2Former's own code.
    """
    height, width = int(inside_HW.any(dim=1).sum()), int(inside_HW.any(dim=0).sum())
    if (height, width) == inside_HW.shape:
        return masks_BQhw
    return F.interpolate(masks_BQhw, tuple(inside_HW.shape), mode="bilinear")[..., :height, :width]
