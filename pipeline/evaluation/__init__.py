"""Measuring what was made."""

from pipeline.evaluation.pairs import PairPrecision, measure_pairs

__all__ = ["PairPrecision", "measure_pairs"]
