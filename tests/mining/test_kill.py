"""Killing drivers and workers: nothing is lost, repeated or left half-written."""

import json
import random
from itertools import cycle, islice
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.inspection import verify
from pipeline.layout import Layout
from pipeline.mining.run import mine
from pipeline.shards import ShardsConfig
from tests.disturbed_jobs import run, run_disturbed
from tests.mining.configs import command_line, dataset_bytes, mine_config
from tests.mining.killer import EXITS, HANGS, KILLED

pytestmark = pytest.mark.slow

IMAGES_PER_SHARD = 2
SHARDS = 12
# config.yaml, listing, vocabulary, and a captions table and five files of every shard.
FILES = 3 + 6 * SHARDS


def files_in(folder: Path) -> int:
    """Files of the dataset that are there; records of attempts and half-written files do not count."""
    return sum(
        path.is_file() and not path.name.startswith(".") and path.parent.name != "attempts"
        for path in list(folder.rglob("*"))
    )


def test_kills_at_random_moments_do_not_change_a_byte(pytestconfig, ray_cluster, world, small_clip, tmp_path):
    undisturbed, output, log = tmp_path / "undisturbed", tmp_path / "out", tmp_path / "log.txt"
    mine(mine_config(world, small_clip, undisturbed, shards=ShardsConfig(images_per_shard=IMAGES_PER_SHARD)))

    kills = pytestconfig.getoption("kills")
    kinds = list(islice(cycle(["kill driver", "kill worker", "interrupt"]), kills))
    # Not in the last third: a job that is all but done ends before its workers can be killed.
    moments = random.Random(1).choices(range(1, FILES * 2 // 3), k=kills)
    output.mkdir()
    arguments = [*command_line(world, small_clip, str(output)), f"--shards.images_per_shard={IMAGES_PER_SHARD}"]
    codes = run_disturbed("mine", arguments, lambda: files_in(output), kinds, moments, log, seed=1)
    assert codes == [{"kill driver": -9, "interrupt": 130}[kind] for kind in kinds if kind != "kill worker"] + [0], (
        log.read_text()
    )
    assert len(Layout(str(output)).committed()) == SHARDS
    assert dataset_bytes(output) == dataset_bytes(undisturbed)
    assert verify(str(output)) == []
    assert not [path for path in output.rglob("*") if path.name.endswith(".tmp") or path.parent.name == "attempts"]


def test_an_image_that_kills_or_keeps_its_worker_every_time_costs_only_itself(mined, world, small_clip, tmp_path):
    output = tmp_path / "out"
    arguments = [
        *command_line(world, small_clip, str(output)),
        "--proposals.backend=tests.mining.killer:Killer",
        "--resources.straggler_factor=1",
        "--resources.straggler_seconds=5",
    ]
    assert run("mine", arguments, tmp_path / "log.txt") == 0, (tmp_path / "log.txt").read_text()
    rejects = pq.read_table(output / "rejects").to_pylist()
    assert [(row["image_id"], row["stage"], row["reason"], row["detail"]) for row in rejects] == [
        (image, "proposals", "kills_worker", "3 workers died while working on it") for image in (KILLED, HANGS, EXITS)
    ]
    rows = pq.read_table(mined / "manifests").to_pylist()
    expected = [row for row in rows if row["image_id"] not in (KILLED, HANGS, EXITS)]
    found = pq.read_table(output / "manifests").to_pylist()
    assert [row["key"] for row in found] == [row["key"] for row in expected]
    for row, other in zip(found, expected, strict=True):
        for name in ("tar_offset", "tar_length"):
            del row[name], other[name]
        assert row == pytest.approx(other, abs=1e-5)
    assert verify(str(output)) == []
    assert json.loads((output / "dataset.json").read_text())["rejected"] == {"proposals: kills_worker": 3}
    assert not (output / "attempts").exists()
