"""The order of the samples: a pure function of seed and epoch, whatever the number of workers and loader processes."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Sampler

from pipeline.training.ranks import Ranks

_ALONE = Ranks()


def steps_per_epoch(samples: int, batch_size: int) -> int:
    """Full batches of an epoch; the samples left over come in other epochs, which have another order."""
    return samples // batch_size


def epoch_order(shards_N: np.ndarray, seed: int, epoch: int, shuffle_shards: int | None = None) -> np.ndarray:
    """A permutation of N samples.

    The shards are shuffled and cut into pools of `shuffle_shards`, the samples of each pool are shuffled, and the
    pools follow one another.

    Args:
        shards_N: the shard of each sample, int [N].
        shuffle_shards: shards in a pool; None: all.

    Returns:
        int64 [N], indices into `shards_N`.
    """
    # The raw bits of numpy's generators are the same in all its versions; what its shuffles make of them need not be.
    bits = np.random.PCG64(np.random.SeedSequence([seed, epoch]))
    shards, shard_N = np.unique(shards_N, return_inverse=True)
    index_of_shard = np.argsort(np.argsort(bits.random_raw(len(shards)), kind="stable"))
    pool_N = index_of_shard[shard_N] // (shuffle_shards or len(shards) or 1)
    return np.lexsort((bits.random_raw(len(shards_N)), pool_N)).astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class PhaseSteps:
    """The steps of a phase that are still to do."""

    seed: int
    """Of the order of the samples, and of how each of them is cut."""
    epochs: int
    """Of the whole phase."""
    batch_size: int
    """Samples of a step over all ranks; a multiple of their number."""
    first_step: int = 0
    """Steps of the phase that are done already."""


class PhaseBatches(Sampler[list[tuple[int, int]]]):
    """This rank's part of every batch of a phase that is still to do, over all its epochs.

    Batch `step` of an epoch is the samples [step·B, (step+1)·B) of its order, of which rank r gets the r-th of W equal
    contiguous parts. So the batches of all ranks together are the same for any number of ranks, and a run that goes on
    at `first_step` gets exactly the batches that were left.
    """

    def __init__(
        self,
        rows_N: np.ndarray,
        shards_N: np.ndarray,
        steps: PhaseSteps,
        ranks: Ranks = _ALONE,
        shuffle_shards: int | None = None,
    ):
        """
        Args:
            rows_N: the training samples.
            shards_N: the shard of each.
            shuffle_shards: see `epoch_order`.
        """
        self._rows_N, self._shards_N = rows_N, shards_N
        self._seed, self._shuffle_shards = steps.seed, shuffle_shards
        self._batch_size, self._first_step = steps.batch_size, steps.first_step
        self._steps_per_epoch = steps_per_epoch(len(rows_N), steps.batch_size)
        self._steps = steps.epochs * self._steps_per_epoch
        share = steps.batch_size // ranks.world_size
        self._own = slice(ranks.rank * share, (ranks.rank + 1) * share)

    def __len__(self) -> int:
        return max(self._steps - self._first_step, 0)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        """Per step the (epoch, row) of this rank's samples."""
        ordered = None
        for step in range(self._first_step, self._steps):
            epoch, step_of_epoch = divmod(step, self._steps_per_epoch)
            if ordered != epoch:
                order_N = epoch_order(self._shards_N, self._seed, epoch, self._shuffle_shards)
                rows_N, ordered = self._rows_N[order_N], epoch
            batch = rows_N[step_of_epoch * self._batch_size :][: self._batch_size]
            yield [(epoch, int(row)) for row in batch[self._own]]
