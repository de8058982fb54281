"""A proposer that four images are fatal to."""

import ctypes
import os
import signal
import threading
from collections.abc import Sequence

import numpy as np

from pipeline.proposals import Proposals, ProposalsConfig
from pipeline.proposals.ground_truth import GroundTruth, GroundTruthOptions

CRASHES, HANGS, KILLED, EXITS = FATAL = ("3", "8", "15", "21")
"""One in each shard of six."""


class Killer:
    """Ground truth, but one image makes it read where no memory is, one has its process killed, one keeps it without
    end, one ends it without a word."""

    options_class = GroundTruthOptions

    def __init__(self, config: ProposalsConfig, options: GroundTruthOptions) -> None:
        self._ground_truth = GroundTruth(config, options)
        self.identity = self._ground_truth.identity | {"name": "killer"}
        self.batch_size = 4

    def propose(self, images: Sequence[np.ndarray], image_ids: Sequence[str]) -> list[Proposals]:
        if CRASHES in image_ids:
            ctypes.string_at(0)
        if KILLED in image_ids:
            os.kill(os.getpid(), signal.SIGKILL)
        if HANGS in image_ids:
            threading.Event().wait()
        if EXITS in image_ids:
            os._exit(1)
        return self._ground_truth.propose(images, image_ids)
