"""The charts of a dataset's page."""

import numpy as np

from pipeline.report.charts import Chart, bars, histogram, lines
from pipeline.report.dataset.reading import Pairs, Totals
from pipeline.report.dataset.thresholds import Curve
from pipeline.report.dataset.truth import Precision
from pipeline.report.formats import number

NAMES = {
    "clip_score": "CLIP score",
    "noun_margin": "Margin to the next noun",
    "mask_margin": "Margin to the next mask",
    "mask_area": "Mask area (px)",
}
"""Of the columns, for people."""

_TOP_NOUNS = 25
_REASONS = 20


def score_charts(pairs: Pairs) -> list[Chart | None]:
    """Scores and margins."""
    return [
        histogram("score", NAMES["clip_score"], pairs.score, note="Similarity of the masked region and the noun."),
        histogram(
            "noun-margin",
            NAMES["noun_margin"],
            pairs.noun_margin,
            note="Score minus that of the same mask with its next best noun of the image; below 0 another fits better.",
        ),
        histogram(
            "mask-margin",
            NAMES["mask_margin"],
            pairs.mask_margin,
            note="Score minus that of the noun's next best mask; near 0 the choice was close.",
        ),
    ]


def mask_charts(pairs: Pairs, totals: Totals) -> list[Chart | None]:
    """What the masks are like."""
    per_image = np.bincount(pairs.image).astype(np.float64)
    proposals = totals.proposals / totals.images_with_pairs if totals.images_with_pairs else None
    return [
        histogram("per-image", "Pairs per image", per_image, note="Images without pairs are not counted.", whole=True),
        histogram("area", "Mask area", 100.0 * pairs.area_share, note="Per cent of the image.", log=True),
        histogram(
            "rank",
            "Rank among the proposals",
            pairs.proposal.astype(np.float64),
            note=f"0 is the backend's first; {number(proposals, 1)} proposals an image with pairs.",
            whole=True,
        ),
    ]


def noun_charts(pairs: Pairs, counts: np.ndarray, most: np.ndarray) -> list[Chart | None]:
    """How often nouns occur.

    Args:
        counts: int64, pairs of each noun.
        most: int64, nouns by their pairs, the most frequent first.
    """
    top = most[:_TOP_NOUNS].tolist()
    names, pairs_each = [pairs.nouns[noun] for noun in top], counts[top].tolist()
    once = int((counts == 1).sum())
    return [
        bars("nouns-bars", "Most frequent nouns", names, pairs_each, headers=("noun", "pairs")),
        histogram(
            "noun-counts", "Pairs per noun", counts.astype(np.float64), note=f"{number(once)} nouns once.", log=True
        ),
    ]


def work_charts(totals: Totals) -> list[Chart | None]:
    """What mining spent, and on what it got nothing."""
    seconds: dict[str, float] = {}
    for stages in totals.seconds.values():
        for stage, spent in stages.items():
            seconds[stage] = seconds.get(stage, 0.0) + spent
    total = sum(seconds.values())
    each = f"{number(total / totals.images)} s an image" if totals.images else ""
    rejected, skipped = totals.rejected.most_common(_REASONS), totals.skipped.most_common(_REASONS)
    return [
        bars(
            "seconds",
            "Worker seconds per stage",
            list(seconds),
            list(seconds.values()),
            note=f"{number(total, 1)} s of all workers together, {each}.",
            headers=("stage", "seconds"),
            digits=1,
        ),
        bars(
            "rejected",
            "Images that gave nothing",
            [reason for reason, _ in rejected],
            [count for _, count in rejected],
            note="By stage and reason.",
            headers=("reason", "images"),
        ),
        bars(
            "skipped",
            "Captions that gave nothing",
            [reason for reason, _ in skipped],
            [count for _, count in skipped],
            note="Their images may have other captions.",
            headers=("reason", "captions"),
        ),
        *(
            [
                bars(
                    "unanswered",
                    "Nouns that no proposal answers",
                    list(totals.unanswered),
                    list(totals.unanswered.values()),
                    note="Their images may have pairs by other nouns.",
                    headers=("reason", "nouns"),
                )
            ]
            if totals.unanswered
            else []
        ),
    ]


def curve_charts(curve: Curve, precision: Precision | None) -> list[Chart | None]:
    """What a threshold leaves, and with annotations how precise that is."""
    name = NAMES[curve.column]
    log = curve.column == "mask_area"
    left = {
        part: (curve.thresholds, 100 * values / max(values[0], 1))
        for part, values in (("pairs", curve.pairs), ("nouns", curve.nouns), ("images", curve.images))
    }
    charts = [
        lines(
            f"left-{curve.column}",
            "What remains",
            left,
            axes=(f"at least this: {name}", "per cent"),
            from_zero=True,
            marker=True,
            log=log,
        )
    ]
    if precision and curve.column == "clip_score":
        shown = {"right": precision.correct, "a random object": precision.chance}
        charts.append(
            lines(
                "precision",
                "Precision",
                {part: (curve.thresholds, 100 * values) for part, values in shown.items()},
                axes=(f"at least this: {name}", "per cent of the judged pairs"),
                from_zero=True,
                marker=True,
            )
        )
    return charts
