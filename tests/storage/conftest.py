"""Fixtures of the tests of storage."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import storage
from tests.s3 import S3_SERVERS, new_bucket, s3_environment


@pytest.fixture(params=["local", "memory", *S3_SERVERS])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URI of an empty directory on each kind of storage."""
    if request.param == "local":
        yield str(tmp_path / "place")
    elif request.param == "memory":
        yield f"memory://{uuid.uuid4().hex}"
    else:
        server = request.getfixturevalue(request.param)
        with s3_environment(server.environment):
            yield storage.join(new_bucket(server), "place")
