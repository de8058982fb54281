"""The sampled pairs as the page's script reads them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.report.dataset.additions import additions, offered
from pipeline.report.dataset.opinions import Opinions
from pipeline.report.dataset.reading import Pairs
from pipeline.report.dataset.shared import SharedMasks
from pipeline.report.dataset.shown import GROUPS, ShownPairs
from pipeline.report.dataset.thumbnails import Thumbnail
from pipeline.report.named_text import marked_caption, named_text

ROW_BYTES = 900
"""About what a row takes in the page besides its pictures."""

_ROWS_PER_BLOCK = 256
_MOST_OTHERS = 6
_NAMES = {
    "random": "Random sample",
    "best": "Highest scores",
    "worst": "Lowest scores",
    "shared": "Masks that several nouns share",
    "nouns": "One of each noun, rare ones first",
    "right": "Annotations agree",
    "wrong": "Annotations disagree",
    "all": "All that are shown",
}

EMPTY: dict[str, Any] = {"rows": [], "blocks": [], "groups": [], "offered": offered([], Opinions())}
"""The values of a page without pairs."""


def describe(
    pairs: Pairs,
    shared: SharedMasks,
    sample: ShownPairs,
    thumbnails: Sequence[Thumbnail],
    judged: Mapping[str, bool],
    opinions: Opinions,
) -> dict:
    """Values of `dataset.html`: rows, their pictures in blocks of base64, the groups with their sizes, and what the
    rows have beyond what all pairs have.

    A row says in which block its pictures are and where they begin and end, so that a browser cuts out only what it
    shows.
    """
    rows: list[dict] = []
    places, blocks = in_blocks(thumbnails)
    for index, (pair, thumbnail, place) in enumerate(zip(sample.pairs.tolist(), thumbnails, places, strict=True)):
        member_of = [group for group in GROUPS if sample.groups[group][index]]
        right = judged.get(thumbnail.details["key"])
        if right is not None:
            member_of.append("right" if right else "wrong")
        rows.append(
            {
                **texts(thumbnail.details),
                **_numbers(pairs, pair),
                "others": _others(pairs, shared, pair),
                "groups": [*member_of, "all"],
                "picture": place,
                **additions(thumbnail.details),
                **({"opinions": opinions.of_shown[index]} if opinions.verifiers else {}),
            }
        )
    counts = {name: sum(name in row["groups"] for row in rows) for name in _NAMES}
    groups = [(name, _NAMES[name], count) for name, count in counts.items() if count]
    return {"rows": rows, "blocks": blocks, "groups": groups, "offered": offered(rows, opinions)}


def in_blocks(thumbnails: Sequence[Thumbnail]) -> tuple[list[tuple[int, int, int, int]], list[str]]:
    """Pictures in long texts of base64; by thumbnail the index of its text, and where in it the outlined region begins,
    where the blanked one begins, and where that ends.
    """
    places: list[tuple[int, int, int, int]] = []
    blocks: list[str] = []
    for first in range(0, len(thumbnails), _ROWS_PER_BLOCK):
        offset, together = 0, thumbnails[first : first + _ROWS_PER_BLOCK]
        for thumbnail in together:
            places.append((len(blocks), offset, offset + len(thumbnail.outlined), offset + thumbnail.size))
            offset += thumbnail.size
        blocks.append("".join(part for thumbnail in together for part in (thumbnail.outlined, thumbnail.blanked)))
    return places, blocks


def texts(details: dict) -> dict:
    """What a row says of its pair in words."""
    return {
        "key": details["key"],
        "image": details["image_id"],
        "uri": details["image_uri"],
        "noun": details["noun"],
        "text": named_text(details),
        "caption": list(marked_caption(details)),
    }


def _numbers(pairs: Pairs, pair: int) -> dict:
    return {
        "score": _rounded(pairs.score[pair]),
        "noun_margin": _rounded(pairs.noun_margin[pair]),
        "mask_margin": _rounded(pairs.mask_margin[pair]),
        "area": int(pairs.area[pair]),
        "area_share": _rounded(pairs.area_share[pair]),
        "proposal": int(pairs.proposal[pair]),
        "mask": int(pairs.image[pair]) * 10**6 + int(pairs.proposal[pair]),
    }


def _others(pairs: Pairs, shared: SharedMasks, pair: int) -> list[tuple[str, float | None]]:
    """The other nouns of the image that share this mask, with their scores, best first."""
    best: dict[int, int] = {}
    for other in sorted(shared.of(pair).tolist(), key=lambda other: -pairs.score[other]):
        if pairs.noun[other] != pairs.noun[pair]:  # which may be there with another phrase
            best.setdefault(int(pairs.noun[other]), other)
    return [(pairs.nouns[noun], _rounded(pairs.score[other])) for noun, other in list(best.items())[:_MOST_OTHERS]]


def _rounded(value: np.float32) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)
