"""Measuring what was made: mined pairs, masked regions, segmentations.

The data sets are in `pipeline.evaluation.datasets`, the job in `.run`.
"""

from typing import TYPE_CHECKING

from pipeline.lazy_imports import lazy_imports

if TYPE_CHECKING:
    from pipeline.evaluation.confusion import ConfusionMatrix
    from pipeline.evaluation.pair_precision import Judgement, PairPrecision, judge_pairs, measure_pairs

__all__ = ["ConfusionMatrix", "Judgement", "PairPrecision", "judge_pairs", "measure_pairs"]

__getattr__ = lazy_imports(__name__)
