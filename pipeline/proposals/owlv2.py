"""Backend `owlv2`: boxes by OWLv2 (arXiv 2306.09683), masks by SAM 2, both through `transformers`.

Shape suffixes: B images, Q boxes of an image, N names, L tokens, D embedding width, S the side of the input.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from transformers import Owlv2ForObjectDetection
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
class Owlv2Options:
    """The `owlv2` backend: boxes by OWLv2 (arXiv 2306.09683), masks by SAM 2."""

    weights: Annotated[str | None, LocalPath.PATH_OR_NAME] = None
    """OWLv2: a directory that `transformers` saved, or `hf-hub:org/repo`."""
    sam2_weights: Annotated[str | None, LocalPath.PATH_OR_NAME] = None
    """SAM 2, likewise."""
    threshold: Annotated[float, Limit(ge=0, le=1)] = 0.1
    """Boxes whose score for a name is not above this are no answer to it."""
    names_per_batch: Annotated[int, Limit(ge=1)] = 64
    """Names embedded together; fewer need less memory."""
    boxes_per_batch: Annotated[int, Limit(ge=1)] = 64
    """Boxes that SAM 2 decodes together."""


class Owlv2(AskedByNames):
    """The objects that OWLv2 finds for each name, cut out by SAM 2.

    OWLv2's boxes are the same whatever is asked, and each has a score for each name: that of the processor of
    `transformers` asked for this name alone. A box answers all names whose score is above the threshold, not only the
    best one, so that "person" is found where "man" is. Each image is encoded once.
    """

    options_class = Owlv2Options

    def __init__(self, config: ProposalsConfig, options: Owlv2Options) -> None:
        """Load the models onto the GPU if there is one.

        Raises:
            UserError: weights are not named, or not of such models.
        """
        key = "proposals.options"
        pretrained = load_pretrained(options.weights, f"{key}.weights", Owlv2ForObjectDetection, tokenizer=True)
        super().__init__("owlv2", config, pretrained, options.names_per_batch)
        self._options = options
        self._context = self._model.config.text_config.max_position_embeddings
        self._masks = BoxMasks(
            config, options.sam2_weights, f"{key}.sam2_weights", options.boxes_per_batch, self._device
        )
        self.identity["sam2_weights_sha256"] = self._masks.sha256

    @torch.inference_mode()
    def _propose(self, images: list[np.ndarray], names: list[Sequence[str]]) -> list[NamedProposals]:
        height, width = images[0].shape[:2]
        found = [askable(some, some, self._tokenizer, self._context, 2) for some in names]
        boxes = self._find(images, [[name for name, _ in asked] for asked, _ in found])
        masked = self._masks.masks(images, [of.inside(height, width) for of in boxes])
        return [
            named_proposals(masks, prompts, some, refused, self._config)
            for (masks, prompts), some, (_, refused) in zip(masked, names, found, strict=True)
        ]

    def _find(self, images: list[np.ndarray], asked: list[list[str]]) -> list[NamedBoxes]:
        """The boxes of each image that answer its names, in pixels."""
        if not any(asked):
            return [NamedBoxes(torch.zeros(0, 4), []) for _ in images]
        everything = list(dict.fromkeys(name for some in asked for name in some))
        embedded = dict(zip(everything, self._names.each(everything, self._embed), strict=True))
        pixels_B3SS = self._pretrained.preprocess(images, self._device).pixel_values
        with autocast(self._config.precision, self._device):
            features, _ = self._model.image_embedder(pixels_B3SS)
            features_BQD = features.flatten(1, 2)
            boxes_BQ4 = self._model.box_predictor(features_BQD, features)
        # Images are padded to squares, at their right or bottom.
        boxes_BQ4 = center_to_corners_format(boxes_BQ4.float()) * max(images[0].shape[:2])
        return [
            self._answering(features_QD, boxes_Q4, some, embedded)
            for features_QD, boxes_Q4, some in zip(features_BQD, boxes_BQ4, asked, strict=True)
        ]

    def _embed(self, names: list[str]) -> list[torch.Tensor]:
        """The embedding of each name, [D], of unit length."""
        words = self._tokenizer(names, return_tensors="pt", padding="max_length", max_length=self._context)
        words = words.to(self._device)
        with autocast(self._config.precision, self._device):
            found = self._model.owlv2.get_text_features(words.input_ids, words.attention_mask).pooler_output
        return list(found / found.norm(dim=-1, keepdim=True))

    def _answering(
        self, features_QD: torch.Tensor, boxes_Q4: torch.Tensor, names: list[str], embedded: dict[str, torch.Tensor]
    ) -> NamedBoxes:
        """Those boxes of an image whose score for one of its names is above the threshold."""
        if not names:
            return NamedBoxes(boxes_Q4[:0], [])
        queries_ND = torch.stack([embedded[name] for name in names])
        with autocast(self._config.precision, self._device):
            logits_1QN, _ = self._model.class_predictor(features_QD[None], queries_ND[None])
        scores_QN = logits_1QN[0].float().sigmoid()
        if not scores_QN.isfinite().any(dim=0).all():
            raise ImageProblem("not_a_number", "the proposal model gave scores that are not numbers")
        above_QN = scores_QN > self._options.threshold
        answering_Q = above_QN.any(dim=1)
        prompts = [
            {name: score for name, score, yes in zip(names, scores, above, strict=True) if yes}
            for scores, above in zip(scores_QN[answering_Q].tolist(), above_QN[answering_Q].tolist(), strict=True)
        ]
        return NamedBoxes(boxes_Q4[answering_Q], prompts)
