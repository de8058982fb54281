"""The pipeline as such: jobs with many shards go through it in batches."""

import pytest

from pipeline.mining.graph import Pool, Tasks, in_batches, mining_graph, shards_dataset


@pytest.mark.usefixtures("ray_cluster")
def test_every_shard_is_in_one_batch():
    batches = []

    def pipeline(shards):
        batches.append(list(shards))
        return shards_dataset(shards)

    rows = list(in_batches([1, 2, 3, 5, 8, 13, 21], pipeline, at_once=3))
    assert batches == [[1, 2, 3], [5, 8, 13], [21]]
    assert sorted(row["shard"] for row in rows) == [1, 2, 3, 5, 8, 13, 21]
    assert shards_dataset(range(5)).num_blocks() == 5


def same(block):
    return block


class Same:
    def __call__(self, block):
        return block


@pytest.mark.usefixtures("ray_cluster")
def test_workers_may_have_gpus():
    """Ray Data asks more of them; nothing runs here, where there are none."""
    tasks, pool = Tasks(same, (), 0.25), Pool(Same, (), cpus=2, gpus=0.5, workers=3)
    assert "MapBatches(Same)" in str(mining_graph([1, 2], tasks, pool, pool, tasks))
