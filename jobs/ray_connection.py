"""The connection to Ray: where it comes from, and what is said when its head is gone.

When the head does not answer for a minute (`RAY_gcs_rpc_server_reconnect_timeout_s`), Ray ends the driver itself, with
exit code 1 and on the spot: nothing can be said afterwards, so it is said before.
"""

import contextlib
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import ray

from jobs.exit_codes import interrupted_by_sigterm
from pipeline.errors import IncompleteError

_LOOK_SECONDS = 5.0
_STARTS = 3
"""How often Ray is started on this machine before that is given up: it allows its daemons 30 seconds, which a busy
machine may need."""


def work_on_ray(work: Callable[[], None]) -> None:
    """Connect to Ray, and do the work. SIGTERM interrupts it."""
    connect()
    # Once more: `ray.init` sets a handler of its own.
    with interrupted_by_sigterm(), head_watch():
        work()


def connect() -> None:
    """Connect to the cluster that RAY_ADDRESS names (`ray job submit` sets it), or start Ray on this machine.

    A cluster that merely happens to run here is left alone: it may belong to another job and end with it.

    Raises:
        IncompleteError: there is no such cluster, or Ray does not start.
    """
    if ray.is_initialized():
        return
    options = {"log_to_driver": False, "logging_level": logging.WARNING}
    address = os.environ.get("RAY_ADDRESS")
    try:
        if address:
            ray.init(address=address, **options)
        else:
            _start_here(options)
    except Exception as error:  # Ray raises it as it is: where daemons start too slowly, say
        where = f"the Ray cluster at RAY_ADDRESS, {address}, cannot be used" if address else "Ray does not start here"
        raise IncompleteError(f"{where}: {error}; the same command carries on from here") from error
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    # It would tell how to turn on the bars that `pipeline.execution.progress` stands in for.
    logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)


def _start_here(options: dict[str, Any]) -> None:
    for started in range(1, _STARTS + 1):
        try:
            # The stages of mining hold two logical CPUs together, so one core counts as two.
            ray.init(address="local", num_cpus=max(2, os.cpu_count() or 1), include_dashboard=False, **options)
            return
        except Exception as error:
            ray.shutdown()
            if started == _STARTS or "timed out during startup" not in str(error):
                raise
            print("Ray has not started within 30 seconds; it is started again", file=sys.stderr)


@contextlib.contextmanager
def head_watch() -> Iterator[None]:
    """While work is done on the cluster that this process is connected to."""
    address = ray.get_runtime_context().gcs_address
    done = threading.Event()
    thread = threading.Thread(target=_watch, args=(address, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _watch(address: str, done: threading.Event) -> None:
    host, _, port = address.rpartition(":")
    while not done.wait(_LOOK_SECONDS):
        try:
            socket.create_connection((host.strip("[]"), int(port)), _LOOK_SECONDS).close()
        except OSError as error:
            print(
                f"the head of the Ray cluster, {address}, does not answer ({error}). Unless it comes back, Ray ends "
                "this job in about a minute, incomplete; the same command carries on from here, on any cluster",
                file=sys.stderr,
            )
            return
