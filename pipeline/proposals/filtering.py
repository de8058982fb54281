"""Which proposals of an image are kept. The same for every backend."""

from collections.abc import Callable

import numpy as np

from pipeline.masks.masks import Masks
from pipeline.masks.overlaps import Overlaps
from pipeline.proposals.config import ProposalsConfig

_ROWS_PER_BLOCK = 64

Above = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Indices of R masks, of C masks, and which pairs of them are asked for, bool [R,C] → whether the IoU of these pairs
is above `max_iou`, bool [R,C]."""


def keep(masks: Masks, scores: np.ndarray, config: ProposalsConfig) -> np.ndarray:
    """Indices of the proposals to keep, int64, best first.

    In the order of their scores (the earlier first where equal): within the area limits, not empty,
    IoU of at most `max_iou` with everything kept before (mask non-maximum suppression), until there
    are `max_proposals`. A score that is not a number sorts last.

    Args:
        masks: K masks.
        scores: [K], higher is better.
    """
    waiting = best_first(masks.areas, masks.height * masks.width, scores, config)
    return suppress(waiting, Overlaps(masks, config.max_iou).above, config.max_proposals, _ROWS_PER_BLOCK)


def best_first(areas: np.ndarray, frame: int, scores: np.ndarray, config: ProposalsConfig) -> np.ndarray:
    """Indices of the masks that are within the area limits, not empty, in the order of their scores.

    Args:
        areas: pixels in each mask.
        frame: pixels.
    """
    usable = (areas > 0) & (areas >= config.min_area * frame) & (areas <= config.max_area * frame)
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    return order[usable[order]]


def suppress(waiting: np.ndarray, above: Above, most: int, rows_per_block: int) -> np.ndarray:
    """Those of the masks that do not overlap too much with a better one that is kept, int64, until there are `most`.

    Args:
        waiting: indices of masks, best first.
        rows_per_block: masks that are compared together, with all that are kept. All pairs of thousands of candidates
            would cost most of the time, and most are dropped by the first few kept.
    """
    kept = waiting[:0]
    while len(waiting) and len(kept) < most:
        block, waiting = waiting[:rows_per_block], waiting[rows_per_block:]
        compared = np.concatenate([kept, block])
        before = len(kept) + np.arange(len(block))
        above_RC = above(block, compared, np.arange(len(compared)) < before[:, None])
        dropped: np.ndarray = np.any(above_RC[:, : len(kept)], axis=1)
        chosen: list[int] = []
        for row, column in enumerate(before.tolist()):
            if not dropped[row] and len(kept) + len(chosen) < most:
                chosen.append(row)
                dropped |= above_RC[:, column]
        kept = np.concatenate([kept, block[chosen]])
    return kept
