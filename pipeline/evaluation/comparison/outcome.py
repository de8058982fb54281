"""What a comparison comes to, and how a JSON file says it."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.evaluation.branches import BRANCHES
from pipeline.evaluation.comparison.evaluated import Evaluated
from pipeline.evaluation.comparison.paired import (
    FALSE_SHARE,
    ClassDifference,
    Difference,
    PartDifferences,
    paired_differences,
)
from pipeline.evaluation.comparison.shared import SharedImages, shared_images
from pipeline.evaluation.cost import Cost, read_cost
from pipeline.evaluation.uncertainty.resampling import FEWEST_IMAGES, LEVEL

TITLES = {
    "scores": "pixels",
    "region_accuracy": "CLIP on masked true regions",
    "panoptic": "panoptic segments",
    "instances": "masks of objects",
}


@dataclass(frozen=True)
class Comparison:
    """B against A."""

    a: Evaluated
    b: Evaluated
    shared: SharedImages
    parts: list[PartDifferences]
    remarks: list[str]
    """What is to be known of the comparison."""
    settings: list[tuple[str, Any, Any]]
    """What the two were made with and is not alike: key, value in A, in B."""
    costs: tuple[Cost | None, Cost | None]
    resamplings: int
    seed: int


def compare(
    a: Evaluated, b: Evaluated, settings: Sequence[tuple[str, Any, Any]], resamplings: int, seed: int
) -> Comparison:
    """Compare two evaluations of one data set.

    Args:
        settings: see `Comparison.settings`.

    Raises:
        UserError: they cannot be compared, or a table is damaged.
        OSError: storage cannot be read.
    """
    shared = shared_images(a, b)
    parts, unknown = paired_differences(a, b, shared, resamplings, seed)
    remarks = []
    if left_out := [
        f"{count:,} {which}"
        for count, which in (
            (shared.only_a, f"that only {a.label} has"),
            (shared.only_b, f"that only {b.label} has"),
            (shared.changed, "whose files have changed between them"),
        )
        if count
    ]:
        remarks.append(f"left out: images {', '.join(left_out)}")
    if not a.digests or not b.digests:
        remarks.append("whether both read the same files is not known: an earlier version kept no digests of them")
    if unknown:
        titles = ", ".join(TITLES[part] for part in unknown)
        remarks.append(
            f"{titles} cannot be compared: an earlier version kept no counts of single images; evaluate again"
        )
    remarks += [
        f"{TITLES[part.part]}: classes of {a.label} are from {BRANCHES[part.branches[0]]}, of {b.label} from "
        f"{BRANCHES[part.branches[1]]}"
        for part in parts
        if part.branches[0] != part.branches[1]
    ]
    if any(key == "recipe" for key, _, _ in settings):
        remarks.append("they were counted by versions of this program with other rules: see recipe below")
    costs = read_cost(a.uri), read_cost(b.uri)
    return Comparison(a, b, shared, parts, remarks, list(settings), costs, resamplings, seed)


def comparison_record(found: Comparison) -> dict:
    """All of it, as JSON has it: shares 0..1, null for what is no number."""
    return {
        side: {"label": evaluated.label, "uri": evaluated.uri, "cost": None if cost is None else asdict(cost)}
        for side, evaluated, cost in zip("ab", (found.a, found.b), found.costs, strict=True)
    } | {
        "dataset": found.a.result["dataset"]["name"],
        "images": {
            "shared": len(found.shared.image_ids),
            "only_a": found.shared.only_a,
            "only_b": found.shared.only_b,
            "changed": found.shared.changed,
        },
        "level": LEVEL,
        "resamplings": found.resamplings,
        "seed": found.seed,
        "false_share": FALSE_SHARE,
        "fewest_images": FEWEST_IMAGES,
        "remarks": found.remarks,
        "settings": [{"key": key, "a": str(one), "b": str(other)} for key, one, other in found.settings],
        "parts": {
            part.part: {
                "branches": part.branches,
                "headline": [_record(row) for row in part.headline],
                "classes": [_record(row) for row in part.classes],
                "classes_untested": part.untested,
            }
            for part in found.parts
        },
    }


def _record(row: Difference | ClassDifference) -> dict:
    values = {
        name: None if isinstance(value, float) and math.isnan(value) else value for name, value in asdict(row).items()
    }
    return values | {"difference": row.b - row.a}
