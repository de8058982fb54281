"""Binary masks as run-length codes: COCO's compressed RLE, through pycocotools.

Masks travel between the stages as `Rle`, the `counts` bytes of COCO's compressed run-length code:
runs of zeros and ones in column-major order. The code does not say how large its frame is, so
(height, width) is kept beside it: in `Masks`, or in the row of a table. Every function here checks
that the runs fill exactly the frame it is given: pycocotools itself does not, and would answer with
a sheared mask. Height and width swapped cannot be told apart. `Masks` has checked its codes when it
was made, and says so with `checked`.
"""

from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask

Rle = bytes


def encode(masks: np.ndarray) -> list[Rle]:
    """Run-length codes of masks, bool or uint8 [K, H, W]; pixels that are not 0 are in the mask.

    Raises:
        ValueError: the array does not have three dimensions, or has another type.
    """
    if masks.ndim != 3 or masks.dtype not in (np.bool_, np.uint8):
        raise ValueError(f"masks must be bool or uint8 [K, H, W], got {masks.dtype} {masks.shape}")
    if not len(masks):
        return []
    pixels = np.asfortranarray((masks != 0).transpose(1, 2, 0), dtype=np.uint8)
    return [code["counts"] for code in coco_mask.encode(pixels)]


def decode(rles: Sequence[Rle], height: int, width: int, *, checked: bool = False) -> np.ndarray:
    """Masks of 0 and 1, uint8 [K, height, width], C-contiguous.

    Raises:
        ValueError: a code is of another frame.
    """
    codes = _codes(rles, height, width, checked)
    if not codes:
        return np.zeros((0, height, width), np.uint8)
    return np.ascontiguousarray(coco_mask.decode(codes).transpose(2, 0, 1))


def areas(rles: Sequence[Rle], height: int, width: int) -> np.ndarray:
    """Pixels in each mask, int64 [K].

    Raises:
        ValueError: a code is of another frame.
    """
    # Not coco_mask.area: with NumPy 2 it fails on more than 255 masks (pycocotools 2.0.11).
    return np.array([_checked_runs(rle, height, width)[1::2].sum() for rle in rles], np.int64)


def boxes(rles: Sequence[Rle], height: int, width: int, *, checked: bool = False) -> np.ndarray:
    """Tight boxes x0, y0, x1, y1 in pixels, x1 and y1 exclusive, int32 [K, 4]; zeros if empty.

    Raises:
        ValueError: a code is of another frame.
    """
    codes = _codes(rles, height, width, checked)
    if not codes:
        return np.zeros((0, 4), np.int32)
    result = coco_mask.toBbox(codes).astype(np.int32)
    result[:, 2:] += result[:, :2]
    return result


def iou(a: Sequence[Rle], b: Sequence[Rle], height: int, width: int, *, checked: bool = False) -> np.ndarray:
    """Intersection over union of every mask of `a` with every mask of `b`, float32 [A, B].

    0 where both are empty.

    Raises:
        ValueError: a code is of another frame.
    """
    codes_a, codes_b = _codes(a, height, width, checked), _codes(b, height, width, checked)
    if not codes_a or not codes_b:
        return np.zeros((len(codes_a), len(codes_b)), np.float32)
    return coco_mask.iou(codes_a, codes_b, [False] * len(codes_b)).astype(np.float32)


def run_lengths(rle: Rle) -> np.ndarray:
    """The runs of zeros, ones, zeros, … in column-major order, int64 [R].

    COCO writes each run from the fourth on as its difference to the run two before, as signed 5-bit
    groups, lowest first, one character (+48) each, with bit 5 set where another group follows.

    Raises:
        ValueError: the bytes are not such a code.
    """
    groups = np.frombuffer(rle, np.uint8).astype(np.int64) - 48
    last = (groups & 0x20) == 0
    if not len(groups) or groups.min() < 0 or groups.max() > 63 or not last[-1]:
        raise ValueError(f"not a COCO run-length code: {bytes(rle[:40])!r}")
    ends = np.flatnonzero(last)
    starts = np.concatenate([[0], ends[:-1] + 1])
    digits = np.arange(len(groups)) - np.repeat(starts, ends - starts + 1)
    if digits.max() > 11:  # 60 bits: longer than any image, and about to overflow
        raise ValueError(f"not a COCO run-length code: {bytes(rle[:40])!r}")
    differences = np.add.reduceat((groups & 0x1F) << (5 * digits), starts)
    negative = (groups[ends] & 0x10) != 0
    differences[negative] -= np.int64(1) << (5 * (digits[ends][negative] + 1))
    runs = differences
    # Run 2 is written as it is, run 3 refers to run 1, run 4 to run 2, …; two interleaved sums.
    runs[1::2] = np.cumsum(differences[1::2])
    runs[2::2] = np.cumsum(differences[2::2])
    if runs.min() < 0:
        raise ValueError(f"not a COCO run-length code: {bytes(rle[:40])!r}")
    return runs


def _codes(rles: Sequence[Rle], height: int, width: int, checked: bool) -> list[dict]:
    if not checked:
        for rle in rles:
            _checked_runs(rle, height, width)
    return [{"size": [height, width], "counts": bytes(rle)} for rle in rles]


def _checked_runs(rle: Rle, height: int, width: int) -> np.ndarray:
    runs = run_lengths(rle)
    pixels = int(runs.sum())
    if pixels != height * width:
        raise ValueError(
            f"a run-length code of {pixels} pixels does not fill a frame of height {height} × "
            f"width {width} = {height * width} pixels"
        )
    return runs
