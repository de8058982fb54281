"""Hours, requests, bytes and dollars of the whole job, by multiplication."""

import math
from collections import Counter
from dataclasses import dataclass

from pipeline.dataset.shards import BYTES_PER_PAIR
from pipeline.mining.config import PlannedResources, ResourcesConfig, planned
from pipeline.mining.graph import SHARDS_AT_ONCE
from pipeline.mining.stages import READ_CPUS, WRITE_CPUS
from pipeline.simulation.config import SimulationConfig
from pipeline.simulation.delays import STAGES, Delays
from pipeline.simulation.requests import requests_of_a_job

LISTING_ROWS_PER_SECOND = 410_000
"""Measured from Parquet (`python -m tests.benchmarks.listing`); a new job goes through its source twice."""
_HOPS = 3


@dataclass(frozen=True)
class Rates:
    """Images per second that all workers of a kind can do together."""

    tasks: float
    """Reading and writing, on the CPUs that the worker processes leave."""
    proposals: float
    matching: float

    @property
    def slowest(self) -> str:
        """The kind of workers that the others wait for, by the name of its field."""
        return min(vars(self), key=vars(self).__getitem__)

    @property
    def lowest(self) -> float:
        """Images per second of that kind, and so of the whole pipeline."""
        return getattr(self, self.slowest)


@dataclass(frozen=True)
class Costs:
    """The whole job."""

    shards: int
    rates: Rates
    listing_hours: float
    """One process reads and hashes the source, before any worker starts."""
    mining_hours: float
    pause_hours: float
    """Before each batch of the shards is planned, and until the last shards of the one before are done."""
    gpu_hours: float
    """Of the workers' work alone; the machines' GPUs are paid for longer."""
    paid_gpu_hours: float
    requests: Counter[str]
    bytes_read: float
    bytes_written: float
    store_bytes_per_second: float
    """That a node of the cluster puts into Ray's object store."""
    dollars: dict[str, float]


def estimate(
    config: SimulationConfig,
    images_per_shard: int,
    delays: Delays,
    pairs_per_image: float,
    resources: ResourcesConfig,
    busy: float,
    planning_seconds: float,
) -> Costs:
    """The whole job at full speed times `busy`, the share of the time that its scarcest workers work.

    Args:
        planning_seconds: of a shard.
        resources: of the simulated cluster, with nothing empty.
    """
    workers = planned(resources)
    rates = _rates(config, delays, workers)
    rate = rates.lowest * busy
    mining_hours = config.images / rate / 3600
    listing_hours = 2 * config.images / LISTING_ROWS_PER_SECOND / 3600
    gpus = config.nodes * config.gpus_per_node
    shards = math.ceil(config.images / images_per_shard)
    seconds = [images_per_shard * delays.mean(stage) for stage in STAGES]
    pause_hours = (shards * planning_seconds + math.ceil(shards / SHARDS_AT_ONCE) * sum(seconds)) / 3600
    paid_gpu_hours = gpus * (listing_hours + mining_hours + pause_hours)
    tar_bytes = images_per_shard * pairs_per_image * BYTES_PER_PAIR
    requests = requests_of_a_job(config.images, shards, tar_bytes, seconds)
    thousands = {kind: count / 1000 for kind, count in requests.items()}
    return Costs(
        shards=shards,
        rates=rates,
        listing_hours=listing_hours,
        mining_hours=mining_hours,
        pause_hours=pause_hours,
        gpu_hours=config.images
        * (delays.mean("proposals") * workers.proposal_gpus + delays.mean("matching") * workers.clip_gpus)
        / 3600,
        paid_gpu_hours=paid_gpu_hours,
        requests=requests,
        bytes_read=config.images * config.image_bytes,
        bytes_written=config.images * pairs_per_image * BYTES_PER_PAIR,
        store_bytes_per_second=_HOPS * rate * config.image_bytes / config.nodes,
        dollars={
            "GPUs": paid_gpu_hours * config.dollars_per_gpu_hour,
            "PUT and LIST": (thousands["PUT"] + thousands["LIST"]) * config.dollars_per_1000_puts,
            "GET and HEAD": (thousands["GET"] + thousands["HEAD"]) * config.dollars_per_1000_gets,
        },
    )


def _rates(config: SimulationConfig, delays: Delays, workers: PlannedResources) -> Rates:
    taken = workers.proposal_workers * workers.proposal_cpus + workers.clip_workers * workers.clip_cpus
    left = max(config.nodes * config.cpus_per_node - taken, min(READ_CPUS, WRITE_CPUS))
    held = delays.mean("images") * READ_CPUS + delays.mean("writing") * WRITE_CPUS
    return Rates(
        tasks=left / held,
        proposals=workers.proposal_workers / delays.mean("proposals"),
        matching=workers.clip_workers / delays.mean("matching"),
    )
