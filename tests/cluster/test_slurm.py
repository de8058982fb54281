"""cluster/slurm.sh on real Ray. One machine plays all nodes: `srun` and `scontrol` stand in for Slurm's."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.cluster.documents import CLUSTER
from tests.cluster.ray_nodes import LIMIT_SECONDS, started, wait_until
from tests.servers.ports import free_port

SCRIPT = CLUSTER / "slurm.sh"
STAND_INS = {
    # Runs the command here; of the options, only where the output goes counts.
    "srun": """#!/bin/bash
echo "$@" >> "$CALLS"
while [[ $1 == --* ]]; do
    [[ $1 == --output=* ]] && output=${1#--output=}
    shift
done
exec "$@" > "$output" 2>&1
""",
    "scontrol": """#!/bin/bash
[ "$1 $2" = "show hostnames" ] && tr ',' '\\n' <<< "$3"
""",
}
# A job that ends as ours do when they are told to.
JOB = """
import os, pathlib, ray, signal, sys
ray.init(address=os.environ["RAY_ADDRESS"], log_to_driver=False)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
nodes = sum(node["Alive"] for node in ray.nodes())
pathlib.Path(sys.argv[1]).write_text(f"{nodes} {os.environ['RAY_AUTH_MODE']}")
while True:
    signal.pause()
"""


def test_bash_can_read_it():
    subprocess.run(["bash", "-n", SCRIPT], check=True)
    assert os.access(SCRIPT, os.X_OK)


def test_shellcheck_finds_nothing():
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    subprocess.run(["shellcheck", "--enable=quote-safe-variables", SCRIPT], check=True)


def test_without_a_command_it_says_how_to_call_it():
    called = subprocess.run(["bash", SCRIPT], capture_output=True, text=True, check=False)
    assert called.returncode == 2
    assert "usage: sbatch cluster/slurm.sh" in called.stderr


@pytest.mark.soak
def test_a_job_on_two_nodes_is_told_when_its_time_is_up(tmp_path):
    for name, text in STAND_INS.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "cluster").symlink_to(CLUSTER)
    port = free_port()
    found = tmp_path / "found"
    environment = {
        # The token is made there.
        "HOME": str(tmp_path),
        "PATH": os.pathsep.join([str(tmp_path), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "CALLS": str(tmp_path / "calls"),
        "HEAD_IP": "127.0.0.1",
        "HEAD_PORT": str(port),
        "SLURM_JOB_ID": f"test{port}",
        "SLURM_JOB_NODELIST": "first,second",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_CPUS_ON_NODE": "1",
    }
    log = tmp_path / "log.txt"
    command = ["bash", "-c", f'cd {tmp_path} && exec bash {SCRIPT} "$@"', "bash", sys.executable, "-c", JOB, str(found)]
    with started(command, log, environment) as script:
        wait_until(lambda: found.exists() and found.read_text() != "", script, log)
        assert found.read_text() == "2 token"
        rays = psutil.Process(script.pid).children(recursive=True)
        # `--signal=B:TERM@120`: to the script alone.
        script.send_signal(signal.SIGTERM)
        assert script.wait(LIMIT_SECONDS) == 130, log.read_text()
        assert not psutil.wait_procs(rays, timeout=60)[1]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    # The other node got a Ray, the first one is the head's.
    [call] = (tmp_path / "calls").read_text().splitlines()
    assert "--nodelist=second" in call
    assert (tmp_path / ".ray" / "auth_token").read_text() not in log.read_text()
    shutil.rmtree(f"/tmp/ray-test{port}")
