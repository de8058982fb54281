"""Machines of a cluster that die, one after the other, and at last its head."""

import re
import subprocess
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from pipeline.inspection.verify import verify
from tests.cluster.ray_nodes import head, wait_until
from tests.disturbed_jobs import LIMIT_SECONDS, job, run
from tests.faults.gate import Gate
from tests.faults.machines import TOKEN, joined
from tests.mining.configs import command_line, dataset_bytes

pytestmark = pytest.mark.soak


def test_machines_and_the_head_die(mined, world, small_clip, tmp_path):
    gate, output, log = Gate(world, tmp_path / "gate"), tmp_path / "out", tmp_path / "log.txt"
    arguments = [*command_line(world, small_clip, str(output)), *gate.arguments]
    on_gpus = [*arguments, "--resources.proposal_gpus=1", "--resources.clip_gpus=0", "--resources.wait_minutes=0"]
    with ExitStack() as cluster:
        address = cluster.enter_context(head(tmp_path, TOKEN))
        environment = TOKEN | {"RAY_ADDRESS": address}
        machine = ("--num-cpus=2", "--num-gpus=1")
        for name in ("first", "second"):
            cluster.enter_context(joined(address, tmp_path / f"{name}.log", *machine))

        with job("mine", on_gpus, log, environment) as process:
            first = raylet_at(gate, process, log)
            first.kill()
            # The job goes on at the other machine.
            second = raylet_at(gate, process, log)
            assert second != first
            second.kill()
            assert process.wait(LIMIT_SECONDS) == 1, log.read_text()
        assert "incomplete: the machines have no room for workers of " in log.read_text()
        assert "of the cluster's 1 machines are free" in log.read_text()

        cluster.enter_context(joined(address, tmp_path / "third.log", *machine))
        with job("mine", on_gpus, log, environment) as process:
            raylet_at(gate, process, log)
            for daemon in head_daemons(address):
                daemon.kill()
            assert process.wait(LIMIT_SECONDS) == 1, log.read_text()
        port = address.rpartition(":")[2]
        assert re.search(rf"the head of the Ray cluster, .*:{port}, does not answer", log.read_text())
        assert "the same command carries on from here, on any cluster" in log.read_text()
    assert not (output / "dataset.json").exists()

    gate.open()
    assert run("mine", arguments, log) == 0, log.read_text()
    assert dataset_bytes(output) == dataset_bytes(mined)
    assert verify(str(output)) == []
    assert not (output / "attempts").exists()


def raylet_at(gate: Gate, process: subprocess.Popen, log: Path) -> psutil.Process:
    """The Ray daemon of the machine whose worker comes to the gate next."""
    raylet = gate.next_arrival(lambda condition: wait_until(condition, process, log)).parent()
    assert raylet.name() == "raylet"
    return raylet


def head_daemons(address: str) -> list[psutil.Process]:
    """All processes of the head of a cluster that this process started."""
    port = address.rpartition(":")[2]
    [gcs] = [
        process
        for process in psutil.Process().children(recursive=True)
        if process.name() == "gcs_server" and f"--gcs_server_port={port}" in process.cmdline()
    ]
    return gcs.parent().children()
