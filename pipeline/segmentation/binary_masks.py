"""The label map of binary masks, from their run-length codes alone; and which of them is uppermost.

A mask's code says where, going down the columns, the mask begins and ends. Between two neighbours among these edges of
all masks, every pixel is covered by the same masks, so all share a label. There are thousands of such runs where
there are millions of pixels, and fewer still different sets of covering masks: only these are scored.

Shape suffixes: Q masks, C classes, E edges, R runs, P different sets of masks, B words of 64 masks.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from pipeline.masks.masks import Masks
from pipeline.masks.rle import Rle
from pipeline.masks.runs import run_lengths
from pipeline.segmentation.fusion import UNLABELLED, winners

_BAND_EDGES = 2**20
_SCORED_ELEMENTS = 2**22
_WORD = np.dtype("<u8")
_WORD_BITS = 64


def binary_labels(masks: Masks, scores_QC: np.ndarray, classes: int) -> np.ndarray:
    """The label map of overlapping binary masks, uint16 of the masks' frame; see `winners`.

    A pixel's scores are the sum of those of the masks that cover it. Beyond the result and the edges of all masks (4
    bytes each), takes about 100 MB whatever the size of the image, and the number of masks and classes.

    Args:
        masks: Q masks.
        scores_QC: class scores float32, with the background behind the first `classes` columns.
    """

    def label(members_PQ: np.ndarray) -> np.ndarray:
        return winners(members_PQ.astype(np.float32) @ scores_QC, classes)

    return _labelled(masks, label, scores_QC.shape[1], np.dtype(np.uint16), UNLABELLED)


def uppermost_masks(masks: Masks, scores_Q: np.ndarray) -> np.ndarray:
    """Which of the masks that cover a pixel has the highest score, int32 of the masks' frame; -1 where none covers it.

    Of equal ones the first. Memory as for `binary_labels`.

    Args:
        masks: Q masks.
        scores_Q: float32, none below 0.
    """

    def uppermost(members_PQ: np.ndarray) -> np.ndarray:
        if not len(scores_Q):
            return np.full(len(members_PQ), -1)
        covered_PQ = np.where(members_PQ, scores_Q, np.float32(-1))
        return np.where(members_PQ.any(axis=1), covered_PQ.argmax(axis=1), -1)

    return _labelled(masks, uppermost, 0, np.dtype(np.int32), -1)


def _labelled(
    masks: Masks, label: Callable[[np.ndarray], np.ndarray], scored: int, dtype: np.dtype, nothing: int
) -> np.ndarray:
    """A label for each pixel, of the masks' frame.

    Args:
        label: from sets of masks, 0 or 1 [P,Q], to their labels [P].
        scored: values that it makes of a set, beside its members.
        nothing: the label of an image without pixels that are looked at.
    """
    edges = [_edges(code) for code in masks]
    pixels = masks.height * masks.width
    labels = np.full(pixels, nothing, dtype)
    for begin, end, inside in _bands(edges, 0, pixels):
        covers_BR, lengths_R = _runs(inside, begin, end)
        first_P, columns_R = _distinct(covers_BR)
        labels_P = _label(covers_BR[:, first_P], len(masks), label, scored).astype(dtype)
        labels[begin:end] = np.repeat(labels_P[columns_R], lengths_R)
    return np.ascontiguousarray(labels.reshape(masks.width, masks.height).T)


def _edges(code: Rle) -> np.ndarray:
    """Pixels, counted down the columns, from which on a mask is in what it was out of, or the reverse; ascending."""
    ends = run_lengths(code).cumsum()
    return ends[:-1].astype(np.int32 if ends[-1] < 2**31 else np.int64)


def _bands(
    edges: Sequence[np.ndarray], begin: int, end: int
) -> Iterator[tuple[int, int, list[tuple[bool, np.ndarray]]]]:
    """Consecutive ranges of pixels with at most `_BAND_EDGES` edges (or one pixel), and per mask whether it covers the
    pixel before the range, and its edges in the range.
    """
    bounds = [np.searchsorted(edges_k, (begin, end)) for edges_k in edges]
    if sum(stop - start for start, stop in bounds) > _BAND_EDGES and end - begin > 1:
        middle = (begin + end) // 2
        yield from _bands(edges, begin, middle)
        yield from _bands(edges, middle, end)
        return
    pairs = zip(edges, bounds, strict=True)
    yield begin, end, [(bool(start % 2), edges_k[start:stop]) for edges_k, (start, stop) in pairs]


def _runs(inside: list[tuple[bool, np.ndarray]], begin: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    """Which masks cover each run of pixels, one bit each, uint64 [B,R], and how long it is, int64 [R]."""
    owners_E = np.repeat(np.arange(len(inside)), [len(edges) for _, edges in inside])
    pixels_E = np.concatenate([np.zeros(0, np.int32), *(edges for _, edges in inside)])
    order = np.argsort(pixels_E, kind="stable")  # merges what is sorted already
    pixels_E, owners_E = pixels_E[order], owners_E[order]

    # Each edge flips the bit of its mask: the exclusive or of all edges so far says who covers what follows.
    covers_BE = np.zeros((-(-len(inside) // _WORD_BITS), len(pixels_E) + 1), _WORD)
    for mask, (covered, _) in enumerate(inside):
        if covered:
            covers_BE[mask // _WORD_BITS, 0] |= np.uint64(1 << mask % _WORD_BITS)
    covers_BE[owners_E // _WORD_BITS, np.arange(1, len(pixels_E) + 1)] = np.uint64(1) << (owners_E % _WORD_BITS).astype(
        _WORD
    )
    np.bitwise_xor.accumulate(covers_BE, axis=1, out=covers_BE)

    starts = np.concatenate([[begin], pixels_E])
    last = np.append(starts[1:] != starts[:-1], True)  # of the edges at one pixel
    return covers_BE[:, last], np.diff(np.append(starts[last], end))


def _distinct(covers_BR: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first run of each different column, int64 [P], and which of them each column equals, int64 [R]."""
    first_P, columns_R = np.zeros(1, np.int64), np.zeros(covers_BR.shape[1], np.int64)
    for words_R in covers_BR:
        _, words_R = np.unique(words_R, return_inverse=True)
        _, first_P, columns_R = np.unique(
            columns_R * (words_R.max() + 1) + words_R, return_index=True, return_inverse=True
        )
    return first_P, columns_R


def _label(covers_BP: np.ndarray, count: int, label: Callable[[np.ndarray], np.ndarray], scored: int) -> np.ndarray:
    """Labels int64 [P] of sets of masks."""
    labels_P = np.empty(covers_BP.shape[1], np.int64)
    step = max(1, _SCORED_ELEMENTS // max(1, count, scored))
    for start in range(0, len(labels_P), step):
        words_PB = np.ascontiguousarray(covers_BP[:, start : start + step].T)
        members_PQ = np.unpackbits(words_PB.view(np.uint8), axis=1, bitorder="little")[:, :count]
        labels_P[start : start + step] = label(members_PQ)
    return labels_P
