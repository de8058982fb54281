"""Backend `sam3`: SAM 3 (arXiv 2511.16719) through `transformers`, asked for the names of each image.

Shape suffixes: B images, T names, Q queries of each, L tokens, K masks that answer, h×w their resolution.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
import torch
from transformers import BatchFeature, Sam3Model
from transformers.models.sam3.modeling_sam3 import Sam3VisionEncoderOutput

from pipeline.configuration.limits import Limit
from pipeline.configuration.markers import LocalPath
from pipeline.masks.masks import Masks
from pipeline.proposals.answers import named_proposals
from pipeline.proposals.askable_names import askable
from pipeline.proposals.asked_by_names import AskedByNames
from pipeline.proposals.config import ProposalsConfig
from pipeline.proposals.networks import autocast
from pipeline.proposals.pretrained import load_pretrained
from pipeline.proposals.proposer import NamedProposals
from pipeline.proposals.soft_answers import Answer, answers, joined

_KEY = "proposals.options.weights"


@dataclass
class Sam3Options:
    """The `sam3` backend: SAM 3 (arXiv 2511.16719) through `transformers`, asked for the names of each image."""

    weights: Annotated[str | None, LocalPath.PATH_OR_NAME] = None
    """A directory that `transformers` saved, or `hf-hub:org/repo`. Meta's own, `hf-hub:facebook/sam3`, is gated."""
    threshold: Annotated[float, Limit(ge=0, le=1)] = 0.5
    """Masks whose score, presence of the name in the image × score of the query, is not above this are no answer."""
    names_per_batch: Annotated[int, Limit(ge=1)] = 16
    """Names asked together; fewer need less memory."""


class Sam3(AskedByNames):
    """The masks that SAM 3 finds for each name. Each image is encoded once, several of one size together; its names are
    swept in batches, and what comes out for one does not depend on the others.

    Scores and masks are those of the processor of `transformers` (`post_process_instance_segmentation`).
    """

    options_class = Sam3Options

    def __init__(self, config: ProposalsConfig, options: Sam3Options) -> None:
        """Load the model onto the GPU if there is one.

        Raises:
            UserError: no weights are named, or they are not a SAM 3.
        """
        pretrained = load_pretrained(options.weights, _KEY, Sam3Model, supersets=("sam3_video",), tokenizer=True)
        super().__init__("sam3", config, pretrained, options.names_per_batch)
        self._options = options
        self._context = self._model.config.text_config.max_position_embeddings

    @torch.inference_mode()
    def _propose(self, images: list[np.ndarray], names: list[Sequence[str]]) -> list[NamedProposals]:
        found = [askable(some, some, self._tokenizer, self._context, 2) for some in names]
        height, width = images[0].shape[:2]
        if not any(asked for asked, _ in found):  # nothing to look for
            nothing = Masks((), height, width)
            return [
                named_proposals(nothing, [], some, refused, self._config)
                for some, (_, refused) in zip(names, found, strict=True)
            ]
        pixels_B3SS = self._pretrained.preprocess(images, self._device).pixel_values
        with autocast(self._config.precision, self._device):
            levels = self._model.get_vision_features(pixel_values=pixels_B3SS)
        results = []
        for index, (asked, refused) in enumerate(found):
            answered = self._names.each(asked, partial(self._ask, levels, index, (height, width)))
            masks, prompts = joined(answered, [name for name, _ in asked], height, width)
            results.append(named_proposals(masks, prompts, names[index], refused, self._config))
        return results

    def _ask(
        self, levels: Sam3VisionEncoderOutput, index: int, size: tuple[int, int], asked: list[tuple[str, str]]
    ) -> list[Answer]:
        """The answers of one image, of this height and width, to a batch of names."""
        words = self._tokenize([text for _, text in asked])
        with autocast(self._config.precision, self._device):
            output = self._model(vision_embeds=_repeated(levels, index, len(asked)), **words)
        scores_TQ = output.pred_logits.float().sigmoid() * output.presence_logits.float().sigmoid()
        return answers(scores_TQ, output.pred_masks, self._options.threshold, *size, self._config.mask_threshold)

    def _tokenize(self, texts: list[str]) -> BatchFeature:
        """`input_ids` and `attention_mask`, int64 [T,L], as the processor of `transformers` makes them."""
        return self._tokenizer(texts, return_tensors="pt", padding="max_length", max_length=self._context).to(
            self._device
        )


def _repeated(levels: Sam3VisionEncoderOutput, index: int, times: int) -> Sam3VisionEncoderOutput:
    """The features of one image, as many times as there are names; nothing is copied."""
    maps, positions = (
        tuple(level[index : index + 1].expand(times, -1, -1, -1) for level in some)
        for some in (levels.fpn_hidden_states, levels.fpn_position_encoding)
    )
    return Sam3VisionEncoderOutput(fpn_hidden_states=maps, fpn_position_encoding=positions)
