"""What the page says of all pairs: figures, charts and tables."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.inspection.trouble import slow_shards
from pipeline.report.dataset import plots
from pipeline.report.dataset.opinions import Opinions
from pipeline.report.dataset.plots import NAMES
from pipeline.report.dataset.reading import Pairs, Totals
from pipeline.report.dataset.shared import SharedMasks, couples
from pipeline.report.dataset.thresholds import Curve
from pipeline.report.dataset.truth import Precision
from pipeline.report.formats import number, share

_LISTED_NOUNS = 3000
_COUPLES = 20
_NOT_FOUND = 20
_SLOW = 10
# A pair without a margin passes every limit (pipeline.mining.matching.passes).
_CONDITIONS = {
    "clip_score": "clip_score >= {}",
    "noun_margin": "noun_margin is null or noun_margin >= {}",
    "mask_margin": "mask_margin is null or mask_margin >= {}",
    "mask_area": "mask_area >= {}",
}


@dataclass(frozen=True)
class State:
    """How far mining is."""

    complete: bool
    committed: int
    """Shards."""
    failed: int
    """Shards that failed and have not been committed since."""


def describe(
    output: str,
    description: dict,
    state: State,
    pairs: Pairs,
    totals: Totals,
    shared: SharedMasks,
    curves: Sequence[Curve],
    precision: Precision | None,
) -> dict:
    """Values of `dataset.html`; those of its pictures are in `gallery`.

    Args:
        description: the content of `config.yaml`.
    """
    counts = np.bincount(pairs.noun, minlength=len(pairs.nouns))
    most = np.argsort(-counts, kind="stable")
    return {
        "output": output,
        "state": state,
        "shards": description["source"]["shards"],
        "figures": _figures(pairs, totals, shared),
        "score_charts": plots.score_charts(pairs),
        "mask_charts": plots.mask_charts(pairs, totals),
        "noun_charts": plots.noun_charts(pairs, counts, most),
        "work_charts": plots.work_charts(totals),
        "nouns": _nouns(pairs, counts, most[:_LISTED_NOUNS]),
        "noun_count": len(pairs.nouns),
        "couples": couples(pairs, shared, _COUPLES),
        "shared": shared.shared,
        "curves": [_curve(curve, precision) for curve in curves],
        "curve_charts": [plots.curve_charts(curve, precision) for curve in curves],
        "precision": precision and _precision(precision),
        "pairs": len(pairs),
        "best_masks": int(curves[0].pairs[0]) if curves else len(pairs),
        "rejected": totals.rejected.total(),
        "not_found": _most_often(totals.not_found),
        "not_found_nouns": len(totals.not_found),
        "slow": slow_shards(totals.seconds)[:_SLOW],
        "recipe": recipe(description),
        "versions": sorted(description["versions"].items()),
    }


def describe_opinions(opinions: Opinions) -> dict:
    """By verifier the pairs that it has an opinion on, and which shares of them are as `Opinions.counts` has it; by
    verifier, too, the shards without it; those that are several CLIPs.
    """
    rows = []
    for name in opinions.verifiers:
        counts = opinions.counts[name]
        shares = [counts[kind] / counts["pairs"] if counts["pairs"] else None for kind in ("agrees", "mask", "noun")]
        rows.append((name, counts["pairs"], shares))
    missing = [(name, count) for name, count in opinions.missing.items() if count]
    return {"rows": rows, "missing": missing, "other_clips": opinions.other_clips}


def _figures(pairs: Pairs, totals: Totals, shared: SharedMasks) -> list[tuple[str, str, str]]:
    images, with_pairs = totals.images, totals.images_with_pairs
    median = float(np.median(pairs.score)) if len(pairs) else None
    return [
        ("pairs", number(len(pairs)), f"{number(len(pairs) / with_pairs, 1)} an image" if with_pairs else ""),
        ("nouns", number(len(pairs.nouns)), ""),
        (
            "images with pairs",
            number(with_pairs),
            f"{share(with_pairs / images)} of {number(images)}" if images else "",
        ),
        ("images rejected", number(totals.rejected.total()), share(totals.rejected.total() / images) if images else ""),
        *_not_found(totals),
        ("median score", number(median), "cosine similarity"),
        (
            "masks with several nouns",
            number(shared.shared),
            f"{share(shared.shared / shared.masks)} of {number(shared.masks)}" if len(pairs) else "",
        ),
    ]


def _not_found(totals: Totals) -> list[tuple[str, str, str]]:
    if not totals.not_found:
        return []
    return [("nouns not found", number(totals.not_found.total()), "asked for in their images, in vain")]


def _most_often(not_found: Counter) -> list[tuple[str, int]]:
    return sorted(not_found.items(), key=lambda item: (-item[1], item[0]))[:_NOT_FOUND]


def _nouns(pairs: Pairs, counts: np.ndarray, listed: np.ndarray) -> list[tuple]:
    """Noun, pairs, mean score and median noun margin of the nouns with the most pairs."""
    scores = np.bincount(pairs.noun, weights=pairs.score, minlength=len(counts)) / np.maximum(counts, 1)
    known = ~np.isnan(pairs.noun_margin)
    margins = np.bincount(pairs.noun[known], weights=pairs.noun_margin[known], minlength=len(counts))
    with_margin = np.bincount(pairs.noun[known], minlength=len(counts))
    return [
        (
            pairs.nouns[noun],
            int(counts[noun]),
            round(float(scores[noun]), 4),
            round(float(margins[noun] / with_margin[noun]), 4) if with_margin[noun] else None,
        )
        for noun in listed.tolist()
    ]


def _curve(curve: Curve, precision: Precision | None) -> dict:
    found = {
        "column": curve.column,
        "name": NAMES[curve.column],
        "condition": _CONDITIONS[curve.column],
        "thresholds": curve.thresholds.tolist(),
        "pairs": curve.pairs.tolist(),
        "nouns": curve.nouns.tolist(),
        "images": curve.images.tolist(),
    }
    if precision and curve.column == "clip_score":
        found |= {
            "judged": precision.judged.tolist(),
            "correct": [None if np.isnan(value) else round(value, 4) for value in precision.correct.tolist()],
        }
    return found


def _precision(precision: Precision) -> dict:
    judged = int(precision.judged[0])
    return {
        "pairs": precision.pairs,
        "judged": judged,
        "correct": float(precision.correct[0]) if judged else None,
        "chance": float(precision.chance[0]) if judged else None,
    }


def recipe(description: dict) -> list[tuple[str, str]]:
    """What the dataset was made with, in a few lines."""
    configuration, models = description["configuration"], description["models"]
    clip, matching = configuration["clip"], configuration["matching"]
    model = ", ".join(filter(None, (clip["architecture"], clip["weights"])))
    limits = [f"{key} {value}" for key, value in matching.items() if key.startswith("min_") and value is not None]
    return [
        ("captions", f"{configuration['captions']['format']}: {configuration['captions']['path']}"),
        ("captions per image", str(configuration["captions_per_image"])),
        ("nouns", f"{models['nouns']['name']} {models['nouns'].get('version', '')}".strip()),
        ("stop lists", ", ".join(configuration["nouns"]["stop_list"]) or "none"),
        *([("matched by", "phrase")] if matching.get("text") == "phrase" else []),
        ("proposals", str(models["proposals"].get("name", configuration["proposals"]["backend"]))),
        (
            "CLIP",
            f"{model}; sha256 {models['clip']['sha256'][:16]}…",
        ),
        ("outside the mask", configuration["regions"]["fill"]),
        ("kept", ", ".join(limits) or "every noun's best mask"),
        ("fingerprint", description["fingerprint"][:16] + "…"),
    ]
