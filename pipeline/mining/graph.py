"""The stages of mining as one Ray Data pipeline: a block of one row is one shard.

What a stage does is handed in: mining works, `pipeline.simulation` waits for as long as the work would take.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import ray
from ray.data import ActorPoolStrategy, Dataset

SHARDS_AT_ONCE = 25_000
# Blocks as they lie in the object store: as rows of Python objects they would be copied several times on each way.
# (Each has one row; where workers have GPUs, Ray Data takes no None for a whole block.)
_BLOCKS: dict[str, Any] = {"batch_size": 1, "batch_format": "pyarrow", "zero_copy_batch": True}


class Tasks(NamedTuple):
    """A stage that any free process does."""

    do: Callable
    """A function of a block, `pyarrow.Table` of one row."""
    arguments: tuple
    """What it gets besides."""
    cpus: float
    """Logical CPUs that it holds meanwhile."""


class Pool(NamedTuple):
    """A stage with worker processes of its own."""

    do: type
    """Every worker makes an instance, and calls it with each block, or each row."""
    arguments: tuple
    """What the instance is made with."""
    cpus: float
    """Logical CPUs of a worker."""
    gpus: float
    """GPUs of a worker; fractions below one."""
    workers: int
    """As many at most."""
    threads: int = 1
    """Rows that a worker works on at the same time."""


def shards_dataset(shards: Sequence[int]) -> Dataset:
    """Rows {shard}, each a block: that is what Ray Data hands to a worker, and does again if the worker dies."""
    return ray.data.from_items([{"shard": shard} for shard in shards], override_num_blocks=len(shards))


def mining_graph(shards: Sequence[int], read: Tasks, propose: Pool, match: Pool, write: Tasks) -> Dataset:
    """The pipeline, from blocks {shard} to what the last stage returns; nothing runs yet."""
    blocks = shards_dataset(shards).map_batches(read.do, fn_args=read.arguments, num_cpus=read.cpus, **_BLOCKS)
    for pool in (propose, match):
        blocks = blocks.map_batches(pool.do, **_workers(pool), **_BLOCKS)
    return blocks.map_batches(write.do, fn_args=write.arguments, num_cpus=write.cpus, **_BLOCKS)


def reading_graph(shards: Sequence[int], read: Tasks, work: Pool) -> Dataset:
    """A shorter pipeline, from blocks {shard} to what its workers return; nothing runs yet."""
    blocks = shards_dataset(shards).map_batches(read.do, fn_args=read.arguments, num_cpus=read.cpus, **_BLOCKS)
    return blocks.map_batches(work.do, **_workers(work), **_BLOCKS)


def map_on_actors(pool: Pool, rows: Dataset) -> Dataset:
    """What the workers of a pool make of rows."""
    return rows.map(pool.do, **_workers(pool))


def _workers(pool: Pool) -> dict[str, Any]:
    return {
        "fn_constructor_args": pool.arguments,
        "compute": ActorPoolStrategy(
            min_size=1,
            max_size=pool.workers,
            # Two shards at a worker: the next one travels while this one is worked on.
            max_tasks_in_flight_per_actor=2 * pool.threads,
            max_concurrent_calls_per_actor=pool.threads,
            enable_true_multi_threading=pool.threads > 1,
        ),
        "num_cpus": pool.cpus,
        "num_gpus": pool.gpus,
    }


def in_batches(
    shards: Sequence[int], pipeline: Callable[[Sequence[int]], Dataset], at_once: int = SHARDS_AT_ONCE
) -> Iterator[dict]:
    """What a pipeline returns for all shards, made anew for every so many of them.

    Until a pipeline ends, Ray Data keeps in the driver what it knows of each shard; this way the driver's memory is
    enough for any number of shards. Workers are started anew each time: a minute or so in hours.
    """
    for start in range(0, len(shards), at_once):
        yield from pipeline(shards[start : start + at_once]).iter_rows()
