"""The regions of images → batches of CLIP inputs: in host memory by OpenCV, or on a GPU in bulk.

Shape suffixes: K masks, V valid masks, R regions of a batch, S the CLIP input side.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from queue import SimpleQueue
from typing import NamedTuple, Protocol

import numpy as np
import torch

from pipeline.masks.boxes import expand_boxes
from pipeline.masks.mask_window import mask_window
from pipeline.masks.masks import Masks
from pipeline.regions.bulk import cut_in_bulk
from pipeline.regions.clip_input import ClipInput
from pipeline.regions.config import Fill
from pipeline.regions.cutting import cut_window, sample_mask
from pipeline.regions.normalising import normalised_planes
from pipeline.regions.windows import MaskedWindows, Window, pack


class ImageRegions:
    """The V valid masks of an image, those with a pixel, and the windows to cut for them. No mask is decoded for it."""

    def __init__(self, image_HW3: np.ndarray, masks: Masks, expand: float):
        """
        Args:
            image_HW3: uint8, RGB.
            expand: see `RegionsConfig`.

        Raises:
            ValueError: the masks are in another frame than the image.
        """
        if masks.size != image_HW3.shape[:2]:
            raise ValueError(
                f"masks are in a frame of height × width {masks.size}, their image is {image_HW3.shape[:2]}"
            )
        self.image_HW3 = image_HW3
        self.valid_K = masks.areas > 0
        """bool."""
        valid = masks if self.valid_K.all() else masks.select(np.flatnonzero(self.valid_K))
        self.runs = valid.runs()
        self.windows_V4 = expand_boxes(self.runs.boxes(), expand, masks.width, masks.height)
        """x0 y0 x1 y1 in pixels, x1 and y1 exclusive, int64."""

    def __len__(self) -> int:
        return len(self.windows_V4)

    @cached_property
    def frame(self) -> Window:
        """The smallest window that has all the others in it."""
        x0, y0 = self.windows_V4[:, :2].min(axis=0).tolist()
        x1, y1 = self.windows_V4[:, 2:].max(axis=0).tolist()
        return x0, y0, x1, y1


class Part(NamedTuple):
    """Some of the regions of an image, from `start` to `end`, exclusive."""

    regions: ImageRegions
    start: int
    end: int


@dataclass(frozen=True)
class Cut:
    """R regions as CLIP inputs."""

    pixels: torch.Tensor
    """float32 [R,3,S,S]."""
    masks: torch.Tensor | None
    """bool [R,1,S,S]; None where the cutter was not asked for them."""
    release: Callable[[], None] = lambda: None
    """To be called when the tensors are not needed any more: a later batch takes their memory."""
    ready: torch.cuda.Event | None = None
    """Recorded after what makes the tensors on a GPU."""

    def wait(self) -> None:
        """Have the GPU wait, not the host, until the tensors are made; before the current stream uses them."""
        if self.ready is None:
            return
        stream = torch.cuda.current_stream(self.pixels.device)
        stream.wait_event(self.ready)
        for tensor in (self.pixels, self.masks):
            if tensor is not None:
                tensor.record_stream(stream)


class Cutter(Protocol):
    """Cuts one batch after the other."""

    def cut(self, parts: Sequence[Part]) -> Cut:
        """The regions of all parts, one after the other."""


_BUFFERS_BYTES = 2**28


class HostCutter:
    """With OpenCV, into two buffers in turn: one is filled while the other is used. Into three if they are small: what
    an image takes before its first region is then long against a batch.
    """

    def __init__(self, clip_input: ClipInput, fill: Fill, batch_size: int, *, with_masks: bool):
        self._clip_input, self._fill = clip_input, fill
        self._with_masks = with_masks
        size = clip_input.size
        self._free: SimpleQueue[tuple[torch.Tensor, torch.Tensor]] = SimpleQueue()
        for _ in range(3 if 3 * batch_size * 3 * size**2 * 4 <= _BUFFERS_BYTES else 2):
            masks_R1SS = torch.empty((batch_size if with_masks else 0, 1, size, size), dtype=torch.bool)
            self._free.put((torch.empty((batch_size, 3, size, size)), masks_R1SS))

    def cut(self, parts: Sequence[Part]) -> Cut:
        """See `Cutter`; at most `batch_size` regions. Waits for a buffer to be released."""
        buffers = pixels_R3SS, masks_R1SS = self._free.get()
        row = 0
        for regions, start, end in parts:
            left, top, right, bottom = regions.frame
            planes = normalised_planes(regions.image_HW3[top:bottom, left:right], self._clip_input)
            for index, (x0, y0, x1, y1) in enumerate(regions.windows_V4[start:end].tolist(), start):
                inside_hw = mask_window(regions.runs, index, (x0, y0, x1, y1))
                planes_hw = [plane[y0 - top : y1 - top, x0 - left : x1 - left] for plane in planes]
                cut_window(planes_hw, inside_hw, pixels_R3SS[row].numpy(), self._clip_input, self._fill)
                if self._with_masks:
                    sample_mask(inside_hw, masks_R1SS[row, 0].numpy())
                row += 1
        masks = masks_R1SS[:row] if self._with_masks else None
        return Cut(pixels_R3SS[:row], masks, lambda: self._free.put(buffers))


class DeviceCutter:
    """In bulk on a device: images and the runs of masks are copied there, and nothing waits for it. On a GPU in a
    stream of its own, so that a batch is cut while the one before is encoded.
    """

    def __init__(self, clip_input: ClipInput, fill: Fill, device: torch.device, *, with_masks: bool):
        self._clip_input, self._fill, self._device = clip_input, fill, device
        self._with_masks = with_masks
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._last: tuple[ImageRegions, torch.Tensor] | None = None

    @torch.inference_mode()
    def cut(self, parts: Sequence[Part]) -> Cut:
        """See `Cutter`."""
        with torch.cuda.stream(self._stream) if self._stream else nullcontext():
            images = [
                MaskedWindows(self._image(regions), regions.runs.select(start, end), regions.windows_V4[start:end])
                for regions, start, end in parts
            ]
            windows = pack(images, self._clip_input.size).map(self._copied)
            pixels, masks = cut_in_bulk(windows, self._clip_input, self._fill, with_masks=self._with_masks)
            ready = self._stream.record_event() if self._stream else None
        return Cut(pixels, masks, ready=ready)

    def _image(self, regions: ImageRegions) -> torch.Tensor:
        """Its pixels on the device, copied once, although the last image of a batch is often the first of the next."""
        if self._last is None or self._last[0] is not regions:
            pixels = torch.empty(regions.image_HW3.shape, dtype=torch.uint8, pin_memory=self._stream is not None)
            np.copyto(pixels.numpy(), regions.image_HW3)
            self._last = regions, pixels.view(-1, 3).to(self._device, non_blocking=True)
        return self._last[1]

    def _copied(self, tensor: torch.Tensor) -> torch.Tensor:
        if tensor.device == self._device:
            return tensor
        return (tensor.pin_memory() if self._stream else tensor).to(self._device, non_blocking=True)
