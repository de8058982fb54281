"""Images with a class for every pixel, read from the official distributions as they are downloaded."""

from typing import TYPE_CHECKING

from pipeline.lazy_imports import lazy_imports

if TYPE_CHECKING:
    from pipeline.evaluation.datasets.config import DatasetConfig
    from pipeline.evaluation.datasets.opening import open_dataset
    from pipeline.evaluation.datasets.protocol import IGNORE, LabelledImage, SegmentationDataset, shown_names

__all__ = ["IGNORE", "DatasetConfig", "LabelledImage", "SegmentationDataset", "open_dataset", "shown_names"]

__getattr__ = lazy_imports(__name__)
