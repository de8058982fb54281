"""Which proposals of an image are kept. The same for every backend."""

import numpy as np

from pipeline.masks.masks import Masks
from pipeline.proposals.config import ProposalsConfig

_ROWS_PER_BLOCK = 64


def keep(masks: Masks, scores: np.ndarray, config: ProposalsConfig) -> np.ndarray:
    """Indices of the proposals to keep, int64, best first.

    In the order of their scores (the earlier first where equal): within the area limits, not empty,
    IoU of at most `max_iou` with everything kept before (mask non-maximum suppression), until there
    are `max_proposals`. A score that is not a number sorts last.

    Args:
        masks: K masks.
        scores: [K], higher is better.
    """
    areas, frame = masks.areas, masks.height * masks.width
    usable = (areas > 0) & (areas >= config.min_area * frame) & (areas <= config.max_area * frame)
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    waiting = order[usable[order]]
    kept: list[int] = []
    # In blocks: comparing all pairs of thousands of candidates would cost most of the time, and
    # most are dropped by the first few kept.
    while len(waiting) and len(kept) < config.max_proposals:
        block, waiting = waiting[:_ROWS_PER_BLOCK], waiting[_ROWS_PER_BLOCK:]
        compared = masks.select((*kept, *block))
        overlaps = masks.select(block).iou(compared)
        chosen = list(range(len(kept)))  # columns of what is kept, before and in this block
        for row, index in enumerate(block.tolist()):
            if len(kept) == config.max_proposals:
                break
            if (overlaps[row, chosen] <= config.max_iou).all():
                chosen.append(len(compared) - len(block) + row)
                kept.append(index)
    return np.array(kept, np.int64)
