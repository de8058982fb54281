"""All windows of a batch → CLIP inputs in a few operations, whatever their number: for GPUs.

What `one_by_one` does with OpenCV. The cost follows the S pixels of each row that is looked at, not the frame.

Shape suffixes: R windows, S the side of the CLIP input, N rows of all windows that are looked at, P pixels of images,
M places of masks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F  # noqa: N812

from pipeline.regions.clip_input import ClipInput
from pipeline.regions.config import Fill
from pipeline.regions.normalising import blank_colour, mean_and_std
from pipeline.regions.resampling import MOST_LOOKED_AT, cubic_taps, is_sparse, nearest
from pipeline.regions.windows import Windows

_ROW_PIXELS = 2**24
"""N·S of what is resized at a time: 0.6 GB in between."""


@dataclass(frozen=True)
class _Axis:
    """Where the outputs look along one axis of the windows, from the start of the window."""

    taps: torch.Tensor
    weights: torch.Tensor
    sampled: torch.Tensor
    kept_taps: torch.Tensor
    """`taps` among the rows (or columns) that are looked at, which are fewer in sparse windows."""
    kept_sampled: torch.Tensor

    def halves(self) -> tuple[Self, Self]:
        """The first and the second half of the windows."""
        first, second = zip(*(tensor.tensor_split(2) for tensor in vars(self).values()), strict=True)
        return type(self)(*first), type(self)(*second)

    @classmethod
    def of(cls, extents_R: torch.Tensor, size: int, any_sparse: bool) -> Self:
        """With `any_sparse` False, no window has more rows (or columns) than are looked at."""
        taps_RS4, weights_RS4 = cubic_taps(extents_R, size)
        nearest_RS = nearest(extents_R, size)
        if not any_sparse:
            return cls(taps_RS4, weights_RS4, nearest_RS, taps_RS4, nearest_RS)
        sparse_R1 = extents_R[:, None] > MOST_LOOKED_AT * size
        kept_S = torch.arange(size, device=extents_R.device) * MOST_LOOKED_AT
        kept_S4 = kept_S[:, None] + torch.arange(1, 5, device=extents_R.device)
        return cls(
            taps_RS4,
            weights_RS4,
            nearest_RS,
            torch.where(sparse_R1[..., None], kept_S4, taps_RS4),
            torch.where(sparse_R1, kept_S, nearest_RS),
        )


def cut_in_bulk(
    windows: Windows, clip_input: ClipInput, fill: Fill, *, with_masks: bool = True
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Blank outside the masks, normalise, crop and resize (bicubic; masks nearest): see `masked_regions`.

    Returns:
        pixels float32 [R,3,S,S], channels last in memory; masks bool [R,1,S,S], None if they are not asked for; on the
        device of the windows.
    """
    size, device = clip_input.size, windows.table.device
    mean_3, std_3 = mean_and_std(clip_input, device)
    source = _Source(
        torch.cat(windows.images).to(torch.float32).sub_(mean_3).div_(std_3),
        windows.masks.dense(),
        blank_colour(clip_input, fill, device),
    )
    parts = [_cut(part, source, size, with_masks) for part in _parts(windows, size)]
    if len(parts) == 1:
        return parts[0]
    pixels, masks = zip(*parts, strict=True)
    return torch.cat(pixels), torch.cat(masks) if with_masks else None


def _parts(windows: Windows, size: int) -> Iterator[Windows]:
    """Windows one after the other, with a bounded number of rows together."""
    start = rows = 0
    for index, (_, height) in enumerate(windows.sizes):
        more = min(height, MOST_LOOKED_AT * size)
        if rows and (rows + more) * size > _ROW_PIXELS:
            yield windows.select(start, index)
            start, rows = index, 0
        rows += more
    yield windows.select(start, len(windows))


class _Source(NamedTuple):
    """What all windows are cut from."""

    pixels: torch.Tensor
    """Of all images, normalised, float32 [P,3]."""
    inside: torch.Tensor
    blank: torch.Tensor | None
    """The colour outside of masks, normalised, float32 [3]."""


def _cut(windows: Windows, source: _Source, size: int, with_masks: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
    first_pixel_R, image_width_R, width_R, height_R, first_place_R, column_step_R, row_step_R = windows.table.unbind(1)
    sparse_x, sparse_y = (any(is_sparse(extents[axis], size) for extents in windows.sizes) for axis in (0, 1))
    x, y = _Axis.of(torch.cat([width_R, height_R]), size, sparse_x or sparse_y).halves()
    place_taps_RS4 = (x.kept_taps if windows.thinned else x.taps) * column_step_R[:, None, None]

    # The rows that are looked at, of all windows.
    count = sum(min(height, MOST_LOOKED_AT * size) for _, height in windows.sizes)
    rows_R = height_R.clamp(max=MOST_LOOKED_AT * size)
    first_row_R = rows_R.cumsum(0) - rows_R
    window_N = torch.repeat_interleave(rows_R, output_size=count)
    of_window = torch.stack([first_row_R, first_pixel_R, image_width_R, first_place_R, row_step_R], dim=1)[window_N]
    first_row_N1, first_pixel_N1, image_width_N1, first_place_N1, row_step_N1 = of_window.split(1, dim=1)
    kept_N1 = torch.arange(count, device=rows_R.device)[:, None] - first_row_N1
    row_N1 = kept_N1
    if sparse_y:
        looked_at_RX = torch.cat([y.sampled[..., None], y.taps], dim=-1).flatten(1)
        of_sparse_N1 = looked_at_RX[window_N[:, None], kept_N1]
        row_N1 = torch.where((rows_R < height_R)[window_N, None], of_sparse_N1, kept_N1)
    pixel_N1 = first_pixel_N1 + row_N1 * image_width_N1
    place_N1 = first_place_N1 + (kept_N1 if windows.thinned else row_N1) * row_step_N1

    resized_NS3 = source.pixels.new_zeros((count, size, 3))
    for taps_RS, place_taps_RS, weights_RS1 in zip(
        x.taps.unbind(-1), place_taps_RS4.unbind(-1), x.weights.split(1, dim=-1), strict=True
    ):
        colours_NS3 = source.pixels[pixel_N1 + taps_RS[window_N]]
        if source.blank is not None:
            inside_NS = source.inside[place_N1 + place_taps_RS[window_N]]
            colours_NS3 = torch.where(inside_NS[..., None], colours_NS3, source.blank)
        resized_NS3.addcmul_(colours_NS3, weights_RS1[window_N])
    rows_RS4 = first_row_R[:, None, None] + y.kept_taps
    pixels_RSS3 = F.embedding_bag(
        rows_RS4.view(-1, 4), resized_NS3.flatten(1), per_sample_weights=y.weights.reshape(-1, 4), mode="sum"
    ).view(-1, size, size, 3)

    masks = None
    if with_masks:
        across, down = (x.kept_sampled, y.kept_sampled) if windows.thinned else (x.sampled, y.sampled)
        places_RS = first_place_R[:, None] + down * row_step_R[:, None]
        masks = source.inside[places_RS[..., None] + (across * column_step_R[:, None])[:, None]][:, None]
    return pixels_RSS3.permute(0, 3, 1, 2), masks
