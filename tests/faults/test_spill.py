"""A machine whose object store is too small for the shards under way, so that they go to its disk, which is full."""

import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.inspection.verify import verify
from tests.cluster.ray_nodes import RAY, head
from tests.disturbed_jobs import LIMIT_SECONDS, job
from tests.faults.machines import TOKEN, joined
from tests.mining.configs import command_line

pytestmark = pytest.mark.soak

PADDING_BYTES = 6_000_000
"""More for each JPEG, so that a shard of six has 36 MB."""
STORE_BYTES = 80_000_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 10 MB in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=10m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"file systems cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def samples(dataset: Path) -> dict[str, bytes]:
    """All crops, masks and nouns by name. (The rest names the images' folder.)"""
    found = {}
    for path in sorted((dataset / "shards").iterdir()):
        with tarfile.open(path) as tar:
            found |= {member.name: tar.extractfile(member).read() for member in tar if not member.name.endswith("json")}
    return found


def test_shards_that_do_not_fit_into_memory_nor_on_the_disk(disk, mined, world, small_clip, tmp_path):
    images, output, log = tmp_path / "images", tmp_path / "out", tmp_path / "log.txt"
    images.mkdir()
    for image in (world / "images").iterdir():
        (images / image.name).write_bytes(image.read_bytes() + bytes(PADDING_BYTES))
    arguments = [*command_line(world, small_clip, str(output)), f"--captions.images={images}"]
    machine = ("--num-cpus=2", f"--object-store-memory={STORE_BYTES}", f"--object-spilling-directory={disk}")
    with head(tmp_path, TOKEN) as address, joined(address, tmp_path / "machine.log", *machine):
        environment = TOKEN | {"RAY_ADDRESS": address}
        with job("mine", arguments, log, environment) as process:
            assert process.wait(LIMIT_SECONDS) == 1, log.read_text()
        assert "incomplete: Ray failed: Local disk is full" in log.read_text()
        assert "The same command carries on from here" in log.read_text()

        subprocess.run(["mount", "-o", "remount,size=500m", str(disk)], check=True)
        with job("mine", arguments, log, environment) as process:
            assert process.wait(LIMIT_SECONDS) == 0, log.read_text()
        statistics = subprocess.run(
            [RAY, "memory", "--stats-only", f"--address={address}"],
            env=os.environ | environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert "Spilled " in statistics.stdout
    assert samples(output) == samples(mined)
    assert verify(str(output)) == []
