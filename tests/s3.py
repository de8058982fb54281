"""Fixtures with S3 servers.

`s3` runs a test on both servers, `s3_uri` is a new bucket on that server. A test for one of them
says `@pytest.mark.parametrize("s3", ["ceph"], indirect=True)`.
"""

import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.storage.s3 import DeadlineS3
from tests.servers import ceph as ceph_server
from tests.servers import moto as moto_server
from tests.servers.s3_server import S3Server

S3_SERVERS = ["ceph", "moto_s3"]


@contextlib.contextmanager
def s3_environment(variables: dict[str, str]) -> Iterator[None]:
    """Exactly these AWS_ variables, in this process and in those that it starts."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in variables.items():
            patch.setenv(name, value)
        # It reads the environment when it connects, and keeps its connections.
        DeadlineS3.clear_instance_cache()
        yield
    DeadlineS3.clear_instance_cache()


def new_bucket(server: S3Server) -> str:
    """The URI of a new, empty bucket."""
    bucket = f"test-{uuid.uuid4().hex}"
    server.client().create_bucket(Bucket=bucket)
    return f"s3://{bucket}"


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """A folder with a short path: the name of a Unix socket may have 107 characters."""
    with tempfile.TemporaryDirectory(prefix="s3-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def ceph(server_folder: Path) -> Iterator[S3Server]:
    """Ceph's gateway, for the whole session. Use `s3` for the environment that goes with it."""
    missing = ceph_server.missing_programs()
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: python -m tests.servers.ceph install")
    folder = server_folder / "ceph"
    folder.mkdir()
    with ceph_server.running(folder) as server:
        yield server


@pytest.fixture(scope="session")
def moto_s3(server_folder: Path) -> Iterator[S3Server]:
    """moto's emulator, for the whole session. Use `s3` for the environment that goes with it."""
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv (util-linux) not installed")
    with moto_server.running(server_folder) as server:
        yield server


@pytest.fixture(params=S3_SERVERS)
def s3(request: pytest.FixtureRequest) -> Iterator[S3Server]:
    """A server, with the environment set to use it."""
    server = request.getfixturevalue(request.param)
    with s3_environment(server.environment):
        yield server


@pytest.fixture
def s3_uri(s3: S3Server) -> str:
    """A new, empty bucket on `s3`."""
    return new_bucket(s3)
