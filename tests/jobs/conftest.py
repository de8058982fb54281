"""Storage that really fails."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import storage
from tests.s3 import s3_environment
from tests.servers.faulty_proxy import FaultyProxy, faulty_proxy

SIZE_KIB = 32


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of `SIZE_KIB`."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_KIB}k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    yield disk
    # Lazily: workers of Ray, which live on, may have stood there.
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.fixture
def full_disk(small_disk: Path) -> Path:
    """A disk without room for a single byte."""
    (small_disk / "filling").write_bytes(bytes(SIZE_KIB * 1024))
    return small_disk


@pytest.fixture
def proxied(s3, s3_uri) -> Iterator[tuple[FaultyProxy, str]]:
    """A proxy in front of S3, and the address of an output directory behind it, with a `config.yaml`."""
    storage.write_bytes(f"{s3_uri}/out/config.yaml", b"")
    with faulty_proxy(s3.endpoint) as proxy, s3_environment(s3.environment | {"AWS_ENDPOINT_URL": proxy.endpoint}):
        yield proxy, f"{s3_uri}/out"
