"""A report on a training run: `tables` reads, `examples` draws, `report` writes."""

from pipeline.report.training.report import write_training_report

__all__ = ["write_training_report"]
