"""Scheduling on 512 simulated GPU workers, and the driver's memory and planning against the number of shards.

python -m tests.benchmarks.scale [--shards 1000 10000 100000]

First `python -m jobs.mine --simulate` with 64 machines of 8 GPUs. Then pipelines for so many shards, on a simulated
machine whose workers do not wait: made as a whole, and stopped after the first 3,000 shards, which tell what each of
them costs; "all done" is estimated from that. (Jobs make a pipeline for 25,000 shards at a time.) The targets are 95 %
busy, under 2 GB at 100,000 shards, and seconds that grow with the shards.
"""

import argparse
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

from rich.console import Console
from rich.table import Table

from jobs import mine
from pipeline.mining.config import ResourcesConfig
from pipeline.mining.graph import SHARDS_AT_ONCE
from pipeline.simulation.delays import STAGES, Delays
from pipeline.simulation.fit import fit
from pipeline.simulation.scheduling import Scheduled, schedule
from pipeline.simulation.simulated_cluster import simulated_cluster

_TAKE = 3000


def main() -> None:
    """Print the tables of the simulation, and one of the driver."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, nargs="+", default=[1000, 10_000, 100_000])
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.2f}", flush=True)
    _alone(_simulate)
    columns = ("driver before", "planned", "first done", "all done", f"all done, {SHARDS_AT_ONCE:,} at a time")
    table = Table("shards", "to plan", "first shard", *columns, "CPU a shard")
    for shards in options.shards:
        seen = _alone(_plan, shards)
        mb = seen.driver_mb
        table.add_row(
            f"{shards:,}",
            f"{seen.planning_seconds:.1f} s",
            f"{seen.first_seconds:.1f} s",
            f"{mb.before:.0f} MB",
            f"{mb.planned:.0f} MB",
            f"{mb.first:.0f} MB",
            f"{seen.estimate_driver_mb(shards):.0f} MB",
            f"{seen.estimate_driver_mb(min(shards, SHARDS_AT_ONCE)):.0f} MB",
            f"{1000 * seen.driver_cpu_seconds / seen.finished:.1f} ms",
        )
    Console().print(table)
    print(f"load {os.getloadavg()[0]:.2f}")


def _alone(work, *arguments):
    # Memory of a process that has done nothing before; and Ray is connected to once a process.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(work, *arguments).result()


def _simulate() -> None:
    captions = ["--captions.format=coco", "--captions.path=none.json", "--output=none"]
    machines = "nodes=64,gpus_per_node=8,images=100_000_000,shards=2048"
    mine.main([*captions, "--proposals.backend=mask2former", f"--simulate={machines}"])


def _plan(shards: int) -> Scheduled:
    fitted = fit(1, ResourcesConfig(0.5, 0.5, 8, 8, 1, 1), memory_gb=2)
    with simulated_cluster(fitted):
        return schedule(range(shards), 1, Delays(dict.fromkeys(STAGES, (0.0,)), 0), fitted, take=min(shards, _TAKE))


if __name__ == "__main__":
    main()
