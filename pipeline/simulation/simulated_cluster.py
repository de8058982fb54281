"""A Ray cluster whose machines are processes of this one."""

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator

import ray
from ray.cluster_utils import Cluster
from ray.data import DataContext

from pipeline.simulation.fit import Fit

_STORE_BYTES = 80 * 2**20


@contextlib.contextmanager
def simulated_cluster(fit: Fit) -> Iterator[None]:
    """Start it, and connect this process to it. A simulated node has room for its worker processes and nothing else;
    tasks run on the head.

    Raises:
        RuntimeError: this process is connected to Ray already.
    """
    if ray.is_initialized():
        raise RuntimeError("this process is connected to Ray already")
    # Ray notes the newest cluster of a machine in its temporary folder: jobs of others must not find this one.
    with tempfile.TemporaryDirectory(prefix="simulated-") as folder, _environment("RAY_TMPDIR", folder):
        cluster = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 2 * (os.cpu_count() or 1),
                "num_gpus": 0,
                "include_dashboard": False,
                "object_store_memory": 4 * _STORE_BYTES,
            },
        )
        try:
            for _ in range(fit.nodes):
                cluster.add_node(wait=False, num_cpus=0, num_gpus=2 * fit.processes, object_store_memory=_STORE_BYTES)
            cluster.wait_for_nodes(timeout=600)
            ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
            logging.getLogger("ray.data").setLevel(logging.ERROR)
            DataContext.get_current().enable_progress_bars = False
            yield
        finally:
            ray.shutdown()
            cluster.shutdown()


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before
