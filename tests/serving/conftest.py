"""A server as a user starts it."""

import io
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.clip.conftest import tiny, tiny_folder
from tests.servers.ports import free_port
from tests.serving.colours_at_a_gate import Gate

__all__ = ["tiny", "tiny_folder"]

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Server:
    """What a test needs to know of a running server."""

    url: str
    gate: Gate
    clip: Path
    """Folder of its CLIP."""


def png(image: np.ndarray) -> bytes:
    """An image uint8 [H,W,3] as a file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def server(
    tiny_folder: Path, forked_workers: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """`python -m jobs.serve` with a CLIP that knows nothing and colours as proposals; ended by Ctrl-C."""
    folder = tmp_path_factory.mktemp("gate")
    gate, port = Gate(folder), free_port()
    arguments = [
        f"--clip.architecture=local-dir:{tiny_folder}",
        "--clip.weights=null",
        "--segmentation.templates=none",
        "--segmentation.background=[other]",
        f"--serve.port={port}",
        "--serve.classes=red thing/fire, grass",
        "--serve.max_pixels=10000",
        "--serve.max_megabytes=0.5",
        "--serve.batch_size=2",
        "--serve.queue=1",
        "--serve.timeout_seconds=3600",
        *gate.arguments,
    ]
    log = (folder / "log").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", "jobs.serve", *arguments],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env=os.environ | {"RAY_ADDRESS": ""} | forked_workers,
    )
    try:
        line = process.stdout.readline()
        assert line.startswith("ready: "), (folder / "log").read_text()
        yield Server(f"http://127.0.0.1:{port}/", gate, tiny_folder)
        gate.open()
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate()
        assert process.returncode == 0, (folder / "log").read_text()
        assert said.endswith("ended\n")
        socket.create_server(("127.0.0.1", port)).close()  # nobody listens there any more
    finally:
        process.kill()
        process.wait()
        log.close()
