"""The hard negatives of a run's samples: texts that a region is told apart from, besides the nouns of the others."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UserError

NEGATIVES = "negatives"
"""The column of texts, list<string>; it is there only if `loss.hard_negatives` asks for some."""


def take_negatives(pairs: pa.Table, most: int, dataset: str) -> pa.Array:
    """The first `most` negatives of every pair that is trained on, list<string>; those of the others are left out.

    Args:
        pairs: with `noun`, `held_out` bool and `negatives`, which mining with `negatives.count` writes.

    Raises:
        UserError: no pair that is trained on has any.
    """
    lists = pairs[NEGATIVES].combine_chunks()
    counts = np.minimum(pc.fill_null(pc.list_value_length(lists), 0).to_numpy(), most)
    counts[pairs["held_out"].to_numpy()] = 0
    if not counts.any():
        raise UserError(
            f"loss.hard_negatives is {most}, but the training pairs of {dataset} have no negatives: mine with "
            f"negatives.count {most}, or set loss.hard_negatives 0"
        )
    starts = lists.offsets.to_numpy()[:-1]
    places = np.repeat(starts - _before(counts), counts) + np.arange(counts.sum())
    # `values`, unlike `flatten`, counts from where the offsets do.
    texts = lists.values.take(pa.array(places))
    # A text that is trained on as what the region shows is none that it is told apart from.
    rows = np.repeat(np.arange(len(counts)), counts)
    nouns = pairs["noun"].cast(pa.string()).combine_chunks().take(pa.array(rows))
    wrong = pc.fill_null(pc.not_equal(texts, nouns), False)
    left = np.bincount(rows[wrong.to_numpy(zero_copy_only=False)], minlength=len(counts))
    return pa.ListArray.from_arrays(_offsets(left), texts.filter(wrong))


def _before(counts: np.ndarray) -> np.ndarray:
    return np.cumsum(counts) - counts


def _offsets(counts: np.ndarray) -> pa.Array:
    return pa.array(np.append(0, np.cumsum(counts)), pa.int32())


@dataclass(frozen=True)
class HardNegatives:
    """Hard negatives by row of the samples; 4 bytes each, beside the texts, each of which is kept once."""

    texts: list[str]
    """Those that are no nouns of the samples, sorted."""
    width: int
    """The most that a row has."""
    _offsets: np.ndarray
    _flat: np.ndarray

    @classmethod
    def of(cls, lists: pa.ChunkedArray, nouns: pa.Array) -> Self:
        """From a column list<string>.

        Args:
            nouns: of all samples, sorted.
        """
        column = lists.combine_chunks()
        values = column.flatten()  # those that the offsets point to, without nulls
        offsets = np.append(0, np.cumsum(pc.fill_null(pc.list_value_length(column), 0).to_numpy()))
        known = pc.unique(values)
        others = known.filter(pc.invert(pc.is_in(known, nouns)))
        others = others.take(pc.array_sort_indices(others))
        flat = pc.index_in(values, pa.concat_arrays([nouns, others]))
        return cls(others.to_pylist(), int(np.diff(offsets).max(initial=0)), offsets, flat.to_numpy())

    def of_rows(self, rows: np.ndarray) -> np.ndarray:
        """Those of some rows, int64 [b,width]: index into the nouns and, after them, `texts`; -1 where there are
        fewer."""
        starts, ends = self._offsets[rows], self._offsets[rows + 1]
        places = starts[:, None] + np.arange(self.width)
        there = places < ends[:, None]
        found = np.full(places.shape, -1, dtype=np.int64)
        found[there] = self._flat[places[there]]
        return found

    def __str__(self) -> str:
        """One line for the terminal."""
        counts = np.diff(self._offsets)
        return f"{counts.sum()} hard negatives of {np.count_nonzero(counts)} pairs, {len(self.texts)} of them no nouns"
