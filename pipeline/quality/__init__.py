"""Which mined pairs are right: labels of people, precision with an interval, and the probability of every pair."""

from typing import TYPE_CHECKING

from pipeline.lazy_imports import lazy_imports

if TYPE_CHECKING:
    from pipeline.quality.judgements import Judgement, PairPrecision, judge_pairs, measure_pairs

__all__ = ["Judgement", "PairPrecision", "judge_pairs", "measure_pairs"]

__getattr__ = lazy_imports(__name__)
