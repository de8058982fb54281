"""A job that meets random faults, one after the other: `pytest -m soak tests/faults --faults 50 --seed 7`."""

import random

import pytest

from pipeline.dataset.layout import Layout
from pipeline.dataset.shards import ShardsConfig
from pipeline.inspection.verify import verify
from pipeline.mining.run import mine
from tests.disturbed_jobs import DISTURBANCES, run_disturbed
from tests.mining.configs import command_line, dataset_bytes, files_in, mine_config

IMAGES_PER_SHARD = 2
SHARDS = 12
# config.yaml, listing, vocabulary, and a captions table and five files of every shard.
FILES = 3 + 6 * SHARDS


@pytest.mark.soak
def test_random_faults_do_not_change_a_byte(pytestconfig, ray_cluster, world, small_clip, tmp_path):
    undisturbed, output, log = tmp_path / "undisturbed", tmp_path / "out", tmp_path / "log.txt"
    mine(mine_config(world, small_clip, undisturbed, shards=ShardsConfig(images_per_shard=IMAGES_PER_SHARD)))

    faults, seed = pytestconfig.getoption("faults"), pytestconfig.getoption("seed")
    rng = random.Random(seed)
    kinds = rng.choices(DISTURBANCES, k=faults)
    # In the first half: the last shards are committed at once, and a job that is done cannot be disturbed.
    moments = rng.choices(range(1, FILES // 2), k=faults)
    output.mkdir()
    arguments = [*command_line(world, small_clip, str(output)), f"--shards.images_per_shard={IMAGES_PER_SHARD}"]
    run_disturbed("mine", arguments, lambda: files_in(output), kinds, moments, log, seed)
    assert len(Layout(str(output)).committed()) == SHARDS
    assert dataset_bytes(output) == dataset_bytes(undisturbed)
    assert verify(str(output)) == []
    assert not (output / "attempts").exists()
