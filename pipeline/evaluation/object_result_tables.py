"""Tables of PQ and AP for the terminal."""

from rich.table import Table

from pipeline.evaluation.branches import BRANCHES

_AP = {
    "ap": "AP",
    "ap50": "AP50",
    "ap75": "AP75",
    "ap_small": "small",
    "ap_medium": "medium",
    "ap_large": "large",
    "ap_rare": "rare",
    "ap_common": "common",
    "ap_frequent": "frequent",
}
_ODD = {
    "segments_without_pixels": "true segments without a pixel, which count as missed",
    "segments_of_other_area": "true segments whose file states another area than their pixels have",
    "instances_without_pixels": "true objects without a pixel, which count as missed",
}


def object_result_tables(result: dict) -> list[Table]:
    """PQ and AP of one evaluation, as far as it has them: a row for each way to classify, with intervals.

    Args:
        result: the content of `result.json`.
    """
    tables = []
    found, intervals = result.get("objects", {}), result.get("intervals", {})
    odd = [f"{found[name]} {what}" for name, what in _ODD.items() if found.get(name)]
    caption = "Per cent. " + "".join(f"{sentence}. " for sentence in odd)
    if "panoptic" in result:
        table = Table("classes from", title="panoptic segments", caption=caption, caption_justify="left")
        for column in ("PQ", "SQ", "RQ", "PQ things", "PQ stuff"):
            table.add_column(column, justify="right")
        for branch, scores in result["panoptic"].items():
            ends = intervals.get("panoptic", {}).get(branch, {})
            shown = [("all", "pq"), ("all", "sq"), ("all", "rq"), ("things", "pq"), ("stuff", "pq")]
            figures = (with_interval(scores[kind][name], ends.get(kind, {}).get(name)) for kind, name in shown)
            table.add_row(BRANCHES[branch], *figures)
        tables.append(table)
    if "instances" in result:
        table = Table("classes from", title="masks of objects", caption=caption, caption_justify="left")
        columns = [name for name in _AP if any(name in scores for scores in result["instances"].values())]
        for name in columns:
            table.add_column(_AP[name], justify="right")
        for branch, scores in result["instances"].items():
            ends = intervals.get("instances", {}).get(branch, {})
            table.add_row(BRANCHES[branch], *(with_interval(scores[name], ends.get(name)) for name in columns))
        tables.append(table)
    return tables


def with_interval(value: float | None, ends: list[float] | None) -> str:
    """A share as people read it, and below it its interval, if there is one."""
    return per_cent(value) if ends is None else f"{per_cent(value)}\n{per_cent(ends[0])}–{per_cent(ends[1])}"


def per_cent(value: float | None) -> str:
    """A share as people read it."""
    return "–" if value is None else f"{100 * value:.1f}"
