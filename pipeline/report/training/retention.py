"""What a training run kept of whole images: curves over the epochs, and gain against loss between the weights."""

import numpy as np

from pipeline.report.charts import Chart, lines
from pipeline.report.training.reading import TrainingRun

_SHOWN = ("top1", "image_recall_at_1", "text_recall_at_1")
_MOST_LINES = 7


def retention_chart(run: TrainingRun) -> Chart | None:
    """The first score of each set before training and after every epoch; None if nothing was measured."""
    curves: dict[str, tuple[list[int], list[float]]] = {}
    for moment, measured in enumerate(run.result.get("retention", [])):
        for name, scores in measured["sets"].items():
            for score in _SHOWN:
                if score in scores:
                    places, values = curves.setdefault(f"{name}, {score.replace('_', ' ')}", ([], []))
                    places.append(moment)
                    values.append(100 * scores[score])
    return lines(
        "retention",
        "Whole images",
        {
            name: (np.array(places, np.float64), np.array(values))
            for name, (places, values) in list(curves.items())[:_MOST_LINES]
        },
        axes=("epochs", "images, %"),
        note="What the CLIP still knows of whole images, without masks; 0 is before training.",
    )


def interpolation_charts(run: TrainingRun) -> list[Chart]:
    """The trade between gain and loss over the share of the adapted weights; empty if it was not measured."""
    if run.interpolation is None:
        return []
    points = run.interpolation["points"]
    measured = {
        "masked regions": [point["accuracy"] for point in points],
        "mIoU": [point["miou"] for point in points],
        "whole images": [point["retention"] for point in points],
    }
    curves = {name: _percent(values) for name, values in measured.items() if None not in values}
    alphas = np.array([point["alpha"] for point in points], np.float64)
    chosen = f"Chosen: {run.interpolation['chosen']:g}, by the rule: {run.interpolation['rule']}."
    retention = curves["whole images"]
    charts = [
        lines(
            "interpolation",
            "Between the original CLIP and the adapted one",
            {name: (alphas, values) for name, values in curves.items()},
            axes=("share of the adapted weights", "%"),
            note=chosen,
        ),
        lines(
            "gain-against-retention",
            "Gain against what is kept",
            {name: (retention, values) for name, values in curves.items() if name != "whole images"},
            axes=("whole images, %", "%"),
            note=f"A point for each share, {alphas[0]:g} to {alphas[-1]:g}.",
        ),
    ]
    return [chart for chart in charts if chart]


def _percent(values: list[float]) -> np.ndarray:
    return 100 * np.array(values, np.float64)
