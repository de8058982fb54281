"""Runs of masks → COCO's compressed run-length codes, those of all masks together."""

from itertools import pairwise

import numpy as np

from pipeline.masks.rle import Rle
from pipeline.masks.runs import Runs


def encode_runs(runs: Runs) -> list[Rle]:
    """The codes of masks, byte by byte those of pycocotools.

    A code has the lengths of the runs of zeros, ones, zeros, … until the frame is full. Each from the fourth on is
    written as its difference to the one two before, as signed 5-bit groups, lowest first, one character (+48) each,
    with bit 5 set where another group follows.

    Returns:
        a code for each mask, also for one without any run.
    """
    if not len(runs):
        return []
    numbers, first = _numbers(runs)
    written, ends = _written(numbers)
    text = written.tobytes()
    borders = [0, *ends[first[1:] - 1].tolist()]
    return [text[begin:end] for begin, end in pairwise(borders)]


def _numbers(runs: Runs) -> tuple[np.ndarray, np.ndarray]:
    """What the codes say, one after the other, and where that of each begins, int64 [K+1]."""
    pixels, runs_K = runs.height * runs.width, np.diff(runs.first)
    filled_K = runs_K > 0
    full_K = np.zeros(len(runs), bool)  # a mask that ends with a run of ones has no zeros after it
    full_K[filled_K] = runs.ends[runs.first[1:][filled_K] - 1] == pixels
    first = np.append(0, np.cumsum(2 * runs_K + ~full_K))
    # Where all runs end, of zeros and of ones in turn; each frame after the one before.
    borders = np.empty(first[-1], np.int64)
    borders[first[1:] - 1] = pixels  # written before the last run of ones, which may end there
    indices = 2 * np.arange(len(runs.begins)) + np.repeat(first[:-1] - 2 * runs.first[:-1], runs_K)
    borders[indices] = runs.begins
    borders[indices + 1] = runs.ends
    lengths = np.diff(borders, prepend=0).astype(np.int32 if pixels < 2**31 else np.int64)
    lengths[first[1:-1]] += pixels
    numbers = lengths.copy()
    np.subtract(lengths[2:], lengths[:-2], out=numbers[2:])
    heads = (first[:-1, None] + np.arange(3)).ravel()  # the first three of a code refer to none
    heads = heads[heads < np.repeat(first[1:], 3)]
    numbers[heads] = lengths[heads]
    return numbers, first


def _written(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The characters of all numbers, uint8, and where those of each end, int64 [N]."""
    magnitudes = np.where(numbers < 0, ~numbers, numbers)  # as many bits beside the sign
    sizes, limit = np.ones(len(numbers), np.uint8), 1 << 4
    while len(longer := np.flatnonzero(magnitudes >= limit)):
        sizes[longer] += 1
        limit <<= 5
    ends = np.cumsum(sizes, dtype=np.int64)
    written = np.empty(int(ends[-1]), np.uint8)
    rest, places, left = numbers, ends - sizes, sizes
    while len(rest):
        more = left > 1
        characters = (rest & 0x1F).astype(np.uint8)
        characters += np.where(more, np.uint8(48 + 0x20), np.uint8(48))
        written[places] = characters
        which = np.flatnonzero(more)
        rest, places, left = rest[which] >> 5, places[which] + 1, left[which] - 1
    return written, ends
