"""How many of the simulated machines and workers this machine can run as processes of their own."""

import math
import os
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UserError
from pipeline.mining.config import ResourcesConfig, planned

# Proportional set sizes measured with Ray 2.60 on Linux, rounded up: a raylet and its agents 132 MB, a worker of Ray
# Data 115 MB. The rest is for the control process, Ray Data's own actors, workers for tasks, and the driver.
_NODE_GB = 0.14
_WORKER_GB = 0.12
_REST_GB = 1.5
_SHARE_OF_FREE = 2 / 3
# More of them, and what is seen is how long they wait for a core of this machine. Workers only wait: one process can
# stand for many.
_NODES_PER_CORE = 4
_PROCESSES_PER_CORE = 8


@dataclass(frozen=True)
class Fit:
    """What is simulated here."""

    nodes: int
    """Ray nodes; each stands for as many machines as the division leaves."""
    processes: int
    """Worker processes of each of the two pools, on each node."""
    propose_threads: int
    """Workers that one process stands for."""
    match_threads: int

    @property
    def propose_workers(self) -> int:
        """Simulated workers that propose masks."""
        return self.nodes * self.processes * self.propose_threads

    @property
    def match_workers(self) -> int:
        """Simulated workers that match masks with nouns."""
        return self.nodes * self.processes * self.match_threads


def fit(nodes: int, resources: ResourcesConfig, memory_gb: float | None, cores: int | None = None) -> Fit:
    """As many nodes, and then as many processes, as the memory and the cores are enough for.

    Args:
        nodes: machines of the simulated cluster.
        resources: of its workers, with nothing empty.
        memory_gb: None: two thirds of what is free.
        cores: None: this machine's.

    Raises:
        UserError: the memory is not enough for one.
    """
    workers = planned(resources)
    memory_gb = memory_gb or _SHARE_OF_FREE * _free_gb()
    left = memory_gb - _REST_GB
    least = _NODE_GB + 2 * _WORKER_GB
    if left < least:
        raise UserError(
            f"simulate: memory_gb is {memory_gb:.1f}; to play the smallest cluster takes {_REST_GB + least:.1f} GB"
        )
    cores = cores or os.cpu_count() or 1
    simulated = max(count for count in _divisors(nodes) if count * least <= left and count <= _NODES_PER_CORE * cores)
    on_a_node = math.ceil(workers.clip_workers / simulated)
    room = int((left / simulated - _NODE_GB) / (2 * _WORKER_GB))
    most = max(1, min(room, _PROCESSES_PER_CORE * cores // (2 * simulated)))
    processes = max(count for count in _divisors(on_a_node) if count <= most)
    proposers = math.ceil(workers.proposal_workers / (simulated * processes))
    return Fit(simulated, processes, proposers, on_a_node // processes)


def _divisors(number: int) -> list[int]:
    return [divisor for divisor in range(1, number + 1) if number % divisor == 0]


def _free_gb() -> float:
    lines = Path("/proc/meminfo").read_text().splitlines()
    kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    return kilobytes / 1e6
