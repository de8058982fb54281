"""How much two masks overlap, for many pairs of masks at once: each pair is of an image of its own.

Nothing is decoded into pixels. All runs of all pairs go through each operation together, a few million at a time.

Shape suffixes: K pairs; N runs of all masks of one side, those of a pair after those of the one before.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.masks.runs import runs_of_frames


@dataclass(frozen=True)
class FramedMasks:
    """K masks, each in a frame of its own."""

    rles: Sequence[bytes]
    """COCO's run-length codes."""
    heights: np.ndarray
    """Of the frames, int64 [K], pixels."""
    widths: np.ndarray
    """Of the frames, int64 [K], pixels."""


@dataclass(frozen=True)
class _Runs:
    begins: np.ndarray
    """int64 [N]."""
    ends: np.ndarray
    """int64 [N]."""
    first: np.ndarray
    """Where the runs of each mask begin, int64 [K+1]."""

    @property
    def which(self) -> np.ndarray:
        """The mask of each run, int64 [N]."""
        return np.repeat(np.arange(len(self.first) - 1), np.diff(self.first))


def iou_of_pairs(one: FramedMasks, other: FramedMasks) -> np.ndarray:
    """Intersection over union of mask k of `one` with mask k of `other`, float32 [K]; 0 where both are empty.

    Where the two frames of a pair have different sizes, the mask of the frame with fewer pixels is scaled up to the
    other one (nearest neighbour: pixel x of W takes pixel ⌊(x + ½) · w / W⌋ of w).

    Raises:
        ValueError: a code is none, or does not fill its frame.
    """
    runs = [_Runs(*runs_of_frames(masks.rles, masks.heights, masks.widths)) for masks in (one, other)]
    heights, widths = one.heights.copy(), one.widths.copy()
    differ = (one.heights != other.heights) | (one.widths != other.widths)
    if differ.any():
        larger = differ & (other.heights * other.widths > heights * widths)
        heights[larger], widths[larger] = other.heights[larger], other.widths[larger]
        runs = [_scaled(own, masks, heights, widths) for own, masks in zip(runs, (one, other), strict=True)]
    # One line of positions for all pairs, so that one search finds what all runs meet.
    offsets = np.append(0, np.cumsum(heights * widths))[:-1]
    first, second = (_moved(own, offsets) for own in runs)
    areas, other_areas = (_sums(own.ends - own.begins, own.first) for own in runs)
    if len(first.begins) > len(second.begins):
        first, second = second, first
    intersections = _sums(_covered(second, first.ends) - _covered(second, first.begins), first.first)
    unions = (areas + other_areas - intersections).astype(np.float64)
    return np.divide(intersections, unions, out=np.zeros_like(unions), where=unions > 0).astype(np.float32)


def _moved(runs: _Runs, offsets: np.ndarray) -> _Runs:
    """The runs of each mask at its offset, int64 [K]."""
    offsets_N = offsets[runs.which]
    return _Runs(runs.begins + offsets_N, runs.ends + offsets_N, runs.first)


def _covered(runs: _Runs, positions: np.ndarray) -> np.ndarray:
    """Pixels of the runs before each position, int64, as many as positions."""
    if not len(runs.begins):
        return np.zeros(len(positions), np.int64)
    before = np.append(0, np.cumsum(runs.ends - runs.begins))
    last = np.searchsorted(runs.begins, positions, side="right") - 1
    inside = np.minimum(positions, runs.ends[last]) - runs.begins[last]
    return np.where(last < 0, 0, before[last] + inside)


def _sums(values_N: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Sums over the runs of each mask, int64 [K]."""
    return np.diff(np.append(0, np.cumsum(values_N))[first])


def _scaled(runs: _Runs, masks: FramedMasks, heights: np.ndarray, widths: np.ndarray) -> _Runs:
    """The runs of the masks scaled to frames of other sizes; those of masks whose frame stays are as they are."""
    which = runs.which
    changes_N = (masks.heights != heights)[which] | (masks.widths != widths)[which]
    which_c, begins, ends = which[changes_N], runs.begins[changes_N], runs.ends[changes_N]
    # Each run as its pieces in single columns.
    height = masks.heights[which_c]
    columns = begins // height
    pieces = (ends - 1) // height - columns + 1
    which_p, x = np.repeat(which_c, pieces), np.repeat(columns, pieces) + _counted(pieces)
    height_p = masks.heights[which_p]
    top = np.maximum(np.repeat(begins, pieces) - x * height_p, 0)
    bottom = np.minimum(np.repeat(ends, pieces) - x * height_p, height_p)
    top, bottom = (_first_at_or_after(edge, height_p, heights[which_p]) for edge in (top, bottom))
    # Each piece in all columns of the other frame that show its own.
    left, right = (_first_at_or_after(edge, masks.widths[which_p], widths[which_p]) for edge in (x, x + 1))
    times = np.where(bottom > top, right - left, 0)
    which_s, x = np.repeat(which_p, times), np.repeat(left, times) + _counted(times)
    top, bottom = (np.repeat(edge, times) + x * heights[which_s] for edge in (top, bottom))
    which_all = np.concatenate([which[~changes_N], which_s])
    begins_all = np.concatenate([runs.begins[~changes_N], top])
    ends_all = np.concatenate([runs.ends[~changes_N], bottom])
    order = np.lexsort((begins_all, which_all))
    first = np.append(0, np.cumsum(np.bincount(which_all, minlength=len(heights))))
    return _Runs(begins_all[order], ends_all[order], first)


def _counted(counts: np.ndarray) -> np.ndarray:
    """0 … c - 1 for each count c, one after the other."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)


def _first_at_or_after(edge: np.ndarray, length: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The first of `wanted` pixels that takes pixel `edge` of `length` or a later one: ⌈edge · wanted / length - ½⌉."""
    return -((length - 2 * edge * wanted) // (2 * length))
