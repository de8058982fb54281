"""Where the pixels of an image lie between the values of a soft mask that covers it.

Pixel p of P on an axis of n values lies at (p + 0.5) · n / P − 0.5; beyond the outermost values all is as they are, for
which an axis has one value more on each side here. So every pixel lies between two values: in a gap.

Shape suffixes: G gaps of an axis, W columns of the image, C columns in a gap, R rows in a gap.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch


@dataclass(frozen=True)
class PixelGrid:
    """The pixels in the gaps between columns and between rows, as many for each as the fullest gap has."""

    height: int
    """Of the image."""
    width: int
    """Of the image."""
    gaps: torch.Tensor
    """The gap that each column of the image lies in, int64 [W]."""
    shares: torch.Tensor
    """How far each column is from one value to the next, float32 [W]."""
    column_shares: torch.Tensor
    """The same by gaps, float32 [C,G]; not a number where there are no more columns."""
    first_tops: torch.Tensor
    """The position of the top of the first column in each gap, down the columns, int64 [G]."""
    tops: torch.Tensor
    """From there to the tops of all columns in a gap, int64 [C,1]."""
    row_shares: torch.Tensor
    """How far each row is from one value to the next, float32 [R,G]; 1 where there are no more."""
    first_rows: torch.Tensor
    """The first row in each gap, int64 [G]."""
    corners: torch.Tensor
    """From the index of a value to itself, that below, that to the right and the one below that, int64 [2,2,1]."""

    @property
    def columns_of_a_cell(self) -> int:
        """C."""
        return len(self.column_shares)

    @property
    def pixels_of_a_cell(self) -> int:
        """C · R."""
        return len(self.row_shares) * len(self.column_shares)

    @property
    def stride(self) -> int:
        """Positions of a frame, with the one behind the last pixel."""
        return self.height * self.width + 1


@lru_cache(maxsize=64)  # mostly, images of few sizes come
def pixel_grid(rows: int, columns: int, height: int, width: int, device: torch.device) -> PixelGrid:
    """The grid of an image for soft masks of a size.

    Args:
        rows: of the soft mask, at most `height`.
        columns: of the soft mask.
        height: of the image.
        width: of the image.
        device: for the tensors.
    """
    gaps_W, shares_W = _gaps(columns, width)
    first_columns_G, column_shares_CG = _by_gap(gaps_W, shares_W, columns + 1, math.nan)
    first_rows_G, row_shares_RG = _by_gap(*_gaps(rows, height), rows + 1, 1)
    tops_C1 = np.arange(len(column_shares_CG))[:, None] * height
    corners_221 = np.array([[[0], [columns + 2]], [[1], [columns + 3]]])
    tables = (
        gaps_W, shares_W, column_shares_CG, first_columns_G * height, tops_C1, row_shares_RG, first_rows_G,
        corners_221,
    )  # fmt: skip
    return PixelGrid(height, width, *(torch.from_numpy(table).to(device) for table in tables))


def centres(values: int, pixels: int) -> np.ndarray:
    """Where the pixels lie on an axis of values, float32 [pixels]; from less than 0 to more than values − 1."""
    numbers = np.arange(pixels, dtype=np.float32)
    return (numbers + np.float32(0.5)) * np.float32(values / pixels) - np.float32(0.5)


def _gaps(values: int, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """The gap of each pixel, int64, and how far it is from one value to the next, float32."""
    places = centres(values, pixels)
    before = np.clip(np.floor(places), -1, values - 1)
    return before.astype(np.int64) + 1, places - before


def _by_gap(gaps: np.ndarray, shares: np.ndarray, count: int, none: float) -> tuple[np.ndarray, np.ndarray]:
    """The first pixel of each gap, int64 [G], and the shares of all its pixels, float32 [most,G]."""
    first = np.searchsorted(gaps, np.arange(count + 1))
    pixels = first[:-1] + np.arange(np.diff(first).max())[:, None]
    padded = np.append(shares, np.float32(none))
    return first[:-1], padded[np.where(pixels < first[1:], pixels, len(shares))]
