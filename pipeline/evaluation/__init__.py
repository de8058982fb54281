"""Measuring what was made: masked regions, segmentations.

The data sets are in `pipeline.evaluation.datasets`, the job in `.run`.
"""

from typing import TYPE_CHECKING

from pipeline.lazy_imports import lazy_imports

if TYPE_CHECKING:
    from pipeline.evaluation.confusion import ConfusionMatrix

__all__ = ["ConfusionMatrix"]

__getattr__ = lazy_imports(__name__)
