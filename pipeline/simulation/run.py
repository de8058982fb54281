"""A simulation from its configuration to its tables."""

import math
import time
from dataclasses import dataclass

from pipeline.configuration import limits
from pipeline.mining.config import MineConfig, PlannedResources, ResourcesConfig, planned
from pipeline.mining.resources import check_resources
from pipeline.simulation.config import SimulationConfig
from pipeline.simulation.delays import Delays, MeasuredDelays, assumed_delays, measured_delays
from pipeline.simulation.fit import Fit, fit
from pipeline.simulation.model import Costs, estimate
from pipeline.simulation.scheduling import Scheduled, schedule
from pipeline.simulation.simulated_cluster import simulated_cluster

_SHARDS_PER_WORKER = 8


@dataclass(frozen=True)
class Simulation:
    """What was simulated, and what came of it."""

    resources: ResourcesConfig
    """Of the simulated cluster, with nothing empty."""
    measured: MeasuredDelays | None
    delays: Delays
    pairs_per_image: float
    fit: Fit
    cluster_seconds: float
    """To start the simulated nodes here."""
    scheduled: Scheduled
    busy: float
    """Share of the time that the scarcer kind of workers works."""
    costs: Costs


def simulate(config: MineConfig, simulation: SimulationConfig) -> Simulation:
    """Schedule the first shards on a simulated cluster, and estimate the rest.

    Raises:
        UserError: the configurations, or this machine, have to be changed.
    """
    limits.check(config)
    limits.check(simulation, "simulate")
    machine = {"CPU": float(simulation.cpus_per_node), "GPU": float(simulation.gpus_per_node)}
    resources = check_resources(config, [machine] * simulation.nodes)
    workers = planned(resources)
    measured = measured_delays(simulation.measured, simulation.seed) if simulation.measured else None
    delays = measured.delays if measured else assumed_delays(simulation)
    pairs_per_image = measured.pairs_per_image if measured else simulation.pairs_per_image
    images_per_shard = config.shards.images_per_shard
    fitted = fit(simulation.nodes, resources, simulation.memory_gb)
    shards = simulation.shards or _SHARDS_PER_WORKER * workers.clip_workers
    shards = min(shards, math.ceil(simulation.images / images_per_shard))
    started = time.perf_counter()
    with simulated_cluster(fitted):
        cluster_seconds = time.perf_counter() - started
        scheduled = schedule(range(shards), images_per_shard, delays, fitted, take=shards)
    busy = _busy(scheduled, delays, workers)
    planning_seconds = scheduled.planning_seconds / scheduled.shards
    costs = estimate(simulation, images_per_shard, delays, pairs_per_image, resources, busy, planning_seconds)
    return Simulation(resources, measured, delays, pairs_per_image, fitted, cluster_seconds, scheduled, busy, costs)


def _busy(scheduled: Scheduled, delays: Delays, workers: PlannedResources) -> float:
    seconds = {
        "proposals": delays.mean("proposals") / workers.proposal_workers,
        "matching": delays.mean("matching") / workers.clip_workers,
    }
    share = scheduled.busy[max(seconds, key=seconds.__getitem__)]
    return share.whole if share.steady is None else share.steady
