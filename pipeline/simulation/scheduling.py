"""The real pipeline of mining on real Ray, with workers that wait instead of work."""

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from pipeline.mining.graph import Pool, Tasks, mining_graph
from pipeline.simulation.busy import BusyShare, WorkInterval, busy_share
from pipeline.simulation.delays import Delays
from pipeline.simulation.fit import Fit

_POOLS = ("proposals", "matching")
_PAYLOAD_BYTES = 1000


class DriverMemory(NamedTuple):
    """Resident set in MB: Ray's shared memory that the driver has written to is part of it."""

    before: float
    planned: float
    """When the pipeline was made,"""
    first: float
    """when its first shard was done,"""
    done: float
    """and its last."""


@dataclass(frozen=True)
class Scheduled:
    """What was seen."""

    shards: int
    """Shards that the pipeline was made for."""
    finished: int
    """Shards that came out of it before it was stopped."""
    planning_seconds: float
    """To make the pipeline."""
    first_seconds: float
    """From then until the first shard was done; less the time of its work, this is what workers take to start."""
    seconds: float
    """From when the pipeline was made until the last shard was done."""
    busy: dict[str, BusyShare]
    """Of the workers that propose masks, and of those that match."""
    driver_mb: DriverMemory
    driver_cpu_seconds: float
    """CPU seconds of the driver since the pipeline was made."""
    machine_busy: float
    """Share of this machine's cores that was in use meanwhile, by everything that runs on it."""

    def estimate_driver_mb(self, shards: int) -> float:
        """The driver's memory when a pipeline made for so many shards is done with all of them."""
        mb = self.driver_mb
        of_a_shard = (mb.planned - mb.before) / self.shards + (mb.done - mb.first) / self.finished
        return mb.before + (mb.first - mb.planned) + of_a_shard * shards


def schedule(shards: Sequence[int], images_per_shard: int, delays: Delays, fit: Fit, *, take: int) -> Scheduled:
    """Run the pipeline on the cluster that this process is connected to.

    Args:
        take: stop when so many shards are done.
    """
    processes = fit.nodes * fit.processes
    before_mb = _resident_mb()
    started = time.perf_counter()
    dataset = mining_graph(
        shards,
        read=Tasks(_read, (), 1),
        # The GPU of a worker process is what ties it to a simulated node.
        propose=Pool(Wait, (_POOLS[0], delays, images_per_shard), 0, 1, processes, fit.propose_threads),
        match=Pool(Wait, (_POOLS[1], delays, images_per_shard), 0, 1, processes, fit.match_threads),
        write=Tasks(_write, (), 1),
    )
    planned, cpu_seconds, cores = time.perf_counter(), time.process_time(), _core_seconds()
    planned_mb = _resident_mb()
    rows: list[dict] = []
    for row in dataset.iter_rows():
        rows.append(row)
        if len(rows) == 1:
            first, first_mb = time.perf_counter(), _resident_mb()
        if len(rows) == take:
            break
    done, done_mb = time.perf_counter(), _resident_mb()
    busy, total = (after - before for after, before in zip(_core_seconds(), cores, strict=True))
    workers = {"proposals": fit.propose_workers, "matching": fit.match_workers}
    return Scheduled(
        shards=len(shards),
        finished=len({row["shard"] for row in rows}),
        planning_seconds=planned - started,
        first_seconds=first - planned,
        seconds=done - planned,
        busy={stage: busy_share([_interval(row, stage) for row in rows], workers[stage]) for stage in _POOLS},
        driver_mb=DriverMemory(before_mb, planned_mb, first_mb, done_mb),
        driver_cpu_seconds=time.process_time() - cpu_seconds,
        machine_busy=busy / total,
    )


def _read(block: pa.Table) -> pa.Table:
    return block.append_column("work", pa.array([bytes(_PAYLOAD_BYTES)]))


class Wait:
    """A worker that needs as long for a shard as real ones."""

    def __init__(self, stage: str, delays: Delays, images_per_shard: int):
        self._stage, self._delays, self._images = stage, delays, images_per_shard

    def __call__(self, block: pa.Table) -> pa.Table:
        """Wait as long as the shard takes, and note which worker did it, from when and how long."""
        seconds = self._delays.seconds(self._stage, block["shard"][0].as_py(), self._images)
        started = time.time()
        time.sleep(seconds)
        noted = {"worker": f"{os.getpid()} {threading.get_ident()}", "started": started, "seconds": seconds}
        for name, value in noted.items():
            block = block.append_column(f"{self._stage} {name}", pa.array([value]))
        return block


def _write(block: pa.Table) -> pa.Table:
    return block.drop_columns(["work"])


def _interval(row: dict, stage: str) -> WorkInterval:
    return WorkInterval(row[f"{stage} worker"], row[f"{stage} started"], row[f"{stage} seconds"])


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _core_seconds() -> tuple[float, float]:
    """Seconds of all cores since the machine started: in use, and in all."""
    first = Path("/proc/stat").read_text().partition("\n")[0]
    ticks = [int(field) for field in first.split()[1:9]]
    idle = ticks[3] + ticks[4]
    hertz = os.sysconf("SC_CLK_TCK")
    return (sum(ticks) - idle) / hertz, sum(ticks) / hertz
