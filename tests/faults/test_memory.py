"""A worker that is killed for its memory, in a control group with little of it, so that the machine keeps its own."""

import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from pipeline.inspection.verify import verify
from tests.cluster.ray_nodes import started
from tests.disturbed_jobs import LIMIT_SECONDS
from tests.faults.hungry import HUNGRY
from tests.mining.configs import command_line, dataset_bytes

pytestmark = pytest.mark.soak

MEMORY_BYTES = 4 * 2**30
# Ray looks at the machine's control group: in a mount namespace of its own, the job's takes that place.
ENTER = 'echo $$ > "$1/cgroup.procs" && mount --bind "$1" "$2" && shift 2 && exec "$@"'


@pytest.fixture
def control_group() -> Iterator[Path]:
    """A group of processes that together may use MEMORY_BYTES."""
    folder = controllers() / f"ovseg-test-{uuid.uuid4().hex}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    try:
        limit = next(folder / name for name in ("memory.limit_in_bytes", "memory.max") if (folder / name).exists())
        limit.write_text(str(MEMORY_BYTES))
        subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=True)
        yield folder
    except (OSError, StopIteration, subprocess.CalledProcessError) as error:
        pytest.skip(f"memory cannot be limited here: {error}")
    finally:
        # Ray's daemons end a moment after the job.
        pids = [int(pid) for pid in (folder / "cgroup.procs").read_text().split()]
        psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=60)
        folder.rmdir()


def controllers() -> Path:
    """Where the memory of processes is controlled: cgroup's first version has a folder for it."""
    first = Path("/sys/fs/cgroup/memory")
    return first if first.is_dir() else first.parent


def test_an_image_that_takes_all_memory_costs_only_itself(control_group, mined, world, small_clip, tmp_path):
    output, log = tmp_path / "out", tmp_path / "log.txt"
    job = [sys.executable, "-m", "jobs.mine", *command_line(world, small_clip, str(output))]
    job += ["--proposals.backend=tests.faults.hungry:Hungry"]
    command = ["unshare", "--mount", "sh", "-c", ENTER, "sh", str(control_group), str(controllers()), *job]
    with started(command, log, {"RAY_memory_usage_threshold": "0.8"}) as process:
        assert process.wait(LIMIT_SECONDS) == 0, log.read_text()
    [reject] = pq.read_table(output / "rejects").to_pylist()
    assert (reject["image_id"], reject["stage"], reject["reason"]) == (HUNGRY, "proposals", "kills_worker")
    assert verify(str(output)) == []
    keys, expected = (
        [row["key"] for row in pq.read_table(folder / "manifests").to_pylist() if row["image_id"] != HUNGRY]
        for folder in (output, mined)
    )
    assert keys == expected
    others = {file: data for file, data in dataset_bytes(mined).items() if "000001" not in file}
    found = dataset_bytes(output)
    assert {file: found[file] for file in others} == others
