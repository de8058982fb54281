"""PQ and AP on the page of evaluations: of things and stuff, by class, and precision against recall."""

from collections.abc import Sequence

import numpy as np

from pipeline.evaluation.average_precision import RECALLS, mean_curves
from pipeline.evaluation.instance_matching import SIZES
from pipeline.evaluation.label_maps import main_branch
from pipeline.evaluation.object_scores import found_instances
from pipeline.report.charts import Chart, lines
from pipeline.report.evaluation.reading import EvaluatedModel

_KINDS = ("all", "things", "stuff")
_AP = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ap_rare", "ap_common", "ap_frequent")
_THRESHOLDS = {0: "IoU 0.5", 5: "IoU 0.75", None: "mean over 0.5 to 0.95"}


def quality_rows(models: Sequence[EvaluatedModel]) -> list[dict]:
    """PQ, SQ and RQ by model, way to classify and kind of class; nulls where there are none."""
    return [
        {"model": model.label, "branch": branch, "main": branch == main_branch(found), "kind": kind, **scores[kind]}
        for model in models
        for found in [model.result.get("panoptic", {})]
        for branch, scores in found.items()
        for kind in _KINDS
    ]


def precision_columns(models: Sequence[EvaluatedModel]) -> list[str]:
    """The figures of AP that any of them has."""
    found = [scores for model in models for scores in model.result.get("instances", {}).values()]
    return [name for name in _AP if any(name in scores for scores in found)]


def precision_rows(models: Sequence[EvaluatedModel]) -> list[dict]:
    """AP by model and way to classify, as `precision_columns`."""
    columns = precision_columns(models)
    return [
        {
            "model": model.label,
            "branch": branch,
            "main": branch == main_branch(model.result["instances"]),
            "figures": [scores.get(name) for name in columns],
        }
        for model in models
        for branch, scores in model.result.get("instances", {}).items()
    ]


def object_class_rows(model: EvaluatedModel) -> list[dict]:
    """Rows of `schemas.OBJECT_SCORES` of the main way to classify whose class occurs, the lowest PQ (or AP) first."""
    rows = [row for row in model.objects if row["pq"] is not None or row["ap"] is not None]
    return sorted(rows, key=lambda row: (row["ap"] if row["pq"] is None else row["pq"], row["name"]))


def precision_recall(name: str, model: EvaluatedModel) -> Chart | None:
    """Precision against recall, means over the classes; None without objects that count.

    Args:
        name: id of the chart, unique in its page.

    Raises:
        UserError: a table is damaged.
        OSError: storage cannot be read.
    """
    instances = model.result.get("instances", {})
    if (branch := main_branch(instances)) not in instances:
        return None
    truth = model.tables.read("objects")
    by_size = truth["instances"].combine_chunks().flatten().to_numpy().reshape(-1, len(SIZES))
    classes = 1 + max((row["label"] for row in model.objects), default=0)
    objects_C = np.bincount(truth["label"].to_numpy(), by_size[:, 0], minlength=classes).astype(np.int64)
    if not objects_C.any():
        return None
    found, _ = found_instances(model.tables.read("detections", [branch]))
    curves_TR = mean_curves(found, objects_C)
    curves = {
        title: (RECALLS, curves_TR.mean(axis=0) if threshold is None else curves_TR[threshold])
        for threshold, title in _THRESHOLDS.items()
    }
    note = "Means over the classes that have objects, of objects of all sizes. The area below the third curve is AP."
    return lines(
        name, f"Precision and recall: {model.label}", curves, axes=("recall", "precision"), note=note, from_zero=True
    )
