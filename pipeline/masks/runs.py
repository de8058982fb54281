"""The runs of all masks of one image at once: what can be known of masks without their frames.

Positions are those of COCO's codes: pixel (x, y) of a frame of height H is number x·H + y, down the columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_MOST_DIGITS = 12
"""Of 5 bits: a longer number is longer than any image, and about to overflow."""
_DIGITS_OF_INT32 = 6


@dataclass(frozen=True)
class Runs:
    """Where the runs of K masks begin and end. None is without length."""

    begins: np.ndarray
    """First position of each run, int64 [N]; those of a mask one after the other, ascending."""
    ends: np.ndarray
    """The position after its last one, int64 [N]."""
    first: np.ndarray
    """Where the runs of each mask begin in the arrays above, int64 [K+1]; the last is N."""
    height: int
    """Of the frame, pixels."""
    width: int

    def __len__(self) -> int:
        return len(self.first) - 1

    def areas(self) -> np.ndarray:
        """Pixels in each mask, int64 [K]."""
        return np.diff(np.append(0, np.cumsum(self.ends - self.begins))[self.first])

    def boxes(self) -> np.ndarray:
        """Tight boxes x0, y0, x1, y1 in pixels, x1 and y1 exclusive, int64 [K,4]; zeros if empty."""
        boxes_K4 = np.zeros((len(self), 4), np.int64)
        filled_K = self.first[1:] > self.first[:-1]
        if not filled_K.any():
            return boxes_K4
        starts = self.first[:-1][filled_K]
        lasts = self.ends - 1
        x0, x1 = self.begins // self.height, lasts // self.height
        y0, y1 = self.begins - x0 * self.height, lasts - x1 * self.height
        wraps = x1 > x0  # a run that goes on at the top of the next column touches both borders
        y0[wraps], y1[wraps] = 0, self.height - 1
        for column, edge in enumerate((x0, y0)):
            boxes_K4[filled_K, column] = np.minimum.reduceat(edge, starts)
        for column, edge in enumerate((x1, y1), start=2):
            boxes_K4[filled_K, column] = np.maximum.reduceat(edge, starts) + 1
        return boxes_K4

    def select(self, start: int, end: int) -> "Runs":
        """Those of the masks from `start` to `end`, exclusive."""
        runs = slice(self.first[start], self.first[end])
        first = self.first[start : end + 1] - self.first[start]
        return Runs(self.begins[runs], self.ends[runs], first, self.height, self.width)


def decode_runs(rles: Sequence[bytes], height: int, width: int) -> Runs:
    """The runs of run-length codes.

    COCO writes the lengths of runs of zeros, ones, zeros, …, each from the fourth on as its difference to the one two
    before.

    Raises:
        ValueError: a code is none, or does not fill the frame.
    """
    begins, ends, first = runs_of_frames(rles, np.full(len(rles), height), np.full(len(rles), width))
    return Runs(begins, ends, first, height, width)


def runs_of_frames(
    rles: Sequence[bytes], heights_K: np.ndarray, widths_K: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The runs of K codes, each of a frame of its own: `begins`, `ends` and `first` as `Runs` has them.

    Args:
        heights_K: of the frames, int64 [K], pixels.
        widths_K: likewise.

    Raises:
        ValueError: a code is none, or does not fill its frame.
    """
    if not len(rles):
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(1, np.int64)
    zeros, ones, first, _ = _lengths(rles)
    ends = _running_sums(zeros + ones, first[:-1])
    pixels = ends[first[1:] - 1]
    if (wrong := np.flatnonzero(pixels != heights_K * widths_K)).size:
        height, width = int(heights_K[wrong[0]]), int(widths_K[wrong[0]])
        raise ValueError(
            f"a run-length code of {pixels[wrong[0]]} pixels does not fill a frame of height {height} × "
            f"width {width} = {height * width} pixels"
        )
    solid = ones > 0
    return (ends - ones)[solid], ends[solid], np.append(0, np.cumsum(solid))[first]


def run_lengths(rle: bytes) -> np.ndarray:
    """The runs of zeros, ones, zeros, … of one code as it has them, int64 [R].

    Raises:
        ValueError: the bytes are not such a code.
    """
    zeros, ones, _, filled = _lengths([rle])
    lengths = np.stack([zeros, ones], axis=1).ravel()
    return lengths[:-1] if filled[0] else lengths


def _lengths(rles: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The lengths of the runs of zeros and of those of ones that follow them, int64 [N] each; where those of each code
    begin, int64 [K+1]; and the codes whose last run of ones is not there, and has the length 0 here, bool [K].

    Raises:
        ValueError: a code is none.
    """
    numbers, counts, filled = _numbers(rles)
    first = np.append(0, np.cumsum(counts // 2))
    starts = first[:-1]
    zeros, ones = numbers[::2].astype(np.int64), numbers[1::2].astype(np.int64)
    heads = zeros[starts]
    zeros[starts] = 0  # the first number of a code refers to none, and none refers to it
    zeros, ones = _running_sums(zeros, starts), _running_sums(ones, starts)
    zeros[starts] = heads
    ones[first[1:][filled] - 1] = 0
    if zeros.min() < 0 or ones.min() < 0:
        wrong = int(((zeros < 0) | (ones < 0)).argmax())
        raise _no_code(rles[int(np.searchsorted(first, wrong, side="right")) - 1])
    return zeros, ones, first, filled


def _numbers(rles: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What codes write: all numbers, one code after the other; how many each code has, int64 [K], made even by one
    more; and of which that is true, bool [K].

    A number is written as signed 5-bit groups, lowest first, one character (+48) each, with bit 5 set where another
    group follows.

    Raises:
        ValueError: a code is none.
    """
    code_ends = np.cumsum([len(rle) for rle in rles])
    code_starts = np.append(0, code_ends[:-1])
    if (code_starts == code_ends).any():
        raise _no_code(b"")
    groups = np.frombuffer(b"".join(rles), np.uint8) - np.uint8(48)  # what is below 48 becomes more than 63
    last = (groups & 0x20) == 0
    wrong = groups > 63
    wrong[code_ends - 1] |= ~last[code_ends - 1]
    if wrong.any():
        raise _no_code(rles[int(np.searchsorted(code_ends, wrong.argmax(), side="right"))])
    counts = np.add.reduceat(last, code_starts, dtype=np.int64)
    odd = counts % 2 == 1
    if odd.any():
        filled = [rle + b"0" if one_more else rle for rle, one_more in zip(rles, odd.tolist(), strict=True)]
        groups = np.frombuffer(b"".join(filled), np.uint8) - np.uint8(48)
        last = (groups & 0x20) == 0
    ends = np.flatnonzero(last)
    digits = np.diff(ends, prepend=-1)
    most = int(digits.max())
    if most > _MOST_DIGITS:
        wrong_number = digits.argmax()
        raise _no_code(rles[int(np.searchsorted(np.cumsum(counts + odd), wrong_number, side="right"))])
    groups = groups & np.uint8(0x1F)
    signed = (groups ^ 0x10).view(np.int8) - np.int8(0x10)  # the last group of a number has its sign
    numbers: np.ndarray = signed[ends].astype(np.int32 if most <= _DIGITS_OF_INT32 else np.int64)
    longer = np.flatnonzero(digits > 1)  # mostly half of them, and hardly any has more than two digits
    for digit in range(1, most):
        longer = longer[digits[longer] > digit]
        numbers[longer] = (numbers[longer] << 5) | groups[ends[longer] - digit]
    return numbers, counts + odd, odd


def _running_sums(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Cumulative sums that begin anew at `starts`, in place."""
    sums = np.add.reduceat(values, starts)
    values[starts[1:]] -= sums[:-1]
    return np.cumsum(values, out=values)


def _no_code(rle: bytes) -> ValueError:
    return ValueError(f"not a COCO run-length code: {bytes(rle[:40])!r}")
