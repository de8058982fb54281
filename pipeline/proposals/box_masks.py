"""Boxes → masks, by SAM 2 (arXiv 2408.00714): the second half of backends that find boxes by name.

Shape suffixes: B images, S the side of the network's input, K boxes of an image, h×w the resolution of masks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pipeline.images import ImageProblem
from pipeline.masks.masks import Masks
from pipeline.masks.soft import logit
from pipeline.masks.upsampling import upsampled_runs
from pipeline.proposals.config import ProposalsConfig
from pipeline.proposals.networks import Batches, autocast
from pipeline.proposals.sam2 import load_sam2


@dataclass(frozen=True)
class NamedBoxes:
    """Boxes in an image, and the names that each answers."""

    boxes: torch.Tensor
    """float32 [K,4], x0, y0, x1, y1 in pixels of the image, on any device."""
    prompts: list[dict[str, float]]
    """Of each box its names, one at least, and how well it answers them, 0..1."""

    def inside(self, height: int, width: int) -> "NamedBoxes":
        """Boxes clipped to the image; those that have nothing of it, or coordinates that are no numbers, are gone."""
        least = torch.zeros(4, device=self.boxes.device)
        most = torch.tensor([width, height, width, height], device=self.boxes.device)
        clipped_K4 = torch.minimum(torch.maximum(self.boxes.float(), least), most)
        kept_K = clipped_K4.isfinite().all(dim=1) & (clipped_K4[:, 2:] > clipped_K4[:, :2]).all(dim=1)
        prompts = [of for of, kept in zip(self.prompts, kept_K.tolist(), strict=True) if kept]
        return NamedBoxes(clipped_K4[kept_K], prompts)


class BoxMasks:
    """SAM 2, asked for the one mask of each box. Images are encoded once, several of one size together."""

    def __init__(
        self, config: ProposalsConfig, weights: str | None, key: str, boxes_per_batch: int, device: torch.device
    ) -> None:
        """Load the model.

        Args:
            weights: of SAM 2, see `load_sam2`.
            key: of the configuration, for messages.
            boxes_per_batch: decoded together.

        Raises:
            UserError: no weights are named, or they are not a SAM 2.
        """
        self._pretrained, self._side = load_sam2(weights, key)
        self._config = config
        self._device = device
        self._model = self._pretrained.model.to(device)
        self._boxes = Batches(boxes_per_batch, "boxes", "proposals.options.boxes_per_batch")
        self.sha256 = self._pretrained.sha256

    def masks(
        self, images: Sequence[np.ndarray], boxes: Sequence[NamedBoxes]
    ) -> list[tuple[Masks, list[dict[str, float]]]]:
        """The mask of each box, and its names. Masks with numbers that are none are dropped. Runs in inference mode.

        Args:
            images: uint8 [H, W, 3], of one size. Those without boxes are not encoded.
            boxes: of each image, inside it.

        Raises:
            ImageProblem: `not_a_number`, if nothing is left of an image's masks for that reason.
        """
        height, width = images[0].shape[:2]
        found: list[tuple[Masks, list[dict[str, float]]]] = [(Masks((), height, width), []) for _ in images]
        some = [index for index, of in enumerate(boxes) if of.prompts]
        if not some:
            return found
        pixels_B3SS = self._pretrained.preprocess([images[index] for index in some], self._device).pixel_values
        with autocast(self._config.precision, self._device):
            levels = self._model.get_image_embeddings(pixels_B3SS)
        for place, index in enumerate(some):
            of_image = [level[place : place + 1] for level in levels]
            masks_Khw = self._decode(of_image, boxes[index].boxes, height, width)
            numbers = masks_Khw.flatten(1).isfinite().all(dim=1).tolist()
            if not any(numbers):
                raise ImageProblem("not_a_number", "the proposal model gave masks that are not numbers")
            kept_Khw = masks_Khw[torch.tensor(numbers, device=masks_Khw.device)]
            runs = list(upsampled_runs(kept_Khw, height, width, logit(self._config.mask_threshold)))
            prompts = [of for of, number in zip(boxes[index].prompts, numbers, strict=True) if number]
            found[index] = Masks.of_runs(runs, height, width), prompts
        return found

    def _decode(self, levels: list[torch.Tensor], boxes_K4: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """Mask logits float32 [K,h,w] of one image, from its features at each level, [1,C,h,w]."""
        scale = torch.tensor([self._side / width, self._side / height] * 2, device=self._device)
        scaled_K4 = boxes_K4.to(self._device) * scale

        def forward(some: list[torch.Tensor]) -> list[torch.Tensor]:
            with autocast(self._config.precision, self._device):
                output = self._model(
                    image_embeddings=levels, input_boxes=torch.stack(some)[None], multimask_output=False
                )
            return list(output.pred_masks[0, :, 0].float())

        return torch.stack(self._boxes.each(list(scaled_K4), forward))
