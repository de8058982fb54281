"""The sampled pairs as the page's script reads them."""

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.report.dataset.reading import Pairs
from pipeline.report.dataset.shared import SharedMasks
from pipeline.report.dataset.shown import GROUPS, ShownPairs
from pipeline.report.dataset.thumbnails import Thumbnail

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

EMPTY: dict[str, list] = {"rows": [], "blocks": [], "groups": []}
"""The values of a page without pairs."""


def describe(
    pairs: Pairs, shared: SharedMasks, sample: ShownPairs, thumbnails: Sequence[Thumbnail], judged: Mapping[str, bool]
) -> dict:
    """Values of `dataset.html`: rows, their pictures in blocks of base64, and the groups with their sizes.

    A row says in which block its pictures are and where they begin and end, so that a browser cuts out only what it
    shows.
    """
    rows: list[dict] = []
    blocks: list[str] = []
    parts: list[str] = []
    offset = 0
    for index, (pair, thumbnail) in enumerate(zip(sample.pairs.tolist(), thumbnails, strict=True)):
        if index % _ROWS_PER_BLOCK == 0 and index:
            blocks.append("".join(parts))
            parts, offset = [], 0
        middle, end = offset + len(thumbnail.outlined), offset + thumbnail.size
        member_of = [group for group in GROUPS if sample.groups[group][index]]
        right = judged.get(thumbnail.details["key"])
        if right is not None:
            member_of.append("right" if right else "wrong")
        rows.append(
            {
                **_texts(thumbnail.details),
                **_numbers(pairs, pair),
                "others": _others(pairs, shared, pair),
                "groups": [*member_of, "all"],
                "picture": [len(blocks), offset, middle, end],
            }
        )
        parts += [thumbnail.outlined, thumbnail.blanked]
        offset = end
    counts = {name: sum(name in row["groups"] for row in rows) for name in _NAMES}
    groups = [(name, _NAMES[name], count) for name, count in counts.items() if count]
    return {"rows": rows, "blocks": [*blocks, "".join(parts)], "groups": groups}


def _texts(details: dict) -> dict:
    caption, start, end = details["caption"], details["char_start"], details["char_end"]
    return {
        "key": details["key"],
        "image": details["image_id"],
        "uri": details["image_uri"],
        "noun": details["noun"],
        # Cut here: characters are counted differently in JavaScript.
        "caption": [caption[:start], caption[start:end], caption[end:]],
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
    others = [other for other in shared.of(pair).tolist() if other != pair]
    others.sort(key=lambda other: -pairs.score[other])
    return [(pairs.nouns[pairs.noun[other]], _rounded(pairs.score[other])) for other in others[:_MOST_OTHERS]]


def _rounded(value: np.float32) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)
