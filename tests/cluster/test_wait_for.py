"""cluster/wait_for.py on real Ray: it asks for machines, waits for them, and becomes the job."""

import os
import subprocess
import sys

import pytest

from tests.cluster.documents import CLUSTER
from tests.cluster.ray_nodes import LIMIT_SECONDS, RAY, head, started, wait_until, worker

pytestmark = pytest.mark.slow

TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 32}
# What the job sees: the machines are there, and nothing of them is held any more. 3 is its exit code.
JOB = """
import os, ray
ray.init(address=os.environ["RAY_ADDRESS"], log_to_driver=False)
print("job:", int(ray.cluster_resources()["GPU"]), sum(node["Alive"] for node in ray.nodes()), flush=True)
held = ray.remote(num_gpus=2)(lambda: "all free")
print(ray.get(held.remote()), flush=True)
raise SystemExit(3)
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A Ray head without GPUs."""
    with head(tmp_path_factory.mktemp("ray"), TOKEN) as address:
        yield address


def command(*options: str) -> list[str]:
    return [sys.executable, str(CLUSTER / "wait_for.py"), *options, "--", sys.executable, "-c", JOB]


def status(address: str) -> str:
    """What the autoscaler knows."""
    command = [RAY, "status", "--address", address]
    return subprocess.run(command, env={**os.environ, **TOKEN}, capture_output=True, text=True, check=True).stdout


def test_the_job_starts_when_its_gpus_are_there(address, tmp_path):
    environment = {**TOKEN, "RAY_ADDRESS": address}
    log = tmp_path / "log.txt"
    with started(command("--gpus", "2", "--nodes", "2"), log, environment) as waiting:
        wait_until(lambda: "0 of 2 GPUs" in log.read_text(), waiting, log)
        # What an autoscaler looks at, every few seconds.
        wait_until(lambda: "{'GPU': 1.0}" in status(address), waiting, log)
        with worker(address, tmp_path, TOKEN, "--num-gpus=2", "--num-cpus=1"):
            code = waiting.wait(LIMIT_SECONDS)
    assert "job: 2 2\nall free" in log.read_text()
    assert code == 3


def test_it_gives_up(address):
    waited = subprocess.run(
        command("--gpus", "99", "--minutes", "0.01"),
        env={**os.environ, **TOKEN, "RAY_ADDRESS": address},
        capture_output=True,
        text=True,
        check=False,
    )
    assert waited.returncode == 1
    assert "incomplete: not there after 0.01 minutes" in waited.stderr
    assert "job:" not in waited.stdout
