"""Machines that the tests let fail."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.cluster.ray_nodes import RAY, started, wait_until

TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 32}
"""Environment of all machines, and of jobs on them."""


@contextlib.contextmanager
def joined(address: str, log: Path, *options: str) -> Iterator[None]:
    """A machine of the cluster at `address`, from when it has joined. `log` is a new file."""
    command = [RAY, "start", "--block", f"--address={address}", "--disable-usage-stats", *options]
    while True:
        with started(command, log, TOKEN) as process:
            try:
                wait_until(lambda: "Ray runtime started" in log.read_text(), process, log)
            except AssertionError:
                # Ray gives a machine half a minute, which a busy one may not keep to.
                if "timed out during startup" not in log.read_text():
                    raise
                log.unlink()
                continue
            yield
            return
