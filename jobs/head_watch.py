"""Saying that the head of the Ray cluster is gone.

When the head does not answer for a minute (`RAY_gcs_rpc_server_reconnect_timeout_s`), Ray ends the driver itself, with
exit code 1 and on the spot: nothing can be said afterwards, so it is said before.
"""

import contextlib
import socket
import sys
import threading
from collections.abc import Iterator

import ray

_LOOK_SECONDS = 5.0


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
