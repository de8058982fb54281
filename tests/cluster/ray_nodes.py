"""Ray machines simulated by processes of this one, or on hosts of tests.cluster.hosts.

They leave other Rays here alone (`ray stop` would not).
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from tests.cluster.hosts import Host
from tests.servers.ports import free_port

RAY = str(Path(sys.executable).parent / "ray")
LIMIT_SECONDS = 180
"""Nothing here takes this long, however busy the machine."""


@contextlib.contextmanager
def started(command: list[str], log: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen]:
    """A command in a process group of its own, with its output in `log`; ended with all that it started."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            # Ray would wait for half a minute before it goes.
            env=os.environ | {"RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0"} | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        for survivor in psutil.wait_procs(family, timeout=10)[1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                survivor.kill()


def wait_until(condition: Callable[[], bool], process: subprocess.Popen, log: Path) -> None:
    """Return when the condition holds.

    Raises:
        AssertionError: the process ended before.
    """
    while not condition():
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.2)
            raise AssertionError(log.read_text())


@contextlib.contextmanager
def head(folder: Path, environment: dict[str, str], on: Host | None = None) -> Iterator[str]:
    """The address of a Ray head that has no CPUs."""
    address = f"{on.address if on else '127.0.0.1'}:{free_port()}"
    host, _, port = address.partition(":")
    command = [RAY, "start", "--head", "--block", f"--node-ip-address={host}", f"--port={port}", "--num-cpus=0"]
    command += ["--include-dashboard=false", f"--ray-client-server-port={free_port()}", "--disable-usage-stats"]
    log = folder / "head.log"
    with started(on.command(*command) if on else command, log, environment) as process:
        wait_until(lambda: healthy(address, environment, on), process, log)
        yield address


@contextlib.contextmanager
def worker(
    address: str, folder: Path, environment: dict[str, str], *options: str, on: Host | None = None
) -> Iterator[None]:
    """A machine that joins the cluster at `address`."""
    command = [RAY, "start", "--block", f"--address={address}", "--disable-usage-stats", *options]
    with started(on.command(*command) if on else command, folder / "worker.log", environment):
        yield


def healthy(address: str, environment: dict[str, str], on: Host | None = None) -> bool:
    """Whether a Ray head answers there."""
    command = [RAY, "health-check", "--address", address]
    check = subprocess.run(
        on.command(*command) if on else command, env=os.environ | environment, capture_output=True, check=False
    )
    return check.returncode == 0
