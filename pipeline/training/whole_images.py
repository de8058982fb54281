"""Batches of regions and, beside them, whole images to replay, as loader processes make them.

Shape suffixes: R whole images of this rank, S input side.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset, Sampler

from pipeline.errors import UserError
from pipeline.images import ImageProblem, ImagesConfig, open_image, read_upright
from pipeline.storage.in_threads import in_threads
from pipeline.training.order import PhaseBatches, PhaseSteps, steps_per_epoch
from pipeline.training.ranks import Ranks
from pipeline.training.replay import Replay

_MOST_TRIED = 64
_SIDES = 4
"""An image may be this much larger than CLIP's input before it is decoded at a smaller size."""

Place = tuple[int, int]
"""Epoch (of images: the pass over all of them) and row."""


@dataclass(frozen=True)
class ReplayBatches:
    """How the images of each step are found."""

    images: Replay
    of_a_batch: int
    """Over all ranks."""
    preprocess: Callable[[Image.Image], torch.Tensor]
    """CLIP's own."""
    size: int
    """Side of CLIP's input, px."""


class BesideRegions(Sampler[list[list[Place]]]):
    """Per step this rank's regions and, after them, its whole images.

    The images have an order of their own, pass after pass over all of them, which depends on the seed alone.
    """

    def __init__(self, regions: PhaseBatches, steps: PhaseSteps, replay: ReplayBatches, ranks: Ranks):
        self._regions = regions
        rows_N = np.arange(len(replay.images))
        passes = -(-(len(regions) + steps.first_step) // steps_per_epoch(len(rows_N), replay.of_a_batch))
        of_images = PhaseSteps(
            seed=steps.seed, epochs=passes, batch_size=replay.of_a_batch, first_step=steps.first_step
        )
        self._images = PhaseBatches(rows_N, np.zeros_like(rows_N), of_images, ranks)

    def __len__(self) -> int:
        return len(self._regions)

    def __iter__(self) -> Iterator[list[list[Place]]]:
        for regions, images in zip(self._regions, self._images, strict=False):  # the last pass may be cut
            yield [regions, images]


class WithImages(Dataset):
    """A dataset of regions by batch, whose batches get whole images."""

    def __init__(self, regions: Any, replay: ReplayBatches, seed: int):
        """
        Args:
            regions: see `loader`.
            seed: decides the caption of an image in each pass.
        """
        self._regions, self._replay, self._seed = regions, replay, seed
        self._images = ImagesConfig(max_side=_SIDES * replay.size, min_side=1)

    def __getitems__(self, batch: list[list[Place]]) -> list:
        """One batch, or what reading it raised: see `loader`.

        `images` float32 [R,3,S,S], `captions` their texts, and `unreadable` (image_id, reason) of those in whose place
        others stand.
        """
        regions, images = batch
        [found] = self._regions.__getitems__(regions)
        if isinstance(found, Exception):
            return [found]
        try:
            shown = list(in_threads(self._shown, images, 8))
        except (UserError, OSError) as error:
            return [error]
        return [
            found
            | {
                "images": torch.stack([pixels for pixels, _, _ in shown]),
                "captions": [caption for _, caption, _ in shown],
                "unreadable": [problem for _, _, problems in shown for problem in problems],
            }
        ]

    def _shown(self, place: Place) -> tuple[torch.Tensor, str, list[tuple[str, str]]]:
        """CLIP's input of an image, a caption of it, and which images before it could not be read: those that follow in
        the dataset take their places."""
        number, first = place
        replay = self._replay.images
        problems: list[tuple[str, str]] = []
        for row in (np.arange(first, first + min(_MOST_TRIED, len(replay))) % len(replay)).tolist():
            try:
                upright = read_upright(replay.read(row), self._images)
                pixels = self._replay.preprocess(open_image(bytes(upright.data)))
                captions = [caption for caption in replay.table["captions"][row].as_py() if caption]
                if captions:
                    chosen = np.random.SeedSequence((self._seed, number, row)).generate_state(1, np.uint64)[0]
                    return pixels, captions[int(chosen % np.uint64(len(captions)))], problems
                problems.append((replay.table["image_id"][row].as_py(), "no_captions"))
            except ImageProblem as problem:
                problems.append((replay.table["image_id"][row].as_py(), str(problem)))
        raise UserError(
            f"replay.share: none of {len(problems)} images of {replay.dataset} that follow one another can be read "
            f"({problems[0][0]}: {problems[0][1]}): they have to be where they were mined from; or set replay.dataset "
            "to another mined dataset, in another output directory"
        )
