"""The whole job by multiplication, with figures made by hand."""

import json

import pytest

from pipeline.errors import UserError
from pipeline.mining.config import ResourcesConfig
from pipeline.simulation.config import SimulationConfig
from pipeline.simulation.delays import STAGES, Delays, assumed_delays, measured_delays
from pipeline.simulation.model import estimate
from pipeline.simulation.requests import requests_of_a_job

CONFIG = SimulationConfig(
    nodes=2, images=1_000_000, gpus_per_node=4, cpus_per_node=20, image_bytes=200_000, dollars_per_gpu_hour=3.0
)
# Of 40 CPUs the workers hold 8 · 0.5 + 8 · 1; readers and writers, a quarter each, get 28.
RESOURCES = ResourcesConfig(0.5, 0.5, clip_workers=8, proposal_workers=8, clip_cpus=1, proposal_cpus=0.5)
DELAYS = Delays({"images": (0.1,), "proposals": (0.2,), "matching": (0.3, 0.5), "writing": (0.1, 0.2, 0.3)}, seed=0)


def test_costs_by_hand():
    costs = estimate(CONFIG, 100, DELAYS, 2.0, RESOURCES, busy=0.8, planning_seconds=0.001)
    assert costs.shards == 10_000
    assert costs.rates.tasks == pytest.approx(28 / (0.25 * 0.1 + 0.25 * 0.2))
    assert costs.rates.proposals == pytest.approx(8 / 0.2)
    assert costs.rates.matching == pytest.approx(8 / 0.4)
    assert costs.rates.slowest == "matching"
    assert costs.mining_hours == pytest.approx(1_000_000 / (20 * 0.8) / 3600)
    assert costs.gpu_hours == pytest.approx(1_000_000 * (0.2 + 0.4) / 2 / 3600)
    listing_hours = 2 * 1_000_000 / 410_000 / 3600
    # Ten seconds to plan ten thousand shards, and one shard through all stages: 100 · (0.1 + 0.2 + 0.4 + 0.2).
    assert costs.pause_hours == pytest.approx((10 + 90) / 3600)
    assert costs.paid_gpu_hours == pytest.approx(8 * (listing_hours + costs.mining_hours + costs.pause_hours))
    assert costs.bytes_read == 200_000 * 1_000_000
    assert costs.bytes_written == 2 * 25_000 * 1_000_000
    # Each of the first three stages puts the images into the object store; 16 images a second on two machines.
    assert costs.store_bytes_per_second == pytest.approx(3 * 16 * 200_000 / 2)
    assert costs.dollars["GPUs"] == pytest.approx(3 * costs.paid_gpu_hours)
    requests = costs.requests
    assert costs.dollars["PUT and LIST"] == pytest.approx((requests["PUT"] + requests["LIST"]) / 1000 * 0.005)
    assert costs.dollars["GET and HEAD"] == pytest.approx((requests["GET"] + requests["HEAD"]) / 1000 * 0.0004)


def test_requests_grow_with_images_shards_parts_and_time():
    few = requests_of_a_job(1000, 10, tar_bytes=1e6, stage_seconds=(1, 2, 3, 4))
    assert few["GET"] == 1000 + 17 * 10
    long = requests_of_a_job(1000, 10, tar_bytes=1e6, stage_seconds=(14, 16, 31, 0))
    assert long - few == {"GET": 10 * (0 + 1 + 2)}
    # 40 MiB go up in three parts, and two requests around them, instead of one.
    large = requests_of_a_job(1000, 10, tar_bytes=40 * 2**20, stage_seconds=(1, 2, 3, 4))
    assert large - few == {"PUT": 10 * 4}


def test_assumed_delays_lie_around_the_mean():
    config = SimulationConfig(nodes=1, images=1, propose_seconds=0.4, spread=0.5)
    delays = assumed_delays(config)
    assert delays.mean("proposals") == pytest.approx(0.4)
    drawn = [delays.seconds("proposals", shard, images=10) for shard in range(2000)]
    assert 1.999 <= min(drawn) < 2.2
    assert 5.8 < max(drawn) <= 6.001
    assert drawn == [delays.seconds("proposals", shard, images=10) for shard in range(2000)]
    assert drawn != [delays.seconds("matching", shard, images=10) for shard in range(2000)]


def test_measured_delays_are_those_of_the_shards(tmp_path):
    (tmp_path / "statistics").mkdir()
    for shard, (images, seconds) in enumerate([(10, 2.0), (20, 3.0), (0, 1.0)]):
        content = {"images": images, "pairs": 3 * images, "seconds": dict.fromkeys(STAGES, seconds)}
        (tmp_path / "statistics" / f"{shard:06d}.json").write_text(json.dumps(content))
    measured = measured_delays(str(tmp_path), seed=0)
    assert measured.shards == 2  # a shard without images says nothing
    assert measured.pairs_per_image == 3
    assert measured.delays.samples == dict.fromkeys(STAGES, (0.2, 0.15))
    assert {measured.delays.seconds("writing", shard, 100) for shard in range(50)} == {20, 15}


def test_what_cannot_be_waited_for_less_is_part_of_the_work(tmp_path):
    """Packing and moving a shard is; waiting for input, or for stages behind that are full, is not."""
    (tmp_path / "statistics").mkdir()
    for shard, (waited, handed_over) in enumerate([(0.0, 8.0), (5.0, 1.0), (None, None)]):
        waits = {} if waited is None else {"matching": {"input": waited, "hand_over": handed_over}}
        waits["images"] = {"storage": 1.5}  # which is part of the seconds: a reader holds its CPU meanwhile
        content = {"images": 10, "pairs": 30, "seconds": dict.fromkeys(STAGES, 2.0), "waits": waits}
        (tmp_path / "statistics" / f"{shard:06d}.json").write_text(json.dumps(content))
    delays = measured_delays(str(tmp_path), seed=0).delays
    assert delays.mean("matching") == pytest.approx(0.2 + 0.1)
    assert [delays.mean(stage) for stage in ("images", "proposals", "writing")] == [pytest.approx(0.2)] * 3


def test_nothing_was_measured(tmp_path):
    with pytest.raises(UserError, match="holds no statistics of a mined shard"):
        measured_delays(str(tmp_path), seed=0)
