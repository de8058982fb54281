"""Which proposals of an image are kept. The same for every backend."""

from collections.abc import Sequence

import numpy as np

from pipeline.masks import rle
from pipeline.masks.rle import Rle
from pipeline.proposals.config import ProposalsConfig

_ROWS_PER_BLOCK = 64


def keep(
    rles: Sequence[Rle],
    scores: np.ndarray,
    height: int,
    width: int,
    config: ProposalsConfig,
) -> np.ndarray:
    """Places of the proposals to keep, int64, best first.

    In the order of their scores (the earlier first where equal): within the area limits, not empty,
    IoU of at most `max_iou` with everything kept before (mask non-maximum suppression), until there
    are `max_proposals`. A score that is not a number sorts last.

    Args:
        rles: K masks in the frame height × width.
        scores: [K], higher is better.
    """
    areas = rle.areas(rles, height, width)
    frame = height * width
    usable = (areas > 0) & (areas >= config.min_area * frame) & (areas <= config.max_area * frame)
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    waiting = order[usable[order]]
    kept: list[int] = []
    # In blocks: comparing all pairs of thousands of candidates would cost most of the time, and
    # most are dropped by the first few kept.
    while len(waiting) and len(kept) < config.max_proposals:
        block, waiting = waiting[:_ROWS_PER_BLOCK], waiting[_ROWS_PER_BLOCK:]
        compared = [rles[place] for place in (*kept, *block)]
        overlaps = rle.iou([rles[place] for place in block], compared, height, width)
        chosen = list(range(len(kept)))  # columns of what is kept, before and in this block
        for row, place in enumerate(block.tolist()):
            if len(kept) == config.max_proposals:
                break
            if (overlaps[row, chosen] <= config.max_iou).all():
                chosen.append(len(compared) - len(block) + row)
                kept.append(place)
    return np.array(kept, np.int64)
