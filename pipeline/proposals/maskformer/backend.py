"""The `maskformer` backend.

Shape suffixes: B images, Q queries, X class outputs, N texts, D embedding width, h×w the masks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from transformers import MaskFormerForInstanceSegmentation

from pipeline.configuration.limits import Limit
from pipeline.configuration.markers import LocalPath
from pipeline.errors import UserError
from pipeline.proposals.config import ProposalsConfig
from pipeline.proposals.maskformer.checkpoint import load_ovseg_checkpoint
from pipeline.proposals.maskformer.converted import as_network
from pipeline.proposals.maskformer.network import MaskFormerNetwork
from pipeline.proposals.maskformer.preprocessing import prepare, without_padding
from pipeline.proposals.networks import Batches, autocast, device
from pipeline.proposals.pretrained import load_pretrained
from pipeline.proposals.proposer import Proposals, Queries
from pipeline.proposals.soft_proposals import mask_confidence, soft_proposals
from pipeline.weights.fetching import fetch, sha256

_KEY = "proposals.options.weights"
_FILES = (".pth", ".pt", ".bin", ".pkl", ".safetensors")


@dataclass
class MaskFormerOptions:
    """The `maskformer` backend: MaskFormer (arXiv 2107.06278), also with OVSeg's open-vocabulary head."""

    weights: Annotated[str | None, LocalPath.PATH_OR_NAME] = None
    """An OVSeg checkpoint (.pth, .pkl, .safetensors; path or URI), or a MaskFormer that `transformers` saved: a
    directory, or `hf-hub:org/repo`."""
    short_side: Annotated[int, Limit(ge=32)] = 640
    """Images are resized to this shorter side (px); OVSeg: 640 with Swin-B, 512 with R101c."""
    max_side: Annotated[int, Limit(ge=32)] = 2560
    """Longest side (px) after resizing; OVSeg: 2560 with Swin-B, 2048 with R101c."""


class MaskFormer:
    """Every query's mask is a proposal; its score is the mean probability of the pixels in it, times that of not being
    "no object" where the classes are fixed.

    With OVSeg's open-vocabulary head it also has `propose_queries`, which makes it a `ClassifyingProposer`.
    """

    options_class = MaskFormerOptions
    learned = True

    def __init__(self, config: ProposalsConfig, options: MaskFormerOptions):
        """Load the model onto the GPU if there is one.

        Raises:
            UserError: `proposals.options.weights` cannot be used.
        """
        self._config = config
        self._options = options
        self._device = device()
        network, digest = _load(options.weights)
        self._network = network.to(self._device)
        self._batches = Batches(config.batch_size)
        self.batch_size = config.batch_size
        # 2: rows are interpolated before columns, so a pixel whose logit ties with the threshold may be another.
        self.identity = {"name": "maskformer", "version": "2", "weights_sha256": digest}
        if network.embedding_width is not None:
            # Not a method of the class: the weights decide whether the backend classifies.
            self.propose_queries = self._propose_queries

    def propose(self, images: Sequence[np.ndarray], image_ids: Sequence[str]) -> list[Proposals]:
        """See `Proposer`."""
        return self._batches.run(images, self._propose)

    @torch.inference_mode()
    def _propose(self, images: list[np.ndarray]) -> list[Proposals]:
        masks_BQhw, classes_BQX = self._forward(images)
        scores_BQ = mask_confidence(masks_BQhw, self._config.mask_threshold)
        if self._network.embedding_width is None:
            scores_BQ = scores_BQ * (1 - classes_BQX.softmax(dim=-1)[..., -1])
        height, width = images[0].shape[:2]
        return soft_proposals(masks_BQhw, scores_BQ, height, width, self._config)

    def _propose_queries(
        self, images: Sequence[np.ndarray], image_ids: Sequence[str], texts_ND: np.ndarray
    ) -> list[Queries]:
        """See `ClassifyingProposer`.

        Raises:
            UserError: the texts were embedded by a CLIP of another width.
        """
        if texts_ND.shape[1] != self._network.embedding_width:
            raise UserError(
                f"{_KEY}: this checkpoint classifies by embeddings of width {self._network.embedding_width}, and those "
                f"of clip.architecture have {texts_ND.shape[1]}; leave clip.architecture empty and give the same "
                "checkpoint as clip.weights to use the CLIP inside it"
            )
        texts = torch.from_numpy(texts_ND).to(self._device)

        @torch.inference_mode()
        def classify(batch: list[np.ndarray]) -> list[Queries]:
            masks_BQhw, embeddings_BQD = self._forward(batch)
            logits_BQX = self._network.class_logits(embeddings_BQD, texts)
            pairs = zip(masks_BQhw.cpu().numpy(), logits_BQX.cpu().numpy(), strict=True)
            return [Queries(masks_Qhw, logits_QX) for masks_Qhw, logits_QX in pairs]

        return self._batches.run(images, classify)

    def _forward(self, images: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
        """Mask logits [B,Q,h,w] without padding, and class output [B,Q,X], for images of one size."""
        pixels, size = prepare(images, self._options.short_side, self._options.max_side, self._device)
        with autocast(self._config.precision, self._device):
            masks_BQhw, classes_BQX = self._network(pixels)
        return without_padding(masks_BQhw, pixels.shape[2:], size), classes_BQX


def _load(weights: str | None) -> tuple[MaskFormerNetwork, str]:
    """The network of a checkpoint, and the SHA-256 of its files."""
    if not weights:
        raise UserError(
            f"{_KEY} is empty: give an OVSeg checkpoint (a .pth, .pkl or .safetensors file; a path, a URI or "
            "hf-hub:org/repo/file), or a MaskFormer that `transformers` saved (a directory or hf-hub:org/repo)"
        )
    if weights.endswith(_FILES):
        path = fetch(weights, _KEY)
        return load_ovseg_checkpoint(path).proposal_model, sha256(path)
    pretrained = load_pretrained(weights, _KEY, MaskFormerForInstanceSegmentation)
    return as_network(pretrained.model), pretrained.sha256
