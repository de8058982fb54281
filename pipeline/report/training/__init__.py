"""A report on a training run: `tables` reads, `examples` draws, `report` writes."""

from typing import TYPE_CHECKING

from pipeline.lazy_imports import lazy_imports

if TYPE_CHECKING:
    from pipeline.report.training.report import write_training_report

__all__ = ["write_training_report"]

__getattr__ = lazy_imports(__name__)
