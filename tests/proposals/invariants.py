"""What holds for the proposals of every backend."""

import numpy as np

from pipeline.masks import rle
from pipeline.proposals import Proposals, ProposalsConfig


def check_invariants(proposals: Proposals, image: np.ndarray, config: ProposalsConfig) -> None:
    height, width = image.shape[:2]
    assert proposals.masks.size == (height, width)
    assert len(proposals.masks) == len(proposals.scores) <= config.max_proposals
    assert proposals.scores.dtype == np.float32
    assert (np.diff(proposals.scores) <= 0).all()
    areas = rle.areas(proposals.masks, height, width)
    assert (areas > 0).all()
    assert (areas >= config.min_area * height * width).all()
    assert (areas <= config.max_area * height * width).all()
    overlaps = rle.iou(proposals.masks, proposals.masks, height, width)
    assert (overlaps[~np.eye(len(overlaps), dtype=bool)] <= config.max_iou).all()
