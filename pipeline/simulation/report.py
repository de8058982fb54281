"""A simulation as tables: what was assumed, what was simulated, what was seen, and what the whole job comes to."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.mining.config import MineConfig, planned
from pipeline.mining.graph import SHARDS_AT_ONCE
from pipeline.simulation.config import SimulationConfig
from pipeline.simulation.run import Simulation

_SAID = {"images": "reading", "proposals": "proposals", "matching": "CLIP", "writing": "writing"}


def print_simulation(config: MineConfig, simulation: SimulationConfig, done: Simulation) -> None:
    """Print all tables."""
    for title, rows in (
        ("assumed", _assumed(config, simulation, done)),
        ("simulated on this machine", _simulated(simulation, done)),
        ("seen", _seen(done)),
        ("the whole job, estimated", _whole(simulation, done)),
    ):
        table = Table(title, "", show_header=True)
        for name, value in rows:
            table.add_row(name, escape(value))
        Console().print(table)


def _assumed(config: MineConfig, simulation: SimulationConfig, done: Simulation) -> list[tuple[str, str]]:
    workers, measured = planned(done.resources), done.measured
    source = f"measured on {measured.shards} shards of {simulation.measured}" if measured else "assumed"
    seconds = ", ".join(f"{said} {done.delays.mean(stage):.3g}" for stage, said in _SAID.items())
    return [
        (
            "machines",
            f"{simulation.nodes} with {simulation.gpus_per_node} GPUs and {simulation.cpus_per_node} CPUs each",
        ),
        ("workers that propose", _share(workers.proposal_workers, workers.proposal_gpus, workers.proposal_cpus)),
        ("workers that match", _share(workers.clip_workers, workers.clip_gpus, workers.clip_cpus)),
        ("seconds an image", f"{seconds}; {source}"),
        ("pairs an image", f"{done.pairs_per_image:.2f}; {source}"),
        ("images a shard", str(config.shards.images_per_shard)),
        ("bytes of an image", f"{simulation.image_bytes:,.0f}; assumed"),
        (
            "prices",
            f"${simulation.dollars_per_gpu_hour:g} a GPU-hour, ${simulation.dollars_per_1000_puts:g} for 1,000 PUT or "
            f"LIST, ${simulation.dollars_per_1000_gets:g} for 1,000 GET or HEAD; assumed",
        ),
    ]


def _share(workers: int, gpus: float, cpus: float) -> str:
    return f"{workers} with {gpus:g} GPU and {cpus:g} CPU each"


def _simulated(simulation: SimulationConfig, done: Simulation) -> list[tuple[str, str]]:
    fit = done.fit
    return [
        ("real", "Ray, Ray Data, the driver, and the pipeline of mining with its pools and limits"),
        ("machines", f"{fit.nodes} Ray nodes of this machine, each for {simulation.nodes // fit.nodes}"),
        ("workers that propose", _processes(fit.nodes * fit.processes, fit.propose_threads)),
        ("workers that match", _processes(fit.nodes * fit.processes, fit.match_threads)),
        (
            "proposals and CLIP",
            "waiting; a shard that waits at a process goes to the first of its workers that is free",
        ),
        ("reading and writing", "real tasks that do nothing, on the head; a shard is 1 kB, not its images"),
    ]


def _processes(processes: int, threads: int) -> str:
    alone = "a worker each" if threads == 1 else f"each with {threads} threads for {threads} workers"
    return f"{processes * threads}: {processes} processes, {alone}"


def _seen(done: Simulation) -> list[tuple[str, str]]:
    seen = done.scheduled
    mb = seen.driver_mb
    rows = [
        ("shards", f"{seen.finished} of {done.costs.shards} in {seen.seconds:.0f} s"),
        ("to start the simulated nodes", f"{done.cluster_seconds:.1f} s"),
        ("to plan", f"{seen.planning_seconds:.2f} s, {1000 * seen.planning_seconds / seen.shards:.2f} ms a shard"),
        ("until the first shard was done", f"{seen.first_seconds:.1f} s"),
    ]
    for stage, share in seen.busy.items():
        steady = "not reached" if share.steady is None else f"{share.steady:.1%}"
        rows.append(
            (
                f"busy: {_SAID[stage]}",
                f"{steady} while there was work for all, {share.whole:.1%} with start and end; "
                f"{share.workers} workers had work",
            )
        )
    return [
        *rows,
        (
            "driver's memory",
            f"{mb.before:.0f} MB before, {mb.planned:.0f} MB with the plan, {mb.first:.0f} MB when the first shard was "
            f"done, {mb.done:.0f} MB at the end",
        ),
        ("driver's CPU", f"{1000 * seen.driver_cpu_seconds / seen.finished:.1f} ms a shard"),
        (
            "this machine's cores",
            f"{seen.machine_busy:.0%} in use; near 100 % they, not Ray, are what workers wait for",
        ),
    ]


def _whole(simulation: SimulationConfig, done: Simulation) -> list[tuple[str, str]]:
    costs = done.costs
    rates = costs.rates
    seen = done.scheduled
    driver_mb = seen.estimate_driver_mb(min(costs.shards, SHARDS_AT_ONCE))
    return [
        ("shards", f"{costs.shards:,}"),
        (
            "images/s at most",
            f"reading and writing {rates.tasks:,.0f}, proposals {rates.proposals:,.0f}, CLIP {rates.matching:,.0f}; "
            f"{_SAID.get(rates.slowest, 'reading and writing')} is what the others wait for",
        ),
        ("busy", f"{done.busy:.1%} of the workers that the others wait for, as seen"),
        (
            "hours",
            f"{costs.mining_hours:.2f}, and {costs.listing_hours:.2f} to list the source, {costs.pause_hours:.2f} of "
            f"planning and ends, {SHARDS_AT_ONCE:,} shards at a time; starting machines and loading models not counted",
        ),
        ("GPU-hours", f"{costs.gpu_hours:,.0f} of work, {costs.paid_gpu_hours:,.0f} paid for"),
        ("requests", ", ".join(f"{count:,} {kind}" for kind, count in sorted(costs.requests.items()))),
        ("object storage", f"{costs.bytes_read / 1e12:.2f} TB read, {costs.bytes_written / 1e12:.2f} TB written"),
        ("Ray's object store", f"{costs.store_bytes_per_second / 1e6:.1f} MB/s on each machine"),
        ("driver's memory", f"{driver_mb:,.0f} MB at the end of a batch, by what was seen"),
        ("dollars", _dollars(costs.dollars)),
    ]


def _dollars(parts: dict[str, float]) -> str:
    return f"${sum(parts.values()):,.0f}: " + ", ".join(f"{name} ${value:,.2f}" for name, value in parts.items())
