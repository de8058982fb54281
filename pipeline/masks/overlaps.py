"""Which masks of a frame overlap more than a limit: exactly, but seldom by comparing them.

Shape suffixes: R masks, C masks they are compared with.
"""

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from pipeline.masks.masks import Masks
from pipeline.masks.runs import Runs

_MOST_BYTES_OF_BITS = 2**27


def iou_of_counts(intersections_RC: np.ndarray, areas_R: np.ndarray, areas_C: np.ndarray) -> np.ndarray:
    """Intersection over union, float32 [R,C], from counts of pixels; 0 where both are empty.

    The float32 of the double quotient: what pycocotools gives.
    """
    unions_RC = areas_R[:, None].astype(np.float64) + areas_C - intersections_RC
    return np.divide(intersections_RC, unions_RC, out=np.zeros_like(unions_RC), where=unions_RC > 0).astype(np.float32)


class Overlaps:
    """Tells of pairs of masks whether their IoU is above a limit."""

    def __init__(self, masks: Masks, max_iou: float) -> None:
        self._masks = masks
        self._limit = np.float32(max_iou)
        self._runs = masks.runs()
        self._boxes = self._runs.boxes()
        self._codes = [{"size": list(masks.size), "counts": code} for code in masks]
        self._bits: dict[int, np.ndarray] = {}

    def above(self, rows: np.ndarray, columns: np.ndarray, asked_RC: np.ndarray) -> np.ndarray:
        """Whether the IoU of the pairs that are asked for is above the limit, bool [R,C]; False for the others.

        Args:
            rows: indices of masks.
            columns: indices of masks.
            asked_RC: bool.
        """
        areas_R, areas_C = self._masks.areas[rows], self._masks.areas[columns]
        # Two masks have no more in common than their boxes, nor than the smaller one has.
        most_RC = np.minimum(_common(self._boxes[rows], self._boxes[columns]), np.minimum(areas_R[:, None], areas_C))
        above_RC = asked_RC & (iou_of_counts(most_RC, areas_R, areas_C) > self._limit)
        if not above_RC.any():
            return above_RC
        compared = np.concatenate([rows[above_RC.any(axis=1)], columns[above_RC.any(axis=0)]])
        if self._bits_are_quicker(rows, columns, above_RC, len(np.unique(compared))):
            self._keep_bits(compared)
            iou = self._iou_of_bits
        else:
            iou = self._iou_of_codes
        for row, index in enumerate(rows.tolist()):
            if len(which := np.flatnonzero(above_RC[row])):
                above_RC[row, which] = iou(index, columns[which]) > self._limit
        return above_RC

    def _bits_are_quicker(self, rows: np.ndarray, columns: np.ndarray, pairs_RC: np.ndarray, masks: int) -> bool:
        """Whether pairs are better compared by the bits of their masks than by their codes, as those of noise are.

        Measured: 4 ns for a character of a code, 1 ns for 64 bits of a pair, and 0.5 ns for a pixel that becomes a bit.
        """
        pixels = self._masks.height * self._masks.width
        lengths = np.array([len(code) for code in self._masks])
        characters = pairs_RC.sum(axis=1) @ lengths[rows] + pairs_RC.sum(axis=0) @ lengths[columns]
        bits = pairs_RC.sum() * (pixels // 64) + masks * pixels // 2
        return bits < 4 * characters and masks * pixels // 8 <= _MOST_BYTES_OF_BITS

    def _iou_of_codes(self, index: int, others: np.ndarray) -> np.ndarray:
        codes = [self._codes[other] for other in others.tolist()]
        return coco_mask.iou([self._codes[index]], codes, [False] * len(codes))[0].astype(np.float32)

    def _iou_of_bits(self, index: int, others: np.ndarray) -> np.ndarray:
        bits, areas, area = self._bits[index], self._masks.areas[others], self._masks.areas[index]
        different = [cv2.norm(bits, self._bits[other], cv2.NORM_HAMMING) for other in others.tolist()]
        return iou_of_counts((area + areas - np.array(different))[None] / 2, np.array([area]), areas)[0]

    def _keep_bits(self, indices: np.ndarray) -> None:
        """Have the bits of these masks, and of no others."""
        had, self._bits = self._bits, {}
        for index in set(indices.tolist()):
            self._bits[index] = had[index] if index in had else _bits(self._runs.select(index, index + 1))


def _bits(runs: Runs) -> np.ndarray:
    """The pixels of one mask down the columns, as bits; uint8, as many as fill words of 64 bits."""
    edges = np.zeros(-(-(runs.height * runs.width + 1) // 64) * 64, np.uint8)
    edges[runs.begins] = 1
    edges[runs.ends] ^= 1  # where another run begins at once, there is none
    words = np.packbits(edges, bitorder="little").view("<u8")
    # A bit is set where the edges up to it are odd in number: first within each word, then with all words before.
    for shift in (1, 2, 4, 8, 16, 32):
        words ^= words << np.uint64(shift)
    odd = np.bitwise_xor.accumulate(words >> np.uint64(63))
    words[1:] ^= -odd[:-1]
    return words.view(np.uint8)


def _common(boxes_R4: np.ndarray, boxes_C4: np.ndarray) -> np.ndarray:
    """Pixels that boxes x0 y0 x1 y1 have in common, int64 [R,C]."""
    begins = np.maximum(boxes_R4[:, None, :2], boxes_C4[:, :2])
    ends = np.minimum(boxes_R4[:, None, 2:], boxes_C4[:, 2:])
    return np.clip(ends - begins, 0, None).prod(axis=2)
