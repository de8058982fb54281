"""A mining job on three hosts of which one is lost, or comes back: real Ray on a network that is really cut."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from pipeline.dataset.layout import Layout
from pipeline.dataset.shards import ShardsConfig
from pipeline.inspection.verify import verify
from pipeline.mining.run import mine
from tests.cluster.hosts import Host, Network, network
from tests.cluster.ray_nodes import head, started, wait_until, worker
from tests.disturbed_jobs import LIMIT_SECONDS
from tests.mining.configs import command_line, dataset_bytes, mine_config

ENVIRONMENT = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 32}
# Ray gives a machine up that does not answer for a minute or so, and a call to it after seven; here half a minute each.
IMPATIENT = ENVIRONMENT | {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "5000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_grpc_client_keepalive_time_ms": "10000",
    "RAY_grpc_client_keepalive_timeout_ms": "20000",
}
IMAGES_PER_SHARD = 1


@dataclass(frozen=True)
class Mining:
    """A job that mines `world` on two hosts, seen from outside."""

    net: Network
    process: subprocess.Popen
    log: Path
    output: Path

    def busy(self, stage: str) -> Host:
        """A host that has a worker in that stage, when there are shards that are committed and others that are not."""
        found: list[Host] = []

        def look() -> bool:
            if Layout(str(self.output)).committed():
                found.extend(host for host in self.net.hosts if workers(host, stage))
            return bool(found)

        wait_until(look, self.process, self.log)
        return found[0]

    def ends_well(self) -> None:
        assert self.process.wait(LIMIT_SECONDS) == 0, self.log.read_text()


def workers(host: Host, stage: str = "") -> list[psutil.Process]:
    """The Ray workers that are in a stage of mining."""
    return host.processes("ray::Map", stage)


@pytest.fixture(scope="module")
def undisturbed(ray_cluster, world, small_clip, tmp_path_factory) -> Path:
    """The dataset as a job mines it that nobody disturbs."""
    output = tmp_path_factory.mktemp("undisturbed")
    mine(mine_config(world, small_clip, output, shards=ShardsConfig(images_per_shard=IMAGES_PER_SHARD)))
    return output


@pytest.fixture
def environment() -> dict[str, str]:
    """Of all Rays."""
    return IMPATIENT


@pytest.fixture
def mining(environment, world, small_clip, tmp_path, tmp_path_factory) -> Iterator[Mining]:
    addresses = {"head": "192.0.2.10", "worker-1": "192.0.2.11", "worker-2": "192.0.2.12"}
    tests = tmp_path_factory.getbasetemp()
    log, output = tmp_path / "log.txt", tmp_path / "out"
    with contextlib.ExitStack() as stack:
        net = stack.enter_context(network(tmp_path / "hosts", addresses, {tests: tests}))
        on_head, *others = net.hosts
        address = stack.enter_context(head(tmp_path, environment, on_head))
        for host in others:
            stack.enter_context(worker(address, host.folder, environment, "--num-cpus=2", on=host))
        job = [*command_line(world, small_clip, str(output)), f"--shards.images_per_shard={IMAGES_PER_SHARD}"]
        command = on_head.command(sys.executable, "-m", "jobs.mine", *job)
        process = stack.enter_context(started(command, log, environment | {"RAY_ADDRESS": address}))
        yield Mining(net, process, log, output)
        # Ray would take its time.
        for host in net.hosts:
            host.power_off()


def check(output: Path, undisturbed: Path) -> None:
    """Nothing tells the dataset from one that nobody disturbed."""
    assert dataset_bytes(output) == dataset_bytes(undisturbed)
    assert verify(str(output)) == []
    assert not (output / "attempts").exists()


@pytest.mark.soak
def test_a_host_that_is_cut_off_for_good(undisturbed, mining):
    """It lives on, and shares a file system with the others: what it had begun it finishes there."""
    mining.net.cut(mining.busy("MatchStage"))
    mining.ends_well()
    check(mining.output, undisturbed)


@pytest.mark.soak
@pytest.mark.parametrize("environment", [ENVIRONMENT], ids=["Ray's own time limit"])
def test_a_host_that_is_cut_off_for_half_a_minute(undisturbed, mining):
    lost = mining.busy("MatchStage")
    mining.net.cut(lost)
    with contextlib.suppress(subprocess.TimeoutExpired):
        mining.process.wait(30)
    mining.net.mend(lost)
    mining.ends_well()
    check(mining.output, undisturbed)


@pytest.mark.soak
def test_a_host_that_wakes_when_all_is_done(undisturbed, mining):
    """A virtual machine that was paused while it wrote: it was given up, others did its work, and then it goes on."""
    paused = mining.busy("write_stage")
    paused.freeze()
    while not workers(paused, "write_stage"):  # it was done before it froze
        paused.thaw()
        paused = mining.busy("write_stage")
        paused.freeze()
    mining.ends_well()
    check(mining.output, undisturbed)

    asleep = workers(paused)
    paused.thaw()
    # They find out that nobody wants them any more.
    assert not psutil.wait_procs(asleep, timeout=LIMIT_SECONDS)[1]
    check(mining.output, undisturbed)


@pytest.mark.soak
def test_a_host_that_loses_power(undisturbed, mining):
    mining.busy("MatchStage").power_off()
    mining.ends_well()
    check(mining.output, undisturbed)
