"""Backend `grounding_dino`: boxes by Grounding DINO (arXiv 2303.05499), masks by SAM 2, both through `transformers`.

Shape suffixes: B images, T names, Q queries of each, L tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np
import torch
from transformers import BatchFeature, GroundingDinoForObjectDetection
from transformers.image_transforms import center_to_corners_format

from pipeline.configuration.limits import Limit
from pipeline.configuration.markers import LocalPath
from pipeline.images import ImageProblem
from pipeline.proposals.answers import named_proposals
from pipeline.proposals.askable_names import askable
from pipeline.proposals.asked_by_names import AskedByNames
from pipeline.proposals.box_masks import BoxMasks, NamedBoxes
from pipeline.proposals.config import ProposalsConfig
from pipeline.proposals.networks import autocast
from pipeline.proposals.pretrained import load_pretrained
from pipeline.proposals.proposer import NamedProposals


@dataclass
class GroundingDinoOptions:
    """The `grounding_dino` backend: boxes by Grounding DINO (arXiv 2303.05499), masks by SAM 2."""

    weights: Annotated[str | None, LocalPath.PATH_OR_NAME] = None
    """Grounding DINO: a directory that `transformers` saved, or `hf-hub:org/repo`."""
    sam2_weights: Annotated[str | None, LocalPath.PATH_OR_NAME] = None
    """SAM 2, likewise."""
    threshold: Annotated[float, Limit(ge=0, le=1)] = 0.25
    """Boxes whose score is not above this are no answer."""
    names_per_batch: Annotated[int, Limit(ge=1)] = 8
    """Names asked together; fewer need less memory."""
    boxes_per_batch: Annotated[int, Limit(ge=1)] = 64
    """Boxes that SAM 2 decodes together."""


class GroundingDino(AskedByNames):
    """The objects that Grounding DINO finds for each name, cut out by SAM 2.

    Every name is a text of its own, "cat.", so that what comes out for it does not depend on the others. (In one text,
    "cat. dog.", names attend to the image together and share its queries.) The backbone sees each image once, and so
    does SAM 2; the encoder that fuses image and text runs for each name. Scores and boxes are those of the processor of
    `transformers`: the best of the text's tokens.
    """

    options_class = GroundingDinoOptions

    def __init__(self, config: ProposalsConfig, options: GroundingDinoOptions) -> None:
        """Load the models onto the GPU if there is one.

        Raises:
            UserError: weights are not named, or not of such models.
        """
        key = "proposals.options"
        pretrained = load_pretrained(options.weights, f"{key}.weights", GroundingDinoForObjectDetection, tokenizer=True)
        super().__init__("grounding_dino", config, pretrained, options.names_per_batch)
        self._options = options
        self._model.model.backbone = _Once(self._model.model.backbone)
        self._masks = BoxMasks(
            config, options.sam2_weights, f"{key}.sam2_weights", options.boxes_per_batch, self._device
        )
        self.identity["sam2_weights_sha256"] = self._masks.sha256

    @torch.inference_mode()
    def _propose(self, images: list[np.ndarray], names: list[Sequence[str]]) -> list[NamedProposals]:
        height, width = images[0].shape[:2]
        most = self._model.config.max_text_len
        # [CLS], the name, its full stop, [SEP].
        found = [askable(some, [_text(name) for name in some], self._tokenizer, most, 3) for some in names]
        boxes = self._find(images, [asked for asked, _ in found])
        masked = self._masks.masks(images, [of.inside(height, width) for of in boxes])
        return [
            named_proposals(masks, prompts, some, refused, self._config)
            for (masks, prompts), some, (_, refused) in zip(masked, names, found, strict=True)
        ]

    def _find(self, images: list[np.ndarray], asked: list[list[tuple[str, str]]]) -> list[NamedBoxes]:
        """The boxes of each image that answer its names, in pixels."""
        if not any(asked):
            return [NamedBoxes(torch.zeros(0, 4), []) for _ in images]
        inputs = self._pretrained.preprocess_within_edges(images, self._device)
        backbone = self._model.model.backbone
        with autocast(self._config.precision, self._device):
            backbone.encode(inputs.pixel_values, inputs.pixel_mask)
        found = []
        for index, some in enumerate(asked):
            backbone.index = index
            per_name = self._names.each(some, partial(self._ask, inputs, index))
            height, width = images[index].shape[:2]
            scale = torch.tensor([width, height] * 2, device=self._device)
            boxes_K4 = torch.cat([boxes for boxes, _ in per_name] or [torch.zeros(0, 4, device=self._device)]) * scale
            prompts = [{name: score} for (name, _), (_, scores) in zip(some, per_name, strict=True) for score in scores]
            found.append(NamedBoxes(boxes_K4, prompts))
        backbone.forget()
        return found

    def _ask(
        self, inputs: BatchFeature, index: int, asked: list[tuple[str, str]]
    ) -> list[tuple[torch.Tensor, list[float]]]:
        """Of each of a batch of names its boxes in one image, corners as fractions of it, and their scores."""
        words = self._tokenizer([text for _, text in asked], return_tensors="pt", padding=True).to(self._device)
        pixels, inside = (
            some[index : index + 1].expand(len(asked), *some.shape[1:])
            for some in (inputs.pixel_values, inputs.pixel_mask)
        )
        with autocast(self._config.precision, self._device):
            output = self._model(
                pixel_values=pixels,
                pixel_mask=inside,
                input_ids=words.input_ids,
                attention_mask=words.attention_mask,
            )
        scores_TQ = output.logits.float().sigmoid().amax(dim=-1)
        if not scores_TQ.isfinite().any(dim=1).all():
            raise ImageProblem("not_a_number", "the proposal model gave scores that are not numbers")
        boxes_TQ4 = center_to_corners_format(output.pred_boxes.float())
        above_TQ = scores_TQ > self._options.threshold
        return [
            (boxes_Q4[above_Q], scores_Q[above_Q].tolist())
            for boxes_Q4, scores_Q, above_Q in zip(boxes_TQ4, scores_TQ, above_TQ, strict=True)
        ]


class _Once(torch.nn.Module):
    """A backbone that sees a batch of images once: the model then gets the features of one of them, as many times as
    there are names. Its `forward` would encode the image again for each name.
    """

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.backbone = backbone
        self.index = 0
        self._maps: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._positions: list[torch.Tensor] = []

    @property
    def position_embedding(self) -> Any:
        """Of the backbone; the model uses it for levels that it adds."""
        return self.backbone.position_embedding

    def encode(self, pixels_B3hw: torch.Tensor, inside_Bhw: torch.Tensor) -> None:
        """See these images."""
        self._maps, self._positions = self.backbone(pixels_B3hw, inside_Bhw)

    def forget(self) -> None:
        """Let go of their features."""
        self._maps, self._positions = [], []

    def forward(self, pixels_T3hw: torch.Tensor, inside_Thw: torch.Tensor) -> tuple[list, list]:
        """The features of image `index`, T times, at each level with its mask; and the position embeddings."""

        def repeated(features: torch.Tensor) -> torch.Tensor:
            return features[self.index : self.index + 1].expand(len(pixels_T3hw), *features.shape[1:])

        # New lists: the model appends to them.
        return [(repeated(some), repeated(inside)) for some, inside in self._maps], list(map(repeated, self._positions))


def _text(name: str) -> str:
    """How the model is asked for a name: as the processor of `transformers` makes one text of a list of names."""
    return f"{name.strip().lower()}."
