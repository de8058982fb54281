"""How certain the figures of evaluations are."""

from collections.abc import Sequence

from pipeline.evaluation.label_maps import main_branch
from pipeline.report.charts import Chart
from pipeline.report.evaluation.reading import EvaluatedModel
from pipeline.report.figures_with_intervals import Ends, interval_bars

_HEADLINE = {"miou": "mIoU", "pacc": "right pixels", "pq": "PQ", "ap": "AP", "top1": "regions named"}


def interval_chart(models: Sequence[EvaluatedModel]) -> Chart | None:
    """The headline figures with their 95 % intervals; None without any interval."""
    rows: list[tuple[int, str, float, Ends]] = []
    for model in models:
        for name, figures, found in _headline(model.result, model.result.get("intervals", {})):
            value, end = figures.get(name), found.get(name)
            if value is not None and end is not None:
                label = f"{_HEADLINE[name]}, {model.label}" if len(models) > 1 else _HEADLINE[name]
                rows.append((list(_HEADLINE).index(name), label, 100 * value, (100 * end[0], 100 * end[1])))
    rows.sort(key=lambda row: row[0])  # the models of a figure stay in their order
    note = "Per cent, with 95 % intervals by a bootstrap over the images. They say nothing of other training runs."
    _, labels, values, ends = zip(*rows, strict=True) if rows else ((), (), (), ())
    return interval_bars("intervals", "How certain the figures are", labels, values, ends, note=note)


def _headline(result: dict, intervals: dict) -> list[tuple[str, dict, dict]]:
    """Name, figures that have it, and their intervals."""
    found = []
    for part, names in (("scores", ("miou", "pacc")), ("panoptic", ("pq",)), ("instances", ("ap",))):
        figures, ends = (
            values.get(main_branch(result.get(part, {})), {})
            for values in (result.get(part, {}), intervals.get(part, {}))
        )
        if part == "panoptic":
            figures, ends = figures.get("all", {}), ends.get("all", {})
        found += [(name, figures, ends) for name in names]
    return [*found, ("top1", result["region_accuracy"], intervals.get("region_accuracy", {}))]
