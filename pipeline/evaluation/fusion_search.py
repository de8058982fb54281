"""Which fusion weight and mask threshold segment a held-out split best (OVSeg's results depend on both)."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch

from pipeline import storage
from pipeline.errors import UserError
from pipeline.evaluation.background import uncovered_as_background, unlikely_as_background
from pipeline.evaluation.bank_leakage import image_identities
from pipeline.evaluation.config import EvaluateConfig
from pipeline.evaluation.confusion import ConfusionMatrix
from pipeline.evaluation.datasets import open_dataset
from pipeline.evaluation.datasets.background import Background
from pipeline.evaluation.datasets.contents import file_digests
from pipeline.execution.progress import Progress
from pipeline.proposals import Proposals
from pipeline.proposals.proposer import Queries
from pipeline.segmentation.fusion import UNLABELLED
from pipeline.segmentation.loading import load_segmenter
from pipeline.segmentation.segmenter import ImageIdentity, Segmenter, unknown_image


@dataclass(frozen=True)
class FusionScore:
    """What one setting reaches."""

    weight: float
    threshold: float
    miou: float
    """Mean over the classes that the split shows, 0..1; nan if it shows none."""


def search_fusion(
    segmenter: Segmenter,
    samples: Iterable[tuple[np.ndarray, str, np.ndarray]],
    weights: Sequence[float],
    thresholds: Sequence[float],
    identify: Callable[[str], ImageIdentity] = unknown_image,
    background: Background | None = None,
) -> list[FusionScore]:
    """Try all weights with all thresholds; the best first, of equal ones the first tried.

    One pass over the split, a few images at a time: proposals are made once, CLIP runs once per threshold, and a weight
    costs no more than a label map. Binary proposals have no threshold: they are tried with the segmenter's alone.

    Args:
        samples: image uint8 [H,W,3], its id, and its labels uint16 [H,W]: class index, or 65535 to ignore.
        identify: what identifies the image of an id, for a bank that may hold regions of it.
        background: of the data set.

    Raises:
        UserError: there are no weights or thresholds; and whatever the segmenter raises.
    """
    if not segmenter.classifies:
        thresholds = [segmenter.config.mask_threshold]
    matrices = {
        (weight, threshold): ConfusionMatrix(len(segmenter.classes), ignore_index=UNLABELLED)
        for weight in weights
        for threshold in thresholds
    }
    if not matrices:
        raise UserError("weights, thresholds: name at least one of each to search among")

    def read() -> Iterator[tuple[np.ndarray, str, tuple[str, np.ndarray]]]:
        for image, image_id, labels in samples:
            yield image, image_id, (image_id, labels)

    def proposed() -> Iterator[tuple[np.ndarray, Proposals | Queries, float, tuple[float, str, np.ndarray]]]:
        for (image_id, labels), image, found in segmenter.propose_each(read()):
            if isinstance(found, Exception):
                raise found
            for threshold in thresholds:
                yield image, found, threshold, (threshold, image_id, labels)

    def image_of(companion: tuple[float, str, np.ndarray]) -> ImageIdentity:
        return identify(companion[1])

    for (threshold, _, labels), prediction in segmenter.classify(proposed(), image_of):
        prediction = unlikely_as_background(prediction, background)
        for weight in weights:
            predicted = uncovered_as_background(prediction.label_map(weight), background)
            matrices[weight, threshold].update(predicted, labels)
    found = [FusionScore(*setting, matrix.result().miou) for setting, matrix in matrices.items()]
    return sorted(found, key=lambda score: -score.miou)


def search_dataset(config: EvaluateConfig, weights: Sequence[float], thresholds: Sequence[float]) -> list[FusionScore]:
    """Try fusion weights and mask thresholds on a data set, in this process; the best first. Writes `search.json`.

    Take a split that nothing is reported on: the paper's figures are for weights that were chosen once.

    Raises:
        UserError: the configuration or the data set has to be changed.
    """
    config = config.resolved()
    storage.check_writable(config.output, "output")
    dataset = open_dataset(config.dataset)
    gpu = torch.cuda.is_available() if config.gpus is None else config.gpus > 0
    segmenter = load_segmenter(config, dataset.classes, gpu=gpu)
    image_ids = dataset.image_ids[: config.limit]
    progress = Progress("search", len(image_ids), "images")

    def samples() -> Iterator[tuple[np.ndarray, str, np.ndarray]]:
        for image_id in image_ids:
            sample = dataset.read(image_id)
            yield sample.image, image_id, sample.labels
            progress.advance(1)

    def identify(image_id: str) -> ImageIdentity:
        if config.segmentation.bank.path is None:
            return ()
        [identity] = image_identities(dataset, [image_id], [file_digests(dataset, [image_id])[image_id][0]])
        return identity

    try:
        found = search_fusion(segmenter, samples(), weights, thresholds, identify, dataset.background)
    finally:
        progress.close()
    content = json.dumps([asdict(score) for score in found], indent=1)
    storage.write_bytes(storage.join(config.output, "search.json"), content.encode())
    return found
