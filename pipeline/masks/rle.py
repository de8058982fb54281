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

from pipeline.masks.runs import decode_runs

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
    return decode_runs(rles, height, width).areas()


def boxes(rles: Sequence[Rle], height: int, width: int) -> np.ndarray:
    """Tight boxes x0, y0, x1, y1 in pixels, x1 and y1 exclusive, int64 [K, 4]; zeros if empty.

    Raises:
        ValueError: a code is of another frame.
    """
    return decode_runs(rles, height, width).boxes()


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


def _codes(rles: Sequence[Rle], height: int, width: int, checked: bool) -> list[dict]:
    if not checked:
        decode_runs(rles, height, width)
    return [{"size": [height, width], "counts": bytes(rle)} for rle in rles]
