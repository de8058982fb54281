"""Soft masks → the runs of the masks that they are at the resolution of the image, without an image of them.

Between two rows of a soft mask, each column of the image goes from one value to another and so crosses a level once at
most. Such crossings are where runs begin and end. They are looked for only between those four neighbours of which not
all are on one side of the level: there are few where masks are smooth. All masks go through each operation together.

A pixel is inside if its value, interpolated along the row, then down the column, in float32, is above the level.

Shape suffixes: Q masks, h×w their resolution and one more value on each side, H×W the image, N cells of four
neighbours, C columns of the image in a cell, R its rows, M crossings.
"""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from pipeline.masks.flags import is_above, places
from pipeline.masks.pixel_grid import PixelGrid, centres, pixel_grid
from pipeline.masks.runs import Runs

# Most values, most pixels of cells that are looked at together, and about the most crossings that are held.
_PIXELS = {"cpu": 2**22, "cuda": 2**27}


def upsampled_runs(mask_logits: torch.Tensor, height: int, width: int, level: float) -> Iterator[Runs]:
    """The runs of the pixels above `level`, as bilinear interpolation at pixel centres gives them.

    From a GPU only the positions where runs begin and end are copied, those of many masks at once.

    Args:
        mask_logits: float [Q,rows,columns] on any device, finite, covering the whole image.
        height: of the image.
        width: of the image.

    Returns:
        the runs of the first masks, of the next ones, …; of all of them at once unless they are large or noisy.
    """
    limit = _PIXELS.get(mask_logits.device.type, _PIXELS["cpu"])
    waiting = [mask_logits] if len(mask_logits) else []
    while waiting:
        part = waiting.pop()
        halves = reversed(part.split((len(part) + 1) // 2))
        if len(part) > 1 and part.numel() > limit:
            waiting += halves
            continue
        # Pixels beyond the outermost values are like these.
        masks_Qhw = F.pad(_fewer_rows(part.float(), height), (1, 1, 1, 1), mode="replicate")
        grid = pixel_grid(masks_Qhw.shape[1] - 2, masks_Qhw.shape[2] - 2, height, width, masks_Qhw.device)
        cells_N3 = places(_mixed(is_above(masks_Qhw, level)))
        if len(part) > 1 and len(cells_N3) * grid.columns_of_a_cell > limit:
            waiting += halves
            continue
        at_once = max(1, limit // grid.pixels_of_a_cell)
        edges = [_crossings(masks_Qhw, some_N3, level, grid) for some_N3 in cells_N3.split(at_once)]
        yield _runs(torch.cat(edges).cpu().numpy(), _tops_and_bottoms(masks_Qhw, level, grid), grid)


def _fewer_rows(masks_Qhw: torch.Tensor, height: int) -> torch.Tensor:
    """The masks as they are, or at the rows of an image that has fewer: not each of their values shows in it."""
    rows = masks_Qhw.shape[1]
    if rows <= height:
        return masks_Qhw
    rows_H = torch.from_numpy(centres(rows, height)).to(masks_Qhw.device).clamp(0, rows - 1)
    above = rows_H.long()
    below = (above + 1).clamp(max=rows - 1)
    return torch.lerp(masks_Qhw[:, above], masks_Qhw[:, below], (rows_H - above)[:, None])


def _mixed(inside_Qhw: torch.Tensor) -> torch.Tensor:
    """The cells whose four corners are not alike: anything but 0, uint8 [Q,h-1,w-1]."""
    quarters_Qhw = inside_Qhw.view(torch.uint8) * 64
    pairs_Qhw = quarters_Qhw[:, :-1] + quarters_Qhw[:, 1:]
    return pairs_Qhw[..., :-1] + pairs_Qhw[..., 1:]  # four quarters of 256 are 0


def _crossings(masks_Qhw: torch.Tensor, cells_N3: torch.Tensor, level: float, grid: PixelGrid) -> torch.Tensor:
    """Positions of the edges inside of columns, int64 [M], in any order; mask q's begin at q · `grid.stride`."""
    mask_N, row_N, column_N = cells_N3.unbind(1)
    _, height, width = masks_Qhw.shape
    corner_N = torch.add(torch.add(column_N, row_N, alpha=width), mask_N, alpha=height * width)
    left_2N, right_2N = masks_Qhw.take(grid.corners + corner_N)
    column_shares_C1N = grid.column_shares.index_select(1, column_N)[:, None]
    above_CN, below_CN = torch.lerp(left_2N, right_2N, column_shares_C1N).unbind(1)
    row_shares_R1N = grid.row_shares.index_select(1, row_N)[:, None]
    inside_RCN = is_above(torch.lerp(above_CN, below_CN, row_shares_R1N), level)
    from_CN, to_CN = is_above(above_CN, level), is_above(below_CN, level)
    # The edge is where those pixels end that are as the value above. Bytes are summed many times as fast as flags.
    passed_RCN = (inside_RCN ^ to_CN).view(torch.uint8)
    passed_CN = passed_RCN.sum(dim=0, dtype=torch.uint8 if len(passed_RCN) < 256 else torch.int64)
    first_N = torch.add(grid.first_rows[row_N] + grid.first_tops[column_N], mask_N, alpha=grid.stride)
    return (passed_CN + grid.tops + first_N)[from_CN ^ to_CN]


def _tops_and_bottoms(masks_Qhw: torch.Tensor, level: float, grid: PixelGrid) -> np.ndarray:
    """Whether the first and the last pixel of each column are inside, bool [Q,2,W]."""
    pairs_Q2w2 = masks_Qhw[:, :: masks_Qhw.shape[1] - 1].unfold(2, 2, 1)
    left_Q2W, right_Q2W = pairs_Q2w2[:, :, grid.gaps].unbind(3)
    return is_above(torch.lerp(left_Q2W, right_Q2W, grid.shares), level).cpu().numpy()


def _runs(crossings_M: np.ndarray, inside_Q2W: np.ndarray, grid: PixelGrid) -> Runs:
    """The runs between the edges inside of columns, in any order, and those between columns."""
    count, _, width = inside_Q2W.shape
    between = np.zeros((count, width + 1), bool)
    between[:, :-1] = inside_Q2W[:, 0]
    between[:, 1:] ^= inside_Q2W[:, 1]
    which, column = np.nonzero(between)
    edges = np.sort(np.concatenate([crossings_M, which * grid.stride + column * grid.height]))
    same = edges[1:] == edges[:-1]
    if same.any():  # two edges at one position are none: a run between them would not have a pixel
        starts = np.flatnonzero(np.append(True, ~same))
        edges = edges[starts[np.diff(starts, append=len(edges)) % 2 == 1]]
    offsets = np.arange(count + 1) * grid.stride
    first = np.searchsorted(edges, offsets)  # even: what begins has an end
    edges -= np.repeat(offsets[:-1], np.diff(first))
    return Runs(np.ascontiguousarray(edges[::2]), np.ascontiguousarray(edges[1::2]), first // 2, grid.height, width)
