"""A report on a mined dataset: pictures of sampled pairs to search, sort and filter, and figures of all of them.

`tables` reads, `shared` and `thresholds` count, `truth` compares with annotations, `sample` chooses and `thumbnails`
draws what is shown, `content` and `plots` put all pairs into words and charts, `gallery` lists those that are shown,
`labelling` draws those that a person labels, `report` writes the page.
"""

from typing import TYPE_CHECKING

from pipeline.lazy_imports import lazy_imports

if TYPE_CHECKING:
    from pipeline.report.dataset.report import DatasetReportOptions, write_dataset_report

__all__ = ["DatasetReportOptions", "write_dataset_report"]

__getattr__ = lazy_imports(__name__)
