"""Windows of images and what of them lies inside masks, packed flat: what a device needs to cut CLIP inputs.

Masks travel as the edges of their runs (mining) or as bits (training), in either case a few KB a region instead of a
frame, and are made dense on the device.

Shape suffixes: P pixels of all images, R windows, M places of all dense masks, E edges.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
import torch

from pipeline.masks.runs import Runs
from pipeline.regions.resampling import MOST_LOOKED_AT, is_sparse, looked_at

Window = tuple[int, int, int, int]
"""x0 y0 x1 y1 in pixels, x1 and y1 exclusive."""


class FlatMasks(Protocol):
    """Masks of any sizes one after the other."""

    def dense(self) -> torch.Tensor:
        """Whether each place is inside: bool [M]."""

    def map(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Self:
        """The same with all tensors changed."""


@dataclass(frozen=True)
class EdgeMasks:
    """Masks by where their runs begin and end."""

    edges: torch.Tensor
    """int32 [E]: all begins, then all ends, as places of the dense masks."""
    size: int
    """M."""

    def dense(self) -> torch.Tensor:
        """Whether each place is inside: bool [M]."""
        begins, ends = self.edges.view(2, -1)
        steps_M = torch.zeros(self.size + 1, dtype=torch.int8, device=self.edges.device)
        one = torch.ones((), dtype=torch.int8, device=self.edges.device)
        steps_M.index_add_(0, begins, one.expand(len(begins))).index_add_(0, ends, one.expand(len(ends)), alpha=-1)
        return steps_M[:-1].cumsum(0, dtype=torch.int8).view(torch.bool)

    def map(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "EdgeMasks":
        """The same with all tensors changed."""
        return replace(self, edges=change(self.edges))


@dataclass(frozen=True)
class BitMasks:
    """Masks of whole crops, eight places a byte (`np.packbits`), each mask from a new byte on."""

    bits: torch.Tensor
    """uint8 [M/8]."""

    def dense(self) -> torch.Tensor:
        """Whether each place is inside: bool [M]."""
        shifts_8 = torch.arange(7, -1, -1, dtype=torch.uint8, device=self.bits.device)
        return (self.bits[:, None] >> shifts_8).bitwise_and_(1).view(torch.bool).flatten()

    def map(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "BitMasks":
        """The same with all tensors changed."""
        return replace(self, bits=change(self.bits))


@dataclass(frozen=True)
class DenseMasks:
    """Masks that are dense already."""

    inside: torch.Tensor
    """bool [M]."""

    def dense(self) -> torch.Tensor:
        """Whether each place is inside: bool [M]."""
        return self.inside

    def map(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "DenseMasks":
        """The same with all tensors changed."""
        return replace(self, inside=change(self.inside))


@dataclass(frozen=True)
class Windows:
    """R windows, cut by `cut_in_bulk` on the device where their tensors lie."""

    images: tuple[torch.Tensor, ...]
    """Pixels row by row, uint8 [p,3] RGB each; P together."""
    masks: FlatMasks
    table: torch.Tensor
    """int64 [R,7]: the index of the window's first pixel among the P; the width of its image; width and height of the
    window; the place of its mask's first pixel among the M, and how many places further the next column and the next
    row are."""
    sizes: tuple[tuple[int, int], ...]
    """Width and height of the windows once more, known without asking the device."""
    thinned: bool
    """Whether masks of sparse windows have the rows and columns alone that are looked at (`resampling.looked_at`)."""

    def __len__(self) -> int:
        return len(self.sizes)

    def select(self, start: int, end: int) -> Self:
        """The windows from `start` to `end`, exclusive, of the same images and masks."""
        return replace(self, table=self.table[start:end], sizes=self.sizes[start:end])

    def to(self, device: torch.device) -> Self:
        """A copy on a device; from pinned memory it is made while the host goes on."""
        return self.map(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Self:
        """A copy in memory that a GPU reads by itself."""
        return self.map(torch.Tensor.pin_memory)

    def map(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Self:
        """The same with all tensors changed."""
        images = tuple(change(image) for image in self.images)
        return replace(self, images=images, masks=self.masks.map(change), table=change(self.table))

    @classmethod
    def of_crops(cls, images: Sequence[np.ndarray], masks: Sequence[np.ndarray], windows: Sequence[Window]) -> Self:
        """One window of each crop.

        Args:
            images: uint8 [H,W,3] RGB, of any sizes.
            masks: bool [H,W], one for each image.
        """
        heights_and_widths = np.array([mask.shape for mask in masks], np.int64).reshape(-1, 2)
        widths = heights_and_widths[:, 1]
        pixels = heights_and_widths.prod(axis=1)
        first_pixels = np.cumsum(pixels) - pixels
        padded = -(-pixels // 8) * 8
        first_places = np.cumsum(padded) - padded
        x0, y0, x1, y1 = np.array(windows, np.int64).reshape(-1, 4).T
        offsets = y0 * widths + x0
        table = (
            first_pixels + offsets, widths, x1 - x0, y1 - y0, first_places + offsets, np.ones_like(widths), widths,
        )  # fmt: skip
        flat = np.concatenate([np.ascontiguousarray(image).reshape(-1, 3) for image in images])
        bits = np.concatenate([np.packbits(mask) for mask in masks])
        return cls(
            (torch.from_numpy(flat),),
            BitMasks(torch.from_numpy(bits)),
            torch.from_numpy(np.stack(table, axis=1)),
            tuple(zip((x1 - x0).tolist(), (y1 - y0).tolist(), strict=True)),
            thinned=False,
        )


@dataclass(frozen=True)
class MaskedWindows:
    """Windows of one image with their masks, as `pack` takes them."""

    image: torch.Tensor
    """uint8 [p,3], on the host or already on a device."""
    runs: Runs
    """Of the masks, in the frame of the image."""
    windows: np.ndarray
    """x0 y0 x1 y1 in pixels, x1 and y1 exclusive, int64 [K,4]; each contains its mask."""


def pack(images: Sequence[MaskedWindows], size: int) -> Windows:
    """The windows of several images, for CLIP inputs of `size` × `size` pixels."""
    table, edges = [], []
    sizes: list[tuple[int, int]] = []
    pixels = places = 0
    for image in images:
        rows, begins, ends, places = _pack_image(image, size, pixels, places)
        table.append(rows)
        edges.append((begins, ends))
        sizes += [(width, height) for width, height in (image.windows[:, 2:] - image.windows[:, :2]).tolist()]
        pixels += len(image.image)
    flat = np.concatenate([begins for begins, _ in edges] + [ends for _, ends in edges]).astype(np.int32)
    return Windows(
        tuple(image.image for image in images),
        EdgeMasks(torch.from_numpy(flat), places),
        torch.from_numpy(np.concatenate(table)),
        tuple(sizes),
        thinned=True,
    )


def _pack_image(
    image: MaskedWindows, size: int, first_pixel: int, first_place: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Rows of the table, begins and ends of runs as places, and the first place that is free after them."""
    runs = image.runs
    x0, y0, x1, y1 = image.windows.T
    widths, heights = x1 - x0, y1 - y0
    kept_widths, kept_heights = (np.minimum(extents, MOST_LOOKED_AT * size) for extents in (widths, heights))
    counts = kept_widths * kept_heights
    first_places = first_place + np.cumsum(counts) - counts
    tops = first_places - x0 * heights  # of the column 0 of the frame
    of_run = [np.repeat(values, np.diff(runs.first)) for values in (y0, heights, tops)]
    begins, ends = (_places(positions, runs.height, *of_run) for positions in (runs.begins, runs.ends))
    for index in np.flatnonzero(counts < widths * heights).tolist():
        own = slice(runs.first[index], runs.first[index + 1])
        for edges in (begins, ends):
            within = edges[own] - first_places[index]
            edges[own] = first_places[index] + _thinned(within, int(widths[index]), int(heights[index]), size)
    table = (
        first_pixel + y0 * runs.width + x0, np.full_like(x0, runs.width), widths, heights,
        first_places, kept_heights, np.ones_like(x0),
    )  # fmt: skip
    return np.stack(table, axis=1), begins, ends, first_place + int(counts.sum())


def _places(
    positions_N: np.ndarray, height: int, y0_N: np.ndarray, heights_N: np.ndarray, tops_N: np.ndarray
) -> np.ndarray:
    """Positions in a frame → places in windows that contain the masks, down their columns."""
    columns_N = positions_N // height
    rows_N = positions_N - columns_N * height - y0_N
    # What ends at the bottom of a column ends at the top of the next one.
    rows_N = np.minimum(np.maximum(rows_N, 0, out=rows_N), heights_N, out=rows_N)
    return tops_N + columns_N * heights_N + rows_N


def _thinned(places_N: np.ndarray, width: int, height: int, size: int) -> np.ndarray:
    """How many of the places before these lie in rows and columns that are looked at."""
    columns, rows = (_looked_at(extent, size) for extent in (width, height))
    column_N, row_N = np.divmod(places_N, height)
    before_N = np.searchsorted(columns, column_N)
    here_N = np.isin(column_N, columns)
    return before_N * len(rows) + here_N * np.searchsorted(rows, row_N)


def _looked_at(extent: int, size: int) -> np.ndarray:
    if not is_sparse(extent, size):
        return np.arange(extent)
    return looked_at(torch.tensor([extent]), size)[0].numpy()
