"""Both models, and images of many requests at a time."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.bank.evidence import Evidence, EvidenceReader
from pipeline.errors import UserError
from pipeline.images import ImageProblem, decode_jpeg
from pipeline.proposals import Proposals
from pipeline.proposals.proposer import Queries
from pipeline.segmentation import Prediction, Segmenter
from pipeline.segmentation.classes import parse_classes
from pipeline.segmentation.loading import load_bank, load_models
from pipeline.serving.config import ServerConfig
from pipeline.serving.names import NameEmbeddings

Classes = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Request:
    """An image and what to look for."""

    jpeg: bytes
    """Upright; see `pipeline.images.UprightJpeg`."""
    classes: Classes
    """The names of each class, see `parse_classes`."""
    sha256: str | None = None
    """Of the file that was sent, in hexadecimal: a bank does not answer with regions of the same file."""


@dataclass(frozen=True)
class Segmented:
    """What the models say of an image."""

    prediction: Prediction
    names: list[str]
    """The first name of each class, and then of each background class: the columns of the prediction."""
    weight: float
    """λ for `Prediction.label_map` and `class_scores`; 1 where proposals have no classes."""
    evidence: list[list[Evidence]] = field(default_factory=list)
    """For each region that CLIP could look at the mined regions that it rests on; empty without a bank."""


class Models:
    """Both models, loaded once per worker. Returns for every image what a `Segmenter` with its classes returns."""

    def __init__(self, config: ServerConfig, *, gpu: bool):
        """Load them, and embed the names that the page begins with.

        Raises:
            UserError: a model cannot be loaded, or the configuration has no meaning.
        """
        self._config = config
        self._clip, self._proposer = load_models(config, gpu=gpu)
        self._embed = NameEmbeddings(self._clip, config.segmentation.templates)
        self._bank = load_bank(config, self._clip)
        self._evidence = EvidenceReader(self._bank.bank) if self._bank and config.serve.neighbours else None
        self._segmenter(tuple(parse_classes(config.serve.classes, "serve.classes")))

    def segment(self, requests: Sequence[Request]) -> list[Segmented | ImageProblem | UserError]:
        """Segment the images of requests together, whatever the classes of each.

        In place of an answer comes what is wrong with one request: an ImageProblem, or a UserError about its classes.

        Raises:
            whatever is not about one request: see `costs_one_image`.
        """
        results: dict[int, Segmented | ImageProblem | UserError] = {}  # by request
        segmenters: dict[Classes, Segmenter] = {}
        for index, request in enumerate(requests):
            try:
                if request.classes not in segmenters:
                    segmenters[request.classes] = self._segmenter(request.classes)
            except UserError as error:
                results[index] = error
        due = [index for index in range(len(requests)) if index not in results]

        def proposed() -> Iterator[tuple[Segmenter, np.ndarray, Proposals | Queries, float, int]]:
            for index, image, found in self._propose(requests, due, segmenters):
                if isinstance(found, Exception):
                    results[index] = (
                        found
                        if isinstance(found, ImageProblem)
                        else ImageProblem("failed", f"{type(found).__name__}: {found}")
                    )
                else:
                    segmenter = segmenters[requests[index].classes]
                    yield segmenter, image, found, self._config.segmentation.mask_threshold, index

        if due:
            first = segmenters[requests[due[0]].classes]
            for index, prediction in first.classify_each(proposed(), lambda index: (requests[index].sha256,)):
                results[index] = self._segmented(prediction, segmenters[requests[index].classes])
        return [results[index] for index in range(len(requests))]

    def _propose(
        self, requests: Sequence[Request], due: list[int], segmenters: dict[Classes, Segmenter]
    ) -> Iterator[tuple[int, np.ndarray, Proposals | Queries | Exception]]:
        groups: dict[Classes | None, list[int]] = defaultdict(list)
        for index in due:
            classes = requests[index].classes
            # Masks of models that neither classify nor are asked by names are the same whatever the classes: all images
            # go together.
            own = segmenters[classes].classifies or segmenters[classes].asks_by_name
            groups[classes if own else None].append(index)
        for indices in groups.values():
            images = ((decode_jpeg(requests[index].jpeg), str(index), index) for index in indices)
            yield from segmenters[requests[indices[0]].classes].propose_each(images)

    def _segmenter(self, classes: Classes) -> Segmenter:
        config = self._config
        return Segmenter(
            self._clip,
            self._proposer,
            classes,
            config.segmentation,
            config.regions,
            config.clip.batch_size,
            embed=self._embed,
            bank=self._bank,
        )

    def _segmented(self, prediction: Prediction, segmenter: Segmenter) -> Segmented:
        return Segmented(
            prediction,
            names=[names[0] for names in (*segmenter.classes, *segmenter.background)],
            # Of proposals without classes nothing is fused.
            weight=self._config.segmentation.weight if segmenter.classifies else 1.0,
            evidence=self._read_evidence(prediction),
        )

    def _read_evidence(self, prediction: Prediction) -> list[list[Evidence]]:
        if self._evidence is None or prediction.neighbours is None:
            return []
        bank = self._config.segmentation.bank
        return self._evidence.read(prediction.neighbours, self._config.serve.neighbours, bank.min_similarity)
