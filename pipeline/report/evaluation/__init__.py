"""A report on an evaluation, or on several of the same data: `tables` reads, `pictures` draws, `report` writes."""

from typing import TYPE_CHECKING

from pipeline.lazy_imports import lazy_imports

if TYPE_CHECKING:
    from pipeline.report.evaluation.reading import default_labels
    from pipeline.report.evaluation.report import write_evaluation_report

__all__ = ["default_labels", "write_evaluation_report"]

__getattr__ = lazy_imports(__name__)
