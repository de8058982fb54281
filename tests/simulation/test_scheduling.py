"""A small cluster that is really simulated."""

import math
import multiprocessing
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor

import pytest

from pipeline.captions import CaptionsConfig
from pipeline.dataset.shards import ShardsConfig
from pipeline.mining.config import MineConfig
from pipeline.proposals import ProposalsConfig
from pipeline.simulation.config import parse_simulation
from pipeline.simulation.report import print_simulation
from pipeline.simulation.run import simulate


@pytest.mark.soak
def test_forty_shards_on_two_machines(capsys):
    captions = CaptionsConfig(format="coco", path="none.json")
    shards = ShardsConfig(images_per_shard=10)
    config = MineConfig(captions, "none", proposals=ProposalsConfig(backend="mask2former"), shards=shards)
    # Two nodes with a process of each kind and two threads in it: 2.26 GB.
    simulation = parse_simulation(
        "nodes=2,gpus_per_node=2,images=1_001,shards=40,memory_gb=2.3,propose_seconds=0.02,match_seconds=0.02"
    )
    # It has a Ray of its own, and this process may be connected to another one.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        done = process.submit(simulate, config, simulation).result()
    assert (done.fit.nodes, done.fit.processes, done.fit.propose_threads, done.fit.match_threads) == (2, 1, 2, 2)
    seen = done.scheduled
    assert (seen.shards, seen.finished) == (40, 40)
    assert seen.planning_seconds > 0
    assert 0 < seen.first_seconds <= seen.seconds
    for stage in ("proposals", "matching"):
        share = seen.busy[stage]
        assert 1 <= share.workers <= 4
        assert 0 < share.whole <= 1
        assert share.steady is None or 0 < share.steady <= 1
        # Four workers cannot do it faster.
        work = sum(done.delays.seconds(stage, shard, images=10) for shard in range(40))
        assert seen.seconds >= work / 4
    assert min(seen.driver_mb) > 0
    assert done.costs.shards == math.ceil(1001 / 10)

    print_simulation(config, simulation, done)
    printed = capsys.readouterr().out
    for shown in ("assumed", "simulated on this machine", "40 of 101", "each with 2 threads", "dollars"):
        assert shown in printed


def test_workers_load_no_models():
    """Their memory limits how many of them can be simulated."""
    program = (
        "import sys, pipeline.simulation.scheduling; sys.exit(' '.join({'torch', 'open_clip'} & set(sys.modules)))"
    )
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False).stderr.strip()
        == ""
    )
