"""λ and mask threshold for a data set: `search_fusion` over the images of a configuration."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict

import numpy as np
import torch

from pipeline import storage
from pipeline.evaluation.config import EvaluateConfig
from pipeline.evaluation.datasets import open_dataset
from pipeline.execution.progress import Progress
from pipeline.segmentation.loading import load_segmenter
from pipeline.segmentation.search import FusionScore, search_fusion


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

    try:
        found = search_fusion(segmenter, samples(), weights, thresholds)
    finally:
        progress.close()
    content = json.dumps([asdict(score) for score in found], indent=1)
    storage.write_bytes(storage.join(config.output, "search.json"), content.encode())
    return found
