"""The report of an evaluation, or of several on the same data side by side."""

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.errors import UserError
from pipeline.evaluation.branches import BRANCHES
from pipeline.evaluation.cost import cost_in_words, read_cost
from pipeline.evaluation.datasets.contents import changed_images, changes, file_digests, read_digests
from pipeline.report.charts import Chart, bars, histogram
from pipeline.report.evaluation.intervals import interval_chart
from pipeline.report.evaluation.objects import (
    object_class_rows,
    precision_columns,
    precision_recall,
    precision_rows,
    quality_rows,
)
from pipeline.report.evaluation.pictures import ShownImage, choose_images, draw_scenes, open_evaluated
from pipeline.report.evaluation.reading import EvaluatedModel, read_evaluations
from pipeline.report.evaluation.vocabulary import join_vocabulary
from pipeline.report.page import page_uri, render, write_page

IMAGES = 4
"""Of each group that is shown: worst, median, best."""
_PAIRS, _BARS = 40, 20
_BOUNDS = {"true_masks": "on true masks", "oracle": "true classes on the proposals"}


def write_evaluation_report(
    evaluations: Mapping[str, str], to: str, images: int | None = None, mined: str | None = None
) -> str:
    """Write the page; returns its URI.

    Args:
        evaluations: output directories of evaluations of the same data, by the name that each gets on the page.
        to: the folder for `index.html`, or an HTML file.
        images: shown of each group; empty: `IMAGES`.
        mined: a mined dataset whose pairs are set beside the classes of the last evaluation.

    Raises:
        UserError: an evaluation is not complete, they are not of the same data, or `mined` is no dataset.
        OSError: storage cannot be read or written.
    """
    models = read_evaluations(evaluations)
    scenes, groups, missing = _pictures(models, IMAGES if images is None else images)
    html = render(
        "evaluation.html",
        scripts=("tables.js", "layers.js"),
        models=models,
        branches=BRANCHES,
        settings={model.label: _settings(model) for model in models},
        columns=class_columns(models),
        classes=class_rows(models),
        pairs=confused_pairs(models),
        charts=[chart for chart in [interval_chart(models), *_charts(models)] if chart],
        qualities=quality_rows(models),
        precision_columns=precision_columns(models),
        precisions=precision_rows(models),
        object_classes=object_class_rows(models[-1]),
        curves=[precision_recall(f"curve-{index}", model) for index, model in enumerate(models)],
        vocabulary=join_vocabulary(models[-1], mined) if mined else None,
        scenes=scenes,
        groups=groups,
        missing=missing,
    )
    uri = page_uri(to)
    write_page(html, uri)
    return uri


def class_columns(models: Sequence[EvaluatedModel]) -> list[str]:
    """Headings of the shares in `class_rows`: the models, or for a single one its IoU and what bounds it."""
    if len(models) > 1:
        return [model.label for model in models]
    return ["IoU", *(title for branch, title in _BOUNDS.items() if branch in models[0].result["scores"])]


def class_rows(models: Sequence[EvaluatedModel]) -> list[dict]:
    """Every class that has pixels, the lowest IoU of the first model first.

    Returns:
        rows with `name`, `share` (of all labelled pixels), `ious` (as `class_columns`), `accuracy` (of the last model),
        `gain` (IoU of the last model minus that of the first; None for one model) and `scores` (the row of
        `schemas.CLASS_SCORES` of the first model).
    """
    first = models[0]
    if len(models) > 1:
        columns = [model.scores(model.branch) for model in models]
    else:
        columns = [first.scores(branch) for branch in (first.branch, *_BOUNDS) if branch in first.result["scores"]]
    total = sum(row["pixels"] for row in columns[0].values())
    last = models[-1].scores(models[-1].branch)
    rows = []
    for label, row in columns[0].items():
        ious = [column[label]["iou"] for column in columns]
        rows.append(
            {
                "name": row["name"],
                "share": row["pixels"] / total,
                "ious": ious,
                "accuracy": last[label]["accuracy"],
                "gain": ious[-1] - ious[0] if len(models) > 1 else None,
                "scores": row,
            }
        )
    return sorted(rows, key=lambda row: (row["ious"][0], row["name"]))


def confused_pairs(models: Sequence[EvaluatedModel]) -> list[dict]:
    """Which class is taken for which, the pairs of most pixels (of the model that has most) first.

    Returns:
        rows with `true`, `predicted` (None: no class) and `shares`: of the true class's pixels, one a model.
    """
    names = {row["label"]: row["name"] for row in models[0].classes}
    pixels = {label: row["pixels"] for label, row in models[0].scores(models[0].branch).items()}
    pairs = set().union(*(model.confused for model in models))
    order = sorted(
        pairs,
        key=lambda pair: (
            -max(model.confused.get(pair, 0) for model in models),
            pair[0],
            pair[1] is None,
            pair[1] or 0,
        ),
    )
    return [
        {
            "true": names[true],
            "predicted": None if predicted is None else names[predicted],
            "shares": [model.confused.get((true, predicted), 0) / pixels[true] for model in models],
        }
        for true, predicted in order[:_PAIRS]
    ]


def _charts(models: Sequence[EvaluatedModel]) -> list[Chart | None]:
    rows = class_rows(models)
    charts = []
    if len(models) > 1:
        first, last = models[0].label, models[-1].label
        by_gain = sorted(rows, key=lambda row: (-row["gain"], row["name"]))
        for name, title, chosen in (
            ("gains", "Classes that gained most", [row for row in by_gain if row["gain"] > 0]),
            ("losses", "Classes that lost most", [row for row in reversed(by_gain) if row["gain"] < 0]),
        ):
            values = [100 * row["gain"] for row in chosen[:_BARS]]
            note = f"IoU of {last} minus that of {first}, in points."
            names = [row["name"] for row in chosen[:_BARS]]
            charts.append(bars(name, title, names, values, note=note, headers=("class", "points"), digits=1))
    else:
        names, values = [row["name"] for row in rows[:_BARS]], [100 * row["ious"][0] for row in rows[:_BARS]]
        note = f"IoU in per cent; {len(values)} of {len(rows)} classes with pixels."
        charts.append(bars("worst", "Worst classes", names, values, note=note, headers=("class", "IoU, %"), digits=1))
    charts += [
        histogram(
            f"images-{index}",
            "Images by their mIoU" + (f": {model.label}" if len(models) > 1 else ""),
            100 * np.array(list(model.mious.values()), np.float64),
            note="Mean IoU of the classes that the image shows, in per cent.",
        )
        for index, model in enumerate(models)
    ]
    return charts


def _pictures(
    models: Sequence[EvaluatedModel], count: int
) -> tuple[dict[str, ShownImage], list[tuple[str, list[str]]], str]:
    """The images to show, the groups that they are in, and why some or all are not there."""
    together = set.intersection(*(set(model.mious) for model in models))
    if not together:
        return {}, [], "This evaluation was made by an older version, which did not keep what it predicted."
    first, last = models[0].mious, models[-1].mious
    of = f" of {models[0].label}" if len(models) > 1 else ""
    chosen = choose_images({image_id: first[image_id] for image_id in together}, count)
    groups = [(f"{name.capitalize()}{of}", image_ids) for name, image_ids in chosen.items()]
    if len(models) > 1:
        gain = sorted(together, key=lambda image_id: (first[image_id] - last[image_id], image_id))
        gained = [image_id for image_id in gain[:count] if last[image_id] > first[image_id]]
        lost = [image_id for image_id in gain[::-1][:count] if last[image_id] < first[image_id]]
        name = models[-1].label
        groups = [(f"Where {name} gains most", gained), (f"Where {name} loses most", lost), *groups]
    shown = list(dict.fromkeys(image_id for _, image_ids in groups for image_id in image_ids))
    try:
        dataset = open_evaluated(models[0])
        before, now = read_digests(models[0].uri), file_digests(dataset, shown)
        changed = changed_images(before, now)
        shown = [image_id for image_id in shown if image_id not in changed]
        groups = [(title, [image_id for image_id in image_ids if image_id in shown]) for title, image_ids in groups]
        missing = (
            f"Since this evaluation {changes(before, now)} have changed. They are not shown, since their scores are "
            "of the files as they were; evaluate again."
            if changed
            else ""
        )
        return draw_scenes(dataset, models, shown), [group for group in groups if group[1]], missing
    except (UserError, OSError) as error:
        return {}, [], f"The images cannot be shown, since the data set cannot be read from here: {error}"


def _settings(model: EvaluatedModel) -> list[tuple[str, str]]:
    configuration = model.description["configuration"]
    clip, proposals = configuration["clip"], configuration["proposals"]
    rows = [
        ("Evaluation", model.uri),
        ("CLIP", ", ".join(filter(None, (clip["architecture"], clip["weights"])))),
        ("Proposals", proposals["backend"]),
        ("Fill of regions", configuration["regions"]["fill"]),
    ]
    if model.branch == "fused":
        rows.append(("λ", f"{configuration['segmentation']['weight']:g}"))
    if cost := read_cost(model.uri):
        rows.append(("Cost", cost_in_words(cost)))
    return rows
