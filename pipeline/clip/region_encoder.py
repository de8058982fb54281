"""Images and masks → CLIP embeddings of the masked regions, batched across images.

Three things go on at the same time: the caller's images are read ahead in a thread (decoding, proposing), their regions
are cut in a second one, and the vision tower runs in the caller's. On a GPU the host never waits for the batch at hand.

Shape suffixes: K masks of an image, V of them valid, R regions of a batch, S input side, D embedding width.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from pipeline.clip.model import Clip
from pipeline.execution.read_ahead import read_ahead
from pipeline.masks.masks import Masks
from pipeline.regions import RegionsConfig
from pipeline.regions.cutters import Cut, Cutter, DeviceCutter, HostCutter, ImageRegions, Part

Companion = TypeVar("Companion")

_IMAGES_AHEAD = 2
_BATCHES_AHEAD = 2
_BATCHES_ON_GPU = 2
"""Batches whose features are not fetched yet: while one is encoded, the host hands over the next."""


class _Batch(NamedTuple):
    """Regions on their way through the tower."""

    cut: Cut | None
    """None: no regions, of images that have none."""
    ended: list[tuple[Any, np.ndarray]]
    """The images whose last region is in it: their companions, and which of their masks are valid, bool [K]."""


class _Encoded(NamedTuple):
    features: torch.Tensor
    """float32 [R,D] on the host; filled when `done` is."""
    done: torch.cuda.Event | None
    ended: list[tuple[Any, np.ndarray]]


class RegionEncoder:
    """Cuts the masked regions out of images and encodes them in batches of fixed size.

    The composition of the batches depends on the order of the input alone, so the same input has the same features, bit
    by bit. In flight are a few images and as many batches of CLIP inputs as the cutter has buffers, four on a GPU.
    """

    def __init__(self, clip: Clip, config: RegionsConfig, batch_size: int):
        """
        Raises:
            ValueError: the CLIP's tower is compiled for batches of another size.
        """
        if clip.compiled_batch not in (None, batch_size):
            raise ValueError(f"the tower is compiled for batches of {clip.compiled_batch}, not of {batch_size}")
        self._clip = clip
        self._vision = clip.region_vision
        self._config = config
        self._batch_size = batch_size
        self._spare_cutters: list[Cutter] = []

    def encode(
        self, images: Iterable[tuple[np.ndarray, Masks, Companion]], *, ahead: bool = True, together: bool = True
    ) -> Iterator[tuple[Companion, np.ndarray, np.ndarray]]:
        """Encode images one after the other.

        Args:
            images: uint8 [H,W,3] RGB, its K masks, and anything that is to come out with its features. Iterated in
                another thread, up to three images ahead of the batch that is cut.
            ahead: False: an image is taken when all before it that fill batches are encoded, in the caller's thread.
            together: False: no batch holds regions of two images, so that the features of one, to the last bit, do not
                depend on which others there are.

        Yields:
            per image, in order: its companion, unit-length features float32 [V,D], and valid bool [K]: the masks that
            have a pixel.

        Raises:
            ValueError: the masks of an image are in another frame than the image.
        """
        cutter = self._spare_cutters.pop() if self._spare_cutters else self._new_cutter()
        with (
            closing(read_ahead(images, _IMAGES_AHEAD if ahead else 0)) as read,
            closing(read_ahead(self._cut(cutter, read, together), _BATCHES_AHEAD if ahead else 0)) as batches,
        ):
            left = np.zeros((0, 0), np.float32)  # features of images that have not ended yet
            for features_RD, ended in self._encode(batches):
                left = np.concatenate([left, features_RD]) if len(left) else features_RD
                for companion, valid_K in ended:
                    count = int(valid_K.sum())
                    yield companion, left[:count], valid_K
                    left = left[count:]
        self._spare_cutters.append(cutter)

    def _new_cutter(self) -> Cutter:
        clip_input, fill, with_masks = self._clip.input, self._config.fill, self._clip.vision.depth > 0
        if self._clip.device.type == "cpu":
            return HostCutter(clip_input, fill, self._batch_size, with_masks=with_masks)
        return DeviceCutter(clip_input, fill, self._clip.device, with_masks=with_masks)

    def _cut(self, cutter: Cutter, images: Iterable[tuple[np.ndarray, Masks, Any]], together: bool) -> Iterator[_Batch]:
        """Batches that are full, but for the last one (not together: of each image) and those of images without
        regions."""
        parts: list[Part] = []
        ended: list[tuple[Any, np.ndarray]] = []
        free = self._batch_size
        for image, masks, companion in images:
            regions = ImageRegions(image, masks, self._config.expand)
            start = 0
            while len(regions) - start >= free:
                parts.append(Part(regions, start, start + free))
                start, free = start + free, self._batch_size
                if start == len(regions):
                    ended.append((companion, regions.valid_K))
                yield _Batch(cutter.cut(parts), ended)
                parts, ended = [], []
            if start < len(regions):
                parts.append(Part(regions, start, len(regions)))
                free -= len(regions) - start
            if start < len(regions) or not len(regions):
                ended.append((companion, regions.valid_K))
            if ended and not parts:
                yield _Batch(None, ended)
                ended = []
            if parts and not together:
                yield _Batch(cutter.cut(parts), ended)
                parts, ended, free = [], [], self._batch_size
        if parts:
            yield _Batch(cutter.cut(parts), ended)

    def _encode(self, batches: Iterable[_Batch]) -> Iterator[tuple[np.ndarray, list[tuple[Any, np.ndarray]]]]:
        """The features of each batch, float32 [R,D], and the images that end with it."""
        on_gpu = _BATCHES_ON_GPU if self._clip.device.type == "cuda" else 1
        under_way: deque[_Encoded] = deque()
        for batch in batches:
            under_way.append(self._forward(batch))
            if len(under_way) == on_gpu:
                yield _fetched(under_way.popleft())
        yield from map(_fetched, under_way)

    @torch.inference_mode()
    def _forward(self, batch: _Batch) -> _Encoded:
        if batch.cut is None:
            return _Encoded(torch.zeros((0, 0)), None, batch.ended)
        try:
            batch.cut.wait()
            pixels_R3SS, masks_R1SS = batch.cut.pixels, batch.cut.masks
            rows = len(pixels_R3SS)
            if self._clip.compiled_batch:  # the last batch has fewer rows, and kernels are for one number
                filling = (0,) * 7 + (self._clip.compiled_batch - rows,)
                pixels_R3SS = F.pad(pixels_R3SS, filling)
                masks_R1SS = None if masks_R1SS is None else F.pad(masks_R1SS, filling)
            features_RD = F.normalize(self._vision(pixels_R3SS, masks_R1SS)[:rows].float(), dim=-1)
        finally:
            batch.cut.release()
        if self._clip.device.type != "cuda":
            return _Encoded(features_RD.cpu(), None, batch.ended)
        on_host_RD = torch.empty_like(features_RD, device="cpu", pin_memory=True)
        on_host_RD.copy_(features_RD, non_blocking=True)
        return _Encoded(on_host_RD, torch.cuda.current_stream().record_event(), batch.ended)


def _fetched(encoded: _Encoded) -> tuple[np.ndarray, list[tuple[Any, np.ndarray]]]:
    if encoded.done is not None:
        encoded.done.synchronize()
    return encoded.features.numpy(), encoded.ended
