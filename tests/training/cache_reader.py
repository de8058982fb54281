"""A process that reads through the cache beside others. (On its own, so that it starts quickly.)"""

import contextlib
import os
from multiprocessing import Queue

import numpy as np

from pipeline.training.shard_files import ShardFiles


def read_at_random(
    remote: str, cache: str, cache_bytes: int, seed: int, work: list[tuple[tuple[int, int, int], bytes]], results: Queue
) -> None:
    """Read the places of `work` in an order of its own.

    Puts into `results` the largest size of the folder that it saw, and how many reads gave other bytes than expected.
    """
    files, largest, wrong = ShardFiles(remote, "", cache, cache_bytes), 0, 0
    for index in np.random.default_rng(seed).permutation(len(work)):
        place, content = work[index]
        wrong += files.read(*place) != content
        sizes = {}
        for entry in os.scandir(cache):
            with contextlib.suppress(FileNotFoundError):  # another process has just deleted it
                status = entry.stat()
                sizes[status.st_ino] = status.st_size  # one that is just being renamed can be met twice
        largest = max(largest, sum(sizes.values()))
    results.put((largest, wrong))
