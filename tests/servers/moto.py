"""moto's S3 emulator in a process of its own. It accepts any credentials."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.servers.ports import free_port
from tests.servers.s3_server import S3Server, start, stop, wait_for_http


@contextlib.contextmanager
def running(folder: Path) -> Iterator[S3Server]:
    """A server with no buckets; its log goes to `folder`."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    log = folder / "moto.log"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = start(command, log)
    try:
        wait_for_http(endpoint, process, log)
        yield S3Server("moto", endpoint)
    finally:
        stop(process)
