"""Classes of an evaluation beside the mined pairs that name them: are those good that training has seen often?

A rank correlation of classes is no cause: common nouns are of large and common things, which are easier in any case.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from pipeline.dataset.opening import open_mined_dataset
from pipeline.differences.classes import nouns_of_classes
from pipeline.evaluation.uncertainty.resampling import RESAMPLINGS, SEED, interval
from pipeline.report.charts import Chart
from pipeline.report.differences.classes import class_names
from pipeline.report.evaluation.reading import EvaluatedModel
from pipeline.report.figures_with_intervals import count_scatter

_FIGURES = {"iou": "IoU", "pq": "PQ", "ap": "AP"}
_LOWER = (0, 1, 10, 100, 1000)
"""Bounds of the groups of classes, by pairs."""


@dataclass(frozen=True)
class ClassPairs:
    """A class with its pairs and figures, 0..1; None where it has none."""

    label: int
    name: str
    nouns: tuple[str, ...]
    """Mined nouns that are one of its names."""
    pairs: int
    figures: dict[str, float | None]
    """`iou`, `pq` and `ap`, as far as the evaluation has them."""


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation of pairs and a figure, over classes; nan of fewer than three."""

    figure: str
    classes: int
    rho: float
    low: float
    """Ends of the 95 % interval, by a bootstrap over the classes."""
    high: float


@dataclass(frozen=True)
class Vocabulary:
    """An evaluation joined with a mined dataset."""

    dataset: str
    pairs: int
    """Of the dataset."""
    classes: list[ClassPairs]
    """Those of most pairs first."""
    correlations: list[Correlation]
    groups: list[dict]
    """By number of pairs: see `confusion_groups`."""
    charts: list[Chart | None]
    remark: str | None
    """What is to be told of the classes' names."""


def join_vocabulary(model: EvaluatedModel, mined: str) -> Vocabulary:
    """Count the pairs of every class.

    Raises:
        UserError: that is no mined dataset, or nothing is committed in it.
        OSError: storage cannot be read.
    """
    dataset = open_mined_dataset(mined, "--mined")
    dataset.check_begun()
    counts: Counter[str] = Counter()
    for manifest in dataset.manifests(["noun"]):
        counts.update(manifest.table["noun"].to_pylist())
    names, remark = class_names(model)
    scores: dict[str, dict[int, float | None]] = {}
    if model.result["scores"]:
        scores["iou"] = {label: row["iou"] for label, row in model.scores(model.branch).items()}
    for figure in ("pq", "ap"):
        scores[figure] = {row["label"]: row[figure] for row in model.objects if row[figure] is not None}
    scores = {figure: found for figure, found in scores.items() if found}
    named = nouns_of_classes(names, counts)
    pairs_of = {label: sum(counts[noun] for noun in nouns) for label, nouns in enumerate(named)}
    classes = [
        ClassPairs(
            label,
            names[label][0],
            nouns,
            pairs_of[label],
            {figure: found.get(label) for figure, found in scores.items()},
        )
        for label, nouns in enumerate(named)
        if any(found.get(label) is not None for found in scores.values())
    ]
    classes.sort(key=lambda row: (-row.pairs, row.name))
    correlations: list[Correlation] = []
    charts: list[Chart | None] = []
    for figure in scores:
        known = [row for row in classes if row.figures[figure] is not None]
        pairs, values = np.array([row.pairs for row in known]), np.array([row.figures[figure] for row in known], float)
        correlations.append(rank_correlation(figure, pairs, values))
        charts.append(
            count_scatter(
                f"pairs-{figure}",
                f"{_FIGURES[figure]} by mined pairs",
                [row.name for row in known],
                pairs,
                100 * values,
                axes=("mined pairs", f"{_FIGURES[figure]}, %"),
                note=f"A point is a class. {correlation_in_words(correlations[-1])}",
            )
        )
    groups = confusion_groups(model, pairs_of)
    return Vocabulary(dataset.layout.uri, counts.total(), classes, correlations, groups, charts, remark)


def rank_correlation(figure: str, pairs: np.ndarray, values: np.ndarray, seed: int = SEED) -> Correlation:
    """Spearman's correlation, ties by their mean rank, with an interval by a bootstrap over the classes.

    Args:
        pairs: int64 [C].
        values: float64 [C].
    """
    classes = len(pairs)
    if classes < 3:
        return Correlation(figure, classes, *[float("nan")] * 3)
    drawn = np.random.default_rng(seed).integers(classes, size=(RESAMPLINGS, classes))
    low, high = interval(_spearman(pairs[drawn], values[drawn]))
    return Correlation(figure, classes, float(_spearman(pairs[None], values[None])[0]), float(low), float(high))


def _spearman(first_BC: np.ndarray, second_BC: np.ndarray) -> np.ndarray:
    """Of each row, float64 [B]; nan where one of both is constant."""
    first, second = (rankdata(values, axis=1) for values in (first_BC, second_BC))
    first, second = (ranks - ranks.mean(axis=1, keepdims=True) for ranks in (first, second))
    norms = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    return np.divide((first * second).sum(axis=1), norms, out=np.full(len(norms), np.nan), where=norms > 0)


def correlation_in_words(found: Correlation) -> str:
    """One sentence."""
    if np.isnan(found.rho):
        return "No rank correlation: too few classes, or all alike."
    return (
        f"Spearman's rank correlation is {found.rho:+.2f} over {found.classes} classes (95 % interval {found.low:+.2f} "
        f"to {found.high:+.2f}, by a bootstrap over the classes)."
    )


def confusion_groups(model: EvaluatedModel, pairs: dict[int, int]) -> list[dict]:
    """Where the pixels of classes go, by how many pairs the classes have.

    Args:
        pairs: of every class, by label.

    Returns:
        rows with `pairs` (in words), `classes`, and shares of their labelled pixels: `right`, and `more`, `as_many`,
        `fewer` that were given a class with more, as many or fewer pairs, and `none`; [] without labelled pixels.
    """
    rows = model.scores(model.branch) if model.result["scores"] else {}
    found = []
    for low, high in zip(_LOWER, (*_LOWER[1:], None), strict=True):
        labels = [label for label in rows if pairs[label] >= low and (high is None or pairs[label] < high)]
        total = sum(rows[label]["pixels"] for label in labels)
        if not total:
            continue
        taken: Counter[str] = Counter()
        for (true, predicted), pixels in model.confused.items():
            if true in labels:
                taken[_compared(pairs, true, predicted)] += pixels
        shares = {kind: taken[kind] / total for kind in ("more", "as_many", "fewer", "none")}
        words = f"{low:,} and more" if high is None else f"{low:,}" if high == low + 1 else f"{low:,} to {high - 1:,}"
        found.append({"pairs": words, "classes": len(labels), "right": 1 - taken.total() / total, **shares})
    return found


def _compared(pairs: dict[int, int], true: int, predicted: int | None) -> str:
    if predicted is None:
        return "none"
    difference = pairs[predicted] - pairs[true]
    return "more" if difference > 0 else "fewer" if difference < 0 else "as_many"
