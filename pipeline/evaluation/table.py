"""Tables for the terminal: ours beside the published figures, and the scores of one evaluation."""

from collections.abc import Mapping

from rich.table import Table

from pipeline.escaping.terminal import escape
from pipeline.evaluation import published
from pipeline.evaluation.branches import BRANCHES
from pipeline.evaluation.published import COLUMNS, Published

_FOOTNOTE = (
    "mIoU in per cent. * divided by the classes with ground truth or predictions, the older formula: up to a quarter "
    "lower on PC-459, whose validation part lacks 114 of the 459 classes. Ours: classes with ground truth."
)

_SCORES_FOOTNOTE = "Per cent. * the older formula: absent classes that were predicted count as 0."
_SCORES = ("miou", "miou_gt_or_pred", "fwiou", "macc", "pacc")
_ACCURACIES = ("top1", "top5", "mean_per_class")

_SECTIONS = {
    "OVSeg, Table 1": published.PAPER,
    "OVSeg, Table 3": published.TUNING,
    "OVSeg, Table 4": published.BRANCHES,
    "later work": published.SUCCESSORS,
}


def comparison_table(ours: Mapping[str, Mapping[str, float]]) -> Table:
    """The layout of the paper's Table 1: published rows, then ours.

    Args:
        ours: mIoU in 0..1 by a label of the model and by column (`published.COLUMNS`).
    """
    table = Table("method", "backbone", "trained on", caption=_FOOTNOTE, caption_justify="left")
    for column in COLUMNS:
        table.add_column(column, justify="right")
    for title, rows in _SECTIONS.items():
        table.add_row(f"[bold]{title}[/]")
        for row in rows:
            table.add_row(row.method, row.backbone, row.training_data, *(_figure(row, column) for column in COLUMNS))
        table.add_section()
    table.add_row("[bold]ours[/]")
    for label, miou in ours.items():
        if strange := miou.keys() - COLUMNS.keys():
            raise ValueError(f"no such column: {', '.join(sorted(strange))}")
        table.add_row(escape(label), "", "", *(_per_cent(miou.get(column)) for column in COLUMNS))
    return table


def result_tables(result: dict) -> list[Table]:
    """One evaluation: a row for each way to classify, and CLIP's accuracy on the true regions.

    Args:
        result: the content of `result.json`.
    """
    title = f"{result['dataset']['name']}: {result['images']} images"
    scores = Table("classes from", title=escape(title), caption=_SCORES_FOOTNOTE, caption_justify="left")
    for column in ("mIoU", "mIoU*", "fwIoU", "mACC", "pACC"):
        scores.add_column(column, justify="right")
    for branch, found in result["scores"].items():
        scores.add_row(BRANCHES[branch], *(_per_cent(found[name]) for name in _SCORES))
    accuracy = result["region_accuracy"]
    regions = Table("true regions", title="CLIP on masked true regions")
    for column in ("top 1", "top 5", "top 1, mean over classes"):
        regions.add_column(column, justify="right")
    regions.add_row(str(accuracy["regions"]), *(_per_cent(accuracy[name]) for name in _ACCURACIES))
    return [scores, regions]


def _figure(row: Published, column: str) -> str:
    text = f"{row.miou[column]:.1f}" if column in row.miou else "–"
    return text + "*" if column == "PC-459" and row.older_formula else text


def _per_cent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"
