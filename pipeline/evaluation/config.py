"""The configuration of an evaluation job."""

from dataclasses import dataclass

from pipeline.evaluation.datasets import DatasetConfig
from pipeline.segmentation.loading import RUNNING_KEYS as SEGMENTER_RUNNING_KEYS
from pipeline.segmentation.loading import SegmenterConfig

RUNNING_KEYS = (*SEGMENTER_RUNNING_KEYS, "dataset.root")


@dataclass(kw_only=True)
class EvaluateConfig(SegmenterConfig):
    """Everything that `python -m jobs.evaluate` can be told."""

    dataset: DatasetConfig
    limit: int | None = None
    """Only the first images, by id."""
    images_per_chunk: int = 16
    """Images evaluated together: the unit of work and of resumption."""
