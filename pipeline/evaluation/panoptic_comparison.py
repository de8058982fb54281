"""PQ and AP of ours beside what others have published."""

from collections.abc import Mapping

from rich.table import Table

from pipeline.escaping.terminal import escape
from pipeline.evaluation.label_maps import main_branch
from pipeline.evaluation.object_result_tables import per_cent
from pipeline.evaluation.published_panoptic import PANOPTIC, PANOPTIC_COLUMNS

PANOPTIC_KINDS = {
    "ade20k_150_panoptic": "ADE20K-150",
    "coco_panoptic": "COCO",
    "cityscapes": "Cityscapes",
    "lvis_v1": "LVIS",
}
"""The kinds of data sets with published figures, each with its column of `PANOPTIC_COLUMNS`."""
_FOOTNOTE = (
    "Comparable: rows alike in training data; COCO's figures are of classes that all have learnt, but for SAM 3. "
    "Per cent; – not published. Ours: all classes, classes from both models where there are two."
)


def panoptic_figures(result: Mapping) -> dict[str, float]:
    """The figures of a result in 0..1 by the metrics of `PANOPTIC_COLUMNS`, as far as it has them."""
    found: dict[str, float | None] = {}
    panoptic, instances, scores = (result.get(part, {}) for part in ("panoptic", "instances", "scores"))
    if (branch := main_branch(panoptic)) in panoptic:
        found |= {name.upper(): panoptic[branch]["all"][name] for name in ("pq", "sq", "rq")}
    if (branch := main_branch(instances)) in instances:
        found["AP"] = instances[branch]["ap"]
    if (branch := main_branch(scores)) in scores:
        found["mIoU"] = scores[branch]["miou"]
    return {name: value for name, value in found.items() if value is not None}


def panoptic_table(kind: str, ours: Mapping[str, Mapping[str, float]]) -> Table:
    """Published rows of a data set, then ours, and below in a line what is comparable with what.

    Args:
        kind: of `PANOPTIC_KINDS`.
        ours: figures in 0..1 by a label of the model and by metric, see `panoptic_figures`.
    """
    column = PANOPTIC_KINDS[kind]
    metrics = PANOPTIC_COLUMNS[column]
    table = Table("method", "backbone", "trained on", title=column, caption=_FOOTNOTE, caption_justify="left")
    for metric in metrics:
        table.add_column(metric, justify="right")
    for row in PANOPTIC:
        if figures := row.figures.get(column):
            shown = (f"{figures[metric]:.1f}" if metric in figures else "–" for metric in metrics)
            table.add_row(row.method, row.backbone, row.training_data, *shown)
    table.add_section()
    table.add_row("[bold]ours[/]")
    for label, found in ours.items():
        table.add_row(escape(label), "", "", *(per_cent(found.get(metric)) for metric in metrics))
    return table
