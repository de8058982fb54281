"""Running a network on images of any size: where, how exactly, and how many at a time."""

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch

from pipeline.proposals.proposer import check_image
from pipeline.weights.autocast import autocast_dtype
from pipeline.weights.precision import Precision

Result = TypeVar("Result")
Thing = TypeVar("Thing")
Companion = TypeVar("Companion")

_logger = logging.getLogger(__name__)


def device() -> torch.device:
    """The GPU if this process has one. (Ray hides the GPUs from workers that were given none.)"""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def to_device(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """The array on a device. Nothing waits for it to arrive at a GPU: it is copied from memory that stays in place."""
    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """A context in which matrix products and convolutions run in `precision`."""
    dtype = autocast_dtype(precision, device)
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)


def resized(height: int, width: int, short_side: int, max_side: int) -> tuple[int, int]:
    """Height and width at which the shorter side is `short_side` pixels, or the longer one `max_side` if it would be
    more; detectron2's `ResizeShortestEdge`. No side becomes 0.
    """
    scale = short_side / min(height, width)
    if max(height, width) * scale > max_side:
        scale = max_side / max(height, width)
    return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))


class Batches:
    """Calls a network with a few things at a time: images of one size, or whatever else.

    When the GPU's memory does not suffice, batches of half the size are tried, down to single things; what fitted last
    is where the next call begins.
    """

    def __init__(self, size: int, what: str = "images", key: str = "proposals.batch_size"):
        """
        Args:
            size: most things of a batch.
            what: they are.
            key: that says so many; both for the message.
        """
        self.size = size
        self._what = what
        self._key = key

    def run(self, images: Sequence[np.ndarray], forward: Callable[[list[np.ndarray]], list[Result]]) -> list[Result]:
        """What `forward` returns for each image, in the order of the images.

        Args:
            images: uint8 [H, W, 3] RGB, of any sizes.
            forward: takes images of one size, returns one result for each.

        Raises:
            ValueError: an image is not such an array.
            torch.OutOfMemoryError: the memory does not suffice for one image.
        """
        return self.run_together(images, images, lambda some, _: forward(some))

    def run_together(
        self,
        images: Sequence[np.ndarray],
        companions: Sequence[Companion],
        forward: Callable[[list[np.ndarray], list[Companion]], list[Result]],
    ) -> list[Result]:
        """As `run`, where something belongs to each image."""
        by_size: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, image in enumerate(images):
            check_image(image)
            by_size[image.shape[:2]].append(index)
        results: dict[int, Result] = {}
        for indices in by_size.values():
            found = self.each(
                indices, lambda some: forward([images[index] for index in some], [companions[index] for index in some])
            )
            results |= zip(indices, found, strict=True)
        return [results[index] for index in range(len(images))]

    def each(self, things: Sequence[Thing], forward: Callable[[list[Thing]], list[Result]]) -> list[Result]:
        """What `forward` returns for each of the things, in their order.

        Raises:
            torch.OutOfMemoryError: the memory does not suffice for one of them.
        """
        results: list[Result] = []
        while len(results) < len(things):
            batch = list(things[len(results) : len(results) + self.size])
            found = None
            try:
                found = forward(batch)
            except torch.OutOfMemoryError:
                if len(batch) == 1:
                    raise
            if found is None:
                # Not above: as long as the error is handled, it holds the tensors of the pass that failed.
                self._halve(len(batch))
                continue
            if len(found) != len(batch):
                raise ValueError(f"{len(found)} results of {len(batch)} {self._what}")
            results += found
        return results

    def _halve(self, failed: int) -> None:
        self.size = failed // 2
        torch.cuda.empty_cache()
        _logger.warning(
            "the GPU's memory does not suffice for %d %s at a time: going on with %d; set %s",
            failed,
            self._what,
            self.size,
            self._key,
        )
