"""A proposer that waits at a gate, so that a test knows what the models are doing."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.images import ImageProblem
from pipeline.proposals import Proposals, ProposalsConfig
from tests.segmentation.colours import ColourProposer

GATED = (255, 0, 255)
UNUSABLE = (0, 255, 255)


def plain(colour: tuple[int, int, int]) -> np.ndarray:
    """A picture of one colour, uint8 [H,W,3]."""
    return np.full((16, 24, 3), colour, np.uint8)


@dataclass
class GateOptions:
    """Of a backend with a gate."""

    folder: str
    """Where the gate is."""


class ColoursAtAGate(ColourProposer):
    """Fields of colour. At pictures that are GATED it waits until the test opens the gate; UNUSABLE ones it refuses."""

    options_class = GateOptions

    def __init__(self, config: ProposalsConfig, options: GateOptions) -> None:
        super().__init__(config)
        self._folder = Path(options.folder)

    def propose(self, images: Sequence[np.ndarray], image_ids: Sequence[str]) -> list[Proposals]:
        for image in images:
            if np.abs(image - np.array(GATED)).max() < 10:
                # Opening a pipe waits for its other end.
                (self._folder / "arrivals").write_bytes(b".")
                (self._folder / "gate").open("rb").close()
            if np.abs(image - np.array(UNUSABLE)).max() < 10:
                raise ImageProblem("unusable", "of a colour that this backend refuses")
        return super().propose(images, image_ids)


class Gate:
    """The gate of one server, closed at first."""

    def __init__(self, folder: Path) -> None:
        for name in ("arrivals", "gate"):
            os.mkfifo(folder / name)
        self._folder = folder
        self.arguments = [
            "--proposals.backend=tests.serving.colours_at_a_gate:ColoursAtAGate",
            f"--proposals.options.folder={folder}",
        ]
        """For the command line of the server."""

    def wait_for_arrival(self) -> None:
        """Until the models are at the gate."""
        (self._folder / "arrivals").read_bytes()

    def open(self) -> None:
        """Let everything through from now on."""
        for name in ("arrivals", "gate"):
            os.open(self._folder / name, os.O_RDWR)
