"""A proposer that waits at a gate, so that a test knows where a job is."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import psutil

from pipeline.proposals import Proposals, ProposalsConfig
from pipeline.proposals.ground_truth import GroundTruth, GroundTruthOptions

GATED = "15"
"""An image of the third shard of six."""


class Gated:
    """Ground truth, but at one image it waits until the test opens the gate."""

    batch_size = 1
    options_class = GroundTruthOptions

    def __init__(self, config: ProposalsConfig, options: GroundTruthOptions) -> None:
        self._truth = GroundTruth(config, options)
        self._folder = Path(options.annotations).parent
        self.identity = self._truth.identity | {"name": "gated"}

    def propose(self, images: Sequence[np.ndarray], image_ids: Sequence[str]) -> list[Proposals]:
        if GATED in image_ids:
            (self._folder / f"arrived-{os.getpid()}").touch()
            # Opening a pipe waits for its other end.
            (self._folder / "gate").open("rb").close()
        return self._truth.propose(images, image_ids)


class Gate:
    """The gate of one job, closed at first."""

    def __init__(self, world: Path, folder: Path) -> None:
        """
        Args:
            world: the micro world whose annotations are used.
            folder: a new one, for the gate.
        """
        folder.mkdir()
        self._folder = folder
        (folder / "panoptic.json").symlink_to(world / "panoptic.json")
        (folder / "panoptic").symlink_to(world / "panoptic")
        os.mkfifo(folder / "gate")
        self.arguments = [
            "--proposals.backend=tests.faults.gate:Gated",
            f"--proposals.options.annotations={folder / 'panoptic.json'}",
        ]
        """For the command line of the job."""

    def next_arrival(self, wait_until: Callable[[Callable[[], bool]], None]) -> psutil.Process:
        """The worker that comes to the gate next."""
        wait_until(lambda: any(self._folder.glob("arrived-*")))
        [mark] = self._folder.glob("arrived-*")
        mark.unlink()
        return psutil.Process(int(mark.name.removeprefix("arrived-")))

    def open(self) -> None:
        """Let everybody through from now on."""
        os.open(self._folder / "gate", os.O_RDWR)
