"""Imports what Ray's workers import, but Ray itself, and forks one for each that asks: see `sitecustomize.py`.

    python tests/forked_workers/fork_server.py SOCKET

Ends with the process that started it.
"""

import ctypes
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import threading
from pathlib import Path

import huggingface_hub

_PACKAGES = (
    "aiohttp", "botocore.parsers", "cv2", "duckdb", "jsonargparse", "jsonschema", "open_clip", "pandas", "psutil",
    "pyarrow.dataset", "pycocotools.mask", "pydantic", "scipy.ndimage", "scipy.sparse.csgraph", "spacy",
    "timm.models.eva", "webdataset",
)  # fmt: skip
_DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def main(address: str) -> None:
    """Serve until the parent ends."""
    ctypes.CDLL(None).prctl(_DIES_WITH_PARENT, signal.SIGTERM)
    for package in _PACKAGES:
        importlib.import_module(package)
    check_threads()
    server = socket.socket(socket.AF_UNIX)
    server.bind(f"{address}.new")
    server.listen(64)
    os.rename(f"{address}.new", address)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the workers
    while True:
        client, _ = server.accept()
        with client:
            if (asked := request(client)) is None:
                continue
            worker, streams = asked
            if not os.fork():
                server.close()
                client.close()
                become(worker, streams)
            client.sendall(b"\1")
            for stream in streams:
                os.close(stream)


def request(client: socket.socket) -> tuple[dict, list[int]] | None:
    """What a process that asks is, and its standard streams; None if it has gone."""
    try:
        _, streams, _, _ = socket.recv_fds(client, 1, 3)
        return json.loads(client.makefile("rb").readline()), streams
    except (OSError, ValueError):
        return None


def check_threads() -> None:
    """What the fork of a process with threads does is anybody's guess, but for those of jemalloc, which knows of it."""
    names = {(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()}
    assert threading.active_count() == 1
    assert len(names - {"jemalloc_bg_thd"}) == 1, f"imported packages have started threads: {names}"


def become(worker: dict, streams: list[int]) -> None:
    """Go on as the process that asked; never returns."""
    ctypes.CDLL(None).prctl(_DIES_WITH_PARENT, 0)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setpgid(0, 0)  # Ray ends the whole group of a worker that has died
    for place, stream in enumerate(streams):
        os.dup2(stream, place)
        os.close(stream)
    os.environ.clear()
    os.environ.update(worker["environ"])
    os.chdir(worker["cwd"])
    importlib.reload(huggingface_hub.constants)  # they are what the environment said at import
    sys.argv, sys.path[:] = worker["argv"], worker["path"]
    runpy.run_path(sys.argv[0], run_name="__main__")
    sys.exit()


if __name__ == "__main__":
    main(sys.argv[1])
