"""Which pixels of a window each pixel of a CLIP input looks at: cubic convolution, and nearest for masks.

Shape suffixes: R windows, S the side of the CLIP input.
"""

import torch

_A = -0.75  # of the cubic convolution (Keys 1981); that of OpenCV and torch

MOST_LOOKED_AT = 5
"""Rows (or columns) of a window that one row (or column) of a CLIP input looks at: four for the bicubic filter, and one
for the mask."""


def cubic_taps(extents_R: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Bicubic along one axis, at pixel centres, without antialias; the edges are repeated.

    Weights are computed in double precision, as OpenCV computes them: in single precision a position in a window of 640
    pixels is good to 1/30,000 pixel, which noisy images show.

    Args:
        extents_R: widths or heights of windows, int64 pixels.
        size: S.

    Returns:
        the four pixels that each output looks at, int64 [R,S,4] from the start of the window, and their weights,
        float32 [R,S,4].
    """
    centres_S = torch.arange(size, dtype=torch.float64, device=extents_R.device) + 0.5
    positions_RS = centres_S * (extents_R[:, None].double() / size) - 0.5
    floors_RS = positions_RS.floor()
    x = positions_RS - floors_RS
    before = ((_A * (x + 1) - 5 * _A) * (x + 1) + 8 * _A) * (x + 1) - 4 * _A
    left = ((_A + 2) * x - (_A + 3)) * x * x + 1
    y = 1 - x
    right = ((_A + 2) * y - (_A + 3)) * y * y + 1
    weights_RS4 = torch.stack([before, left, right, 1 - before - left - right], dim=-1).float()
    taps_RS4 = floors_RS.long()[..., None] + torch.arange(-1, 3, device=extents_R.device)
    return taps_RS4.clamp_(min=0).minimum(extents_R[:, None, None] - 1), weights_RS4


def nearest(extents_R: torch.Tensor, size: int) -> torch.Tensor:
    """The pixel that each output takes, int64 [R,S], as `F.interpolate(mode="nearest")` chooses it."""
    outputs_S = torch.arange(size, dtype=torch.float32, device=extents_R.device)
    scales_R1 = extents_R[:, None].float() / size
    return (outputs_S * scales_R1).floor().long().minimum(extents_R[:, None] - 1)


def is_sparse(extent: int, size: int) -> bool:
    """Whether a window has more rows (or columns) than are looked at; those of different outputs are then different."""
    return extent > MOST_LOOKED_AT * size


def looked_at(extents_R: torch.Tensor, size: int) -> torch.Tensor:
    """Rows (or columns) of sparse windows that are looked at, ascending: of each output that for the mask, then those
    for the bicubic filter; int64 [R,5·S].
    """
    taps_RS4, _ = cubic_taps(extents_R, size)
    return torch.cat([nearest(extents_R, size)[..., None], taps_RS4], dim=-1).flatten(1)
