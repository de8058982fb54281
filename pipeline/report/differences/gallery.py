"""The sampled pairs of two datasets as the page's script reads them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.differences.reasons import REASONS
from pipeline.report.differences.pictures import ShownRegion
from pipeline.report.named_text import named_text

ROW_BYTES = 900
"""About what a row takes in the page besides its pictures."""

_ROWS_PER_BLOCK = 128
_NAMES = {"moved": "Moved to another region", "lost": "Lost", "added": "Added", "shifted": "Other score"}

EMPTY: dict[str, list] = {"rows": [], "blocks": [], "groups": [], "whys": []}
"""The values of a page without pairs."""


@dataclass
class Shown:
    """A pair that the page shows."""

    row: dict
    """Of `schemas.DIFFERENCES`; `category` may also be `same`, where a group is not of a category."""
    groups: list[str] = field(default_factory=list)
    """What it was chosen for."""


def describe(
    shown: Sequence[Shown], a: Mapping[str, ShownRegion], b: Mapping[str, ShownRegion], more: Mapping[str, str]
) -> dict:
    """Values of `differences.html`: rows, their pictures in blocks of base64, groups and reasons with their sizes.

    Args:
        a, b: regions of both datasets, by key.
        more: names of groups besides the categories.
    """
    rows: list[dict] = []
    blocks: list[list[str]] = [[]]
    offset = 0
    for index, one in enumerate(shown):
        if index and index % _ROWS_PER_BLOCK == 0:
            blocks.append([])
            offset = 0
        sides: dict[str, dict | None] = {}
        for side, regions in (("a", a), ("b", b)):
            key = one.row[f"key_{side}"]
            if key is None:
                sides[side] = None
                continue
            told = {"key": key, "score": _rounded(one.row[f"score_{side}"])}
            if region := regions.get(key):
                end = offset + len(region.outlined)
                blocks[-1].append(region.outlined)
                told |= {
                    "picture": [len(blocks) - 1, offset, end, end],  # with no blanked region
                    "caption": region.caption,
                    "box": [round(edge, 4) for edge in region.box],
                    "proportion": round(region.proportion, 4),
                }
                offset = end
            sides[side] = told
        rows.append(
            {
                **{name: one.row[name] for name in ("category", "reason", "detail", "noun")},
                "text": named_text(one.row),
                "image": one.row["image_id"],
                "why": REASONS.get(one.row["reason"], ""),
                "iou": _rounded(one.row["iou"]),
                "rank_change": _rounded(one.row["rank_change"]),
                **sides,
                "groups": [*one.groups, "all"],
            }
        )
    names = {**_NAMES, **more, "all": "All that are shown"}
    groups = [(name, text, sum(name in row["groups"] for row in rows)) for name, text in names.items()]
    reasons = sorted({row["reason"] for row in rows if row["reason"]})
    return {
        "rows": rows,
        "blocks": ["".join(parts) for parts in blocks],
        "groups": [group for group in groups if group[2]],
        "whys": [(reason, REASONS[reason], sum(row["reason"] == reason for row in rows)) for reason in reasons],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), 6)
