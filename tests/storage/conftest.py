"""Fixtures of the tests of storage."""

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from pipeline import storage
from tests.s3 import S3_SERVERS, new_bucket, s3_environment
from tests.servers import clouds


@pytest.fixture(scope="session")
def azure() -> Iterator[dict[str, str]]:
    """Azurite, for the whole session: the environment to use it with."""
    if missing := clouds.missing_for_azure():
        pytest.skip(missing)
    with clouds.azurite() as environment:
        yield environment


@pytest.fixture(scope="session")
def google() -> Iterator[dict[str, str]]:
    """An emulator of Google Cloud Storage, for the whole session: the environment to use it with."""
    if missing := clouds.missing_for_google():
        pytest.skip(missing)
    with clouds.google() as environment:
        yield environment


CLOUDS = {"azure": "az://test", "google": "gs://test"}


@contextlib.contextmanager
def cloud_environment(protocol: str, variables: dict[str, str]) -> Iterator[None]:
    """These variables, and connections that were made with them."""
    library = fsspec.get_filesystem_class(protocol)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        library.clear_instance_cache()
        yield
    library.clear_instance_cache()


@pytest.fixture(params=["local", "memory", *S3_SERVERS, *CLOUDS])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URI of an empty directory on each kind of storage."""
    if request.param == "local":
        yield str(tmp_path / "place")
    elif request.param == "memory":
        yield f"memory://{uuid.uuid4().hex}"
    elif request.param in CLOUDS:
        uri, variables = CLOUDS[request.param], request.getfixturevalue(request.param)
        with cloud_environment(uri.partition(":")[0], variables):
            yield storage.join(uri, uuid.uuid4().hex)
    else:
        server = request.getfixturevalue(request.param)
        with s3_environment(server.environment):
            yield storage.join(new_bucket(server), "place")
