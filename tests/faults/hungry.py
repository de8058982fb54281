"""A proposer that one image makes take all memory."""

from collections.abc import Sequence

import numpy as np

from pipeline.proposals import Proposals, ProposalsConfig
from pipeline.proposals.ground_truth import GroundTruth, GroundTruthOptions

HUNGRY = "8"
"""An image of the second shard of six."""
_MOST_BYTES = 6 * 2**30
_STEP_BYTES = 2**24


class Hungry:
    """Ground truth, but at one image it takes memory until it is stopped."""

    batch_size = 4
    options_class = GroundTruthOptions

    def __init__(self, config: ProposalsConfig, options: GroundTruthOptions) -> None:
        self._truth = GroundTruth(config, options)
        self.identity = self._truth.identity | {"name": "hungry"}

    def propose(self, images: Sequence[np.ndarray], image_ids: Sequence[str]) -> list[Proposals]:
        if HUNGRY in image_ids:
            taken = [np.ones(_STEP_BYTES, np.uint8) for _ in range(_MOST_BYTES // _STEP_BYTES)]
            raise AssertionError(f"nobody stopped it at {len(taken)} times {_STEP_BYTES} bytes")
        return self._truth.propose(images, image_ids)
