"""Images and class names → predictions.

Shape suffixes: Q masks of an image, V of them valid, N names, C classes and then background names, D embedding width.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Self, TypeVar

import numpy as np
import torch

from pipeline.bank.classifier import BankClassifier
from pipeline.bank.search import Neighbours
from pipeline.clip import Clip, RegionEncoder, TextEmbedder
from pipeline.configuration import limits
from pipeline.errors import UserError
from pipeline.images import ImageProblem, costs_one_image
from pipeline.masks.masks import Masks
from pipeline.masks.soft import binarize
from pipeline.proposals import Proposals, Proposer
from pipeline.proposals.proposer import ClassifyingProposer, Queries, is_prompted
from pipeline.regions import RegionsConfig
from pipeline.segmentation.classes import parse_classes
from pipeline.segmentation.config import SegmentationConfig
from pipeline.segmentation.prediction import Prediction

Companion = TypeVar("Companion")

ImageIdentity = Sequence[str | None]
"""What identifies an image, so far as it is known: SHA-256 of its file, in hexadecimal, and its URI."""


def unknown_image(companion: Any) -> ImageIdentity:
    """Of an image that nothing is known of."""
    return ()


class Segmenter:
    """Two-stage segmentation (OVSeg Sec. 3.1). Loaded once per worker and used for many images.

    A backend that is asked by names is asked for all names of all classes, and of the background; what CLIP takes a
    mask for is then as open as with any other backend.

    Every class name is embedded once, here. The logits of a class are pooled over its names.
    """

    def __init__(
        self,
        clip: Clip,
        proposer: Proposer,
        classes: Sequence[tuple[str, ...]],
        config: SegmentationConfig,
        regions: RegionsConfig,
        batch_size: int,
        embed: Callable[[list[str]], torch.Tensor] | None = None,
        bank: BankClassifier | None = None,
    ):
        """Embed the class names.

        Args:
            classes: the names of each class, see `parse_classes`.
            regions: how a masked region becomes a CLIP input.
            batch_size: regions per forward pass, gathered across images.
            embed: names → [N,D], of unit length; by default a `TextEmbedder` with the configured templates.
            bank: mined regions that are asked beside CLIP.

        Raises:
            UserError: see `background_classes`; or the bank's embeddings have another width.
        """
        self.background = background_classes(classes, config, proposer)
        """The names of each background class; their columns of a `Prediction` follow those of the classes."""
        self._classifier = proposer if isinstance(proposer, ClassifyingProposer) else None
        self.classifies = self._classifier is not None
        """Whether the proposal model classifies its masks, which are then soft."""
        self.asks_by_name = is_prompted(proposer)
        """Whether masks are asked for by the names of the classes, so that other classes have other masks."""
        self.device = str(clip.device)
        """Of the CLIP."""
        self.classes = list(classes)
        self.config = config
        self._proposer = proposer
        self._encoder = RegionEncoder(clip, regions, batch_size)
        groups = [*classes, *self.background]
        self._asked = list(dict.fromkeys(name for names in groups for name in names))
        self._first_names = np.cumsum([0, *(len(names) for names in groups[:-1])])
        embed = embed or TextEmbedder(clip, config.templates)
        self._texts_ND = embed([name for names in groups for name in names]).numpy()
        self._temperature = config.temperature or float(clip.logit_scale.exp())
        self._bank = bank.for_classes(groups, self._texts_ND, self._temperature) if bank else None

    def predict(self, images: Iterable[tuple[np.ndarray, str, Companion]]) -> Iterator[tuple[Companion, Prediction]]:
        """Segment images one after the other.

        CLIP's batches span images, so a prediction comes out when the batch with its last region is done; in between
        wait at most the images that share a batch.

        Args:
            images: uint8 [H,W,3] RGB, upright, its id (only the backend `ground_truth` looks at it), and anything that
                is to come out with its prediction.

        Raises:
            ImageProblem: an image that the backend cannot use.
            UserError: CLIP's embeddings are not numbers.
        """

        def proposed() -> Iterator[tuple[np.ndarray, Proposals | Queries, float, Companion]]:
            for companion, image, found in self.propose_each(images):
                if isinstance(found, Exception):
                    raise found
                yield image, found, self.config.mask_threshold, companion

        return self.classify(proposed())

    def propose_each(
        self, images: Iterable[tuple[np.ndarray, str, Companion]]
    ) -> Iterator[tuple[Companion, np.ndarray, Proposals | Queries | Exception]]:
        """The first stage alone: masks, with class logits if the backend classifies.

        As many images as the backend does best together are read ahead. If they fail together, they are tried one by
        one, and in place of the masks of an image that fails alone comes the exception: an ImageProblem if the backend
        cannot use the image, or returns logits for it that are not numbers.

        Args:
            images: an image, its id, and anything that is to come out with it and its masks.

        Raises:
            whatever is not about an image: see `costs_one_image`.
        """
        images = iter(images)
        while batch := list(islice(images, self._proposer.batch_size)):
            for (image, _, companion), found in zip(batch, self._try(batch), strict=True):
                yield companion, image, found

    def _try(self, batch: list[tuple[np.ndarray, str, Any]]) -> Sequence[Proposals | Queries | Exception]:
        try:
            return self._propose(batch)
        except Exception as error:
            if not costs_one_image(error):
                raise
            if len(batch) == 1:
                return [error]
            return [found for image in batch for found in self._try([image])]

    def _propose(self, batch: list[tuple[np.ndarray, str, Any]]) -> list[Proposals] | list[Queries]:
        images, image_ids, _ = zip(*batch, strict=True)
        if is_prompted(self._proposer):
            named = self._proposer.propose_named(images, image_ids, [self._asked] * len(batch))
            return [found.proposals for found in named]
        if self._classifier is None:
            return self._proposer.propose(images, image_ids)
        found = self._classifier.propose_queries(images, image_ids, self._texts_ND)
        for queries in found:
            _check(queries, len(self._texts_ND))
        return found

    def classify(
        self,
        proposed: Iterable[tuple[np.ndarray, Proposals | Queries, float, Companion]],
        image_of: Callable[[Companion], ImageIdentity] = unknown_image,
    ) -> Iterator[tuple[Companion, Prediction]]:
        """The second stage alone.

        Args:
            proposed: an image, its masks by `propose_each`, the probability above which pixels of soft masks count, and
                anything that is to come out with the prediction.
            image_of: what identifies the image that came with it, so that a bank does not answer with its own regions.

        Raises:
            UserError: CLIP's embeddings are not numbers.
        """
        return self.classify_each(((self, *image) for image in proposed), image_of)

    def classify_each(
        self,
        proposed: Iterable[tuple[Self, np.ndarray, Proposals | Queries, float, Companion]],
        image_of: Callable[[Companion], ImageIdentity] = unknown_image,
    ) -> Iterator[tuple[Companion, Prediction]]:
        """As `classify`, but each image comes with the segmenter whose classes it is for.

        All of them must have the models of this one: the images share CLIP's batches.
        """

        def masked() -> Iterator[tuple[np.ndarray, Masks, tuple[Self, Proposals | Queries, Masks, Companion]]]:
            for segmenter, image, found, threshold, companion in proposed:
                if isinstance(found, Queries):
                    height, width = image.shape[:2]
                    masks = binarize(torch.from_numpy(found.mask_logits), height, width, threshold)
                else:
                    masks = found.masks
                yield image, masks, (segmenter, found, masks, companion)

        encoded: Iterator[tuple[tuple[Self, Proposals | Queries, Masks, Companion], np.ndarray, np.ndarray]] = (
            self._encoder.encode(masked())
        )
        for (segmenter, found, masks, companion), features_VD, valid_Q in encoded:
            queries = found if isinstance(found, Queries) else None
            logits_VC, neighbours = segmenter._region_logits(features_VD, image_of(companion))
            yield (
                companion,
                Prediction(
                    classes=len(segmenter.classes),
                    masks=masks,
                    mask_logits=queries.mask_logits if queries else None,
                    region_logits=logits_VC,
                    valid=valid_Q,
                    proposal_logits=segmenter._proposal_logits(queries.class_logits) if queries else None,
                    neighbours=neighbours,
                ),
            )

    def _region_logits(self, features_VD: np.ndarray, image: ImageIdentity) -> tuple[np.ndarray, Neighbours | None]:
        if not len(features_VD):
            return np.zeros((0, len(self._first_names)), np.float32), None
        if not np.isfinite(features_VD).all():
            raise UserError(
                "clip: the embeddings of some regions are not numbers; the weights are damaged, or clip.precision is "
                "too low for them (try fp32)"
            )
        logits_VC = self._pool(self._temperature * (features_VD @ self._texts_ND.T))
        return self._bank.fuse(features_VD, logits_VC, image) if self._bank else (logits_VC, None)

    def _proposal_logits(self, class_logits: np.ndarray) -> np.ndarray:
        return np.concatenate([self._pool(class_logits[:, :-1]), class_logits[:, -1:]], axis=1)

    def _pool(self, logits_XN: np.ndarray) -> np.ndarray:
        """Logits of names → logits of classes, float32 [X,C]."""
        if self.config.synonyms == "max":
            return np.maximum.reduceat(logits_XN, self._first_names, axis=1)
        counts_C = np.diff([*self._first_names, logits_XN.shape[1]]).astype(np.float32)
        return np.add.reduceat(logits_XN, self._first_names, axis=1) / counts_C


def background_classes(
    classes: Sequence[tuple[str, ...]], config: SegmentationConfig, proposer: Proposer
) -> list[tuple[str, ...]]:
    """The names of each background class.

    Raises:
        UserError: no classes, a background name that is also a class, or a configuration without meaning, by itself or
            with this proposer.
    """
    limits.check(config, "segmentation")
    if not classes:
        raise UserError("classes: no classes are given; name at least one")
    background = parse_classes(config.background, "segmentation.background") if config.background else []
    for names in background:
        if names[0] in (class_names[0] for class_names in classes):
            raise UserError(f"segmentation.background: {names[0]!r} is also a class; it cannot be both")
    if config.weight == 0 and not isinstance(proposer, ClassifyingProposer):
        raise UserError(
            "segmentation.weight: 0 takes the classification of the proposals alone, and this backend "
            f"({proposer.identity.get('name', 'unnamed')}) only proposes masks; use a weight above 0"
        )
    return background


def _check(queries: Queries, names: int) -> None:
    """Check the logits of an image.

    Raises:
        ImageProblem: `not_a_number`.
        UserError: they have another shape than they must.
    """
    mask_logits, class_logits = queries.mask_logits, queries.class_logits
    if mask_logits.ndim != 3 or class_logits.shape != (len(mask_logits), names + 1):
        raise UserError(
            f"proposals.backend: it gave mask logits {list(mask_logits.shape)} and class logits "
            f"{list(class_logits.shape)} for {names} names; they must be [Q,h,w] and [Q,{names + 1}]"
        )
    for kind, logits in (("mask", mask_logits), ("class", class_logits)):
        if np.isnan(logits).any():
            raise ImageProblem("not_a_number", f"the proposal model gave {kind} logits that are not numbers")
