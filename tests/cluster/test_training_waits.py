"""Training on a cluster whose machines are not there yet, or not any more: real Ray."""

import sys
from pathlib import Path

import pytest

from tests.cluster.ray_nodes import LIMIT_SECONDS, head, started, wait_until, worker
from tests.training.configs import command_line

pytestmark = pytest.mark.soak

# Ray Train would try for a minute each time.
ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "0" * 32,
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "1",
}


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A Ray head without CPUs, for `RAY_ADDRESS`."""
    with head(tmp_path_factory.mktemp("ray"), ENVIRONMENT) as address:
        yield {**ENVIRONMENT, "RAY_ADDRESS": address}


def command(mined: Path, small_clip: str, output: Path, minutes: int) -> list[str]:
    job = [sys.executable, "-m", "jobs.train", *command_line(mined, small_clip, output), "--mode=mask_prompt"]
    return [*job, "--workers.count=2", f"--workers.wait_minutes={minutes}"]


def test_it_starts_when_they_come(environment, mined, small_clip, tmp_path):
    log, output = tmp_path / "log.txt", tmp_path / "out"
    with started(command(mined, small_clip, output, 1000), log, environment) as job:
        wait_until(lambda: "has 0 CPUs: waiting for workers.wait_minutes = 1000" in log.read_text(), job, log)
        with worker(environment["RAY_ADDRESS"], tmp_path, ENVIRONMENT, "--num-cpus=2"):
            assert job.wait(LIMIT_SECONDS) == 0, log.read_text()
    assert (output / "result.json").exists()


def test_it_gives_up(environment, mined, small_clip, tmp_path):
    log = tmp_path / "log.txt"
    with started(command(mined, small_clip, tmp_path / "out", 2), log, environment) as job:
        assert job.wait(LIMIT_SECONDS) == 1, log.read_text()
    assert "waited for machines for workers.wait_minutes = 2 at most" in log.read_text()
