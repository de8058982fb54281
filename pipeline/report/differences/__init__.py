"""A report on what differs between two mined datasets: figures of all pairs, and sampled ones side by side.

`pictures` reads and draws, `gallery` lists what is shown, `classes` reads evaluations, `report` writes the page.
"""

from typing import TYPE_CHECKING

from pipeline.lazy_imports import lazy_imports

if TYPE_CHECKING:
    from pipeline.report.differences.report import DifferencesReportOptions, write_differences_report

__all__ = ["DifferencesReportOptions", "write_differences_report"]

__getattr__ = lazy_imports(__name__)
