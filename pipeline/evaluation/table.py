"""Tables for the terminal: ours beside the published figures, and the scores of one evaluation."""

from collections.abc import Mapping

from rich.table import Table

from pipeline.escaping.terminal import escape
from pipeline.evaluation import published
from pipeline.evaluation.branches import BRANCHES
from pipeline.evaluation.object_result_tables import object_result_tables, per_cent, with_interval
from pipeline.evaluation.published import COLUMNS, Published

_FOOTNOTE = (
    "Comparable: rows alike in training data and †, on PC-459 in formula too; what trains on no masks with its like.\n"
    "mIoU in per cent. PC-459: * divided by the classes with ground truth or predictions, the older formula, up to a "
    "quarter lower, as 114 of the 459 classes are absent from the validation part; ? formula not known; others and "
    "ours: classes with ground truth. † CLIP encodes a crop of every region, as ours does; others the image, at once "
    "or in windows."
)

_SCORES_FOOTNOTE = "Per cent. * the older formula: absent classes that were predicted count as 0."
_SCORES = ("miou", "miou_gt_or_pred", "fwiou", "macc", "pacc")
_ACCURACIES = ("top1", "top5", "mean_per_class")

_SECTIONS = {
    "OVSeg, Table 1": published.PAPER,
    "OVSeg, Table 3": published.TUNING,
    "OVSeg, Table 4": published.BRANCHES,
    "later work, trained on COCO's masks": published.SUCCESSORS,
    "not trained for segmentation": published.TRAINING_FREE,
    "trained on other masks": published.OTHER_SUPERVISION,
}


def comparison_table(ours: Mapping[str, Mapping[str, float]]) -> Table:
    """The layout of the paper's Table 1: published rows, then ours, and below in a line what is comparable with what.

    Args:
        ours: mIoU in 0..1 by a label of the model and by column (`published.COLUMNS`).
    """
    table = Table("method", "backbone", "trained on", caption=_FOOTNOTE, caption_justify="left")
    for column in COLUMNS:
        table.add_column(column, justify="right")
    for title, rows in _SECTIONS.items():
        table.add_row(f"[bold]{title}[/]")
        for row in rows:
            method = f"{row.method} †" if row.crops else row.method
            table.add_row(method, row.backbone, row.training_data, *(_figure(row, column) for column in COLUMNS))
        table.add_section()
    table.add_row("[bold]ours[/]")
    for label, miou in ours.items():
        if strange := miou.keys() - COLUMNS.keys():
            raise ValueError(f"no such column: {', '.join(sorted(strange))}")
        table.add_row(escape(label), "", "", *(per_cent(miou.get(column)) for column in COLUMNS))
    return table


def result_tables(result: dict) -> list[Table]:
    """One evaluation: a row for each way to classify, CLIP's accuracy on the true regions, and PQ and AP.

    Args:
        result: the content of `result.json`.
    """
    title = f"{result['dataset']['name']}: {result['images']} images"
    intervals = result.get("intervals", {})
    caption = f"{_SCORES_FOOTNOTE} {_said_of_intervals(intervals, bool(result['scores']))}"
    scores = Table("classes from", title=escape(title), caption=caption, caption_justify="left")
    for column in ("mIoU", "mIoU*", "fwIoU", "mACC", "pACC"):
        scores.add_column(column, justify="right")
    for branch, found in result["scores"].items():
        ends = intervals.get("scores", {}).get(branch, {})
        scores.add_row(BRANCHES[branch], *(with_interval(found[name], ends.get(name)) for name in _SCORES))
    regions = Table("CLIP on true regions")
    for column in ("regions", "top 1", "top 5", "top 1, mean over classes"):
        regions.add_column(column, justify="right")
    for which, name in (("masked", "region_accuracy"), ("in their boxes", "box_accuracy")):
        if accuracy := result.get(name):
            ends = intervals.get(name, {})
            figures = (with_interval(accuracy[each], ends.get(each)) for each in _ACCURACIES)
            regions.add_row(which, str(accuracy["regions"]), *figures)
    return [scores, regions, *object_result_tables(result)]


def _said_of_intervals(intervals: dict, pixels: bool) -> str:
    if not intervals:
        return "Without intervals: evaluated by a version that made none, or on one image."
    unknown = pixels and "scores" not in intervals
    said = f"Below: {intervals['level']:.0%} intervals, by {intervals['resamplings']:,} resamplings of the images."
    return f"{said}{' None of mIoU: no pixels of single images were kept.' if unknown else ''}"


def _figure(row: Published, column: str) -> str:
    if column not in row.miou:
        return "–"
    mark = row.formula.value if column == "PC-459" and row.formula else ""
    return f"{row.miou[column]:.1f}{mark}"
