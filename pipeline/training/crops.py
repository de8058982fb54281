"""Windows of stored crops on their way from a loader process to the device that cuts CLIP inputs out of them.

They travel as bytes, mostly a tenth of what CLIP inputs need: pixels uint8, masks eight pixels a byte. A window with
more pixels than four CLIP inputs would need more, and is cut where it was read; so no batch is larger than one of CLIP
inputs.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch

from pipeline.regions import Fill, cut_windows
from pipeline.regions.clip_input import ClipInput
from pipeline.regions.windows import Windows

_FLOAT_BYTES = 4
_STEPS_AHEAD = 2


@dataclass(frozen=True)
class Crops:
    """B windows. Shape suffixes: L those that are cut already, S the side of the CLIP input."""

    windows: Windows | None
    """The others; None: there are none."""
    cut_already: tuple[torch.Tensor, torch.Tensor] | None
    """pixels float32 [L,3,S,S], masks bool [L,1,S,S]; None: there are none."""
    order: torch.Tensor
    """int64 [B]: where each window is among the others and those that are cut, one after the other."""
    clip_input: ClipInput
    fill: Fill

    @classmethod
    def of(cls, images: Sequence[np.ndarray], masks: Sequence[np.ndarray], clip_input: ClipInput, fill: Fill) -> Self:
        """Pack windows.

        Args:
            images: uint8 [h,w,3] RGB, each a whole window.
            masks: bool [h,w], one for each image.
        """
        most_pixels = _FLOAT_BYTES * clip_input.size**2
        large = np.array([mask.size > most_pixels for mask in masks])
        parts = [[index for index, is_large in enumerate(large) if is_large == wanted] for wanted in (False, True)]
        others, larges = (
            _windows([images[index] for index in part], [masks[index] for index in part]) for part in parts
        )
        return cls(
            others,
            cut_windows(larges, clip_input, fill) if larges else None,
            torch.from_numpy(np.argsort(np.argsort(large, kind="stable"), kind="stable")),
            clip_input,
            fill,
        )

    def pin_memory(self) -> Self:
        """A copy in memory that a GPU reads by itself."""
        windows, cut_already = self.windows, self.cut_already
        if windows is not None:
            windows = windows.pin_memory()
        if cut_already is not None:
            cut_already = cut_already[0].pin_memory(), cut_already[1].pin_memory()
        return replace(self, windows=windows, cut_already=cut_already)

    def cut(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """CLIP inputs on a device: pixels float32 [B,3,S,S]; masks bool [B,1,S,S]."""
        parts = []
        if self.windows is not None:
            parts.append(cut_windows(self.windows.to(device), self.clip_input, self.fill))
        if self.cut_already is not None:
            pixels, masks = self.cut_already
            parts.append((pixels.to(device, non_blocking=True), masks.to(device, non_blocking=True)))
        if len(parts) == 1:
            return parts[0]
        order = self.order.to(device, non_blocking=True)
        return torch.cat([pixels for pixels, _ in parts])[order], torch.cat([masks for _, masks in parts])[order]


def _windows(images: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> Windows | None:
    whole = [(0, 0, mask.shape[1], mask.shape[0]) for mask in masks]
    return Windows.of_crops(images, masks, whole) if whole else None


def cut_batches(batches: Iterable[dict], device: torch.device) -> Iterator[dict[str, torch.Tensor]]:
    """The batches of a loader as a step takes them.

    On a GPU they are copied and cut while the step before is computed. The host is at most two steps ahead of it, so
    that few batches take its memory.

    Returns:
        dictionaries: `pixels` float32 [b,3,S,S] and `masks` bool [b,1,S,S] on the device; the rest as the loader gave
        it, on the host, where nobody has to wait for the device to look at it.
    """
    stream = torch.cuda.Stream(device) if device.type == "cuda" else None
    steps: list[torch.cuda.Event] = []
    for batch in batches:
        with torch.cuda.stream(stream):  # of None: nothing changes
            pixels, masks = batch["crops"].cut(device)
        if stream is not None:
            computing = torch.cuda.current_stream(device)
            computing.wait_stream(stream)
            for tensor in (pixels, masks):
                tensor.record_stream(computing)
        yield {"pixels": pixels, "masks": masks, **{name: batch[name] for name in batch if name != "crops"}}
        if stream is not None:
            steps.append(torch.cuda.current_stream(device).record_event())
            if len(steps) > _STEPS_AHEAD:
                steps.pop(0).synchronize()
