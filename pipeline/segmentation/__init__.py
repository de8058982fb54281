"""Open-vocabulary segmentation in two stages (OVSeg Sec. 3.1): mask proposals, then CLIP on each masked region.

The job is in `.run`.
"""

from typing import TYPE_CHECKING

from pipeline.lazy_imports import lazy_imports

if TYPE_CHECKING:
    from pipeline.segmentation.classes import parse_classes
    from pipeline.segmentation.config import SegmentationConfig
    from pipeline.segmentation.fusion import UNLABELLED, fuse
    from pipeline.segmentation.prediction import Prediction
    from pipeline.segmentation.segmenter import Segmenter

__all__ = ["UNLABELLED", "Prediction", "SegmentationConfig", "Segmenter", "fuse", "parse_classes"]

__getattr__ = lazy_imports(__name__)
