"""What differs between two mined datasets, or two evaluations, and why."""

from typing import TYPE_CHECKING

from pipeline.lazy_imports import lazy_imports

if TYPE_CHECKING:
    from pipeline.differences.comparison import compare, open_comparison
    from pipeline.differences.config import DifferencesConfig
    from pipeline.differences.counts import Differences

__all__ = ["Differences", "DifferencesConfig", "compare", "open_comparison"]

__getattr__ = lazy_imports(__name__)
