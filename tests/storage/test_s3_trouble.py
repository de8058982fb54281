"""S3 in trouble, on two servers."""

import io
import os
import re
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import storage
from pipeline.errors import UserError
from tests.s3 import s3_environment
from tests.servers.faulty_proxy import FaultyProxy, faulty_proxy
from tests.servers.s3_server import SECRET_KEY, S3Server
from tests.storage.sizes import MULTIPART_BYTES

only_ceph = pytest.mark.parametrize("s3", ["ceph"], indirect=True)
only_moto = pytest.mark.parametrize("s3", ["moto_s3"], indirect=True)


@pytest.fixture
def proxy(s3: S3Server) -> Iterator[FaultyProxy]:
    """A proxy in front of `s3`, which the environment now points to."""
    with (
        faulty_proxy(s3.endpoint) as proxy,
        s3_environment(s3.environment | {"AWS_ENDPOINT_URL": proxy.endpoint}),
    ):
        yield proxy


def object_of(server: S3Server, uri: str) -> bytes:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return server.client().get_object(Bucket=bucket, Key=key)["Body"].read()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong-but-secret"}, "SignatureDoesNotMatch"),
        ({"AWS_ACCESS_KEY_ID": "nobody"}, "InvalidAccessKeyId"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "no S3 credentials were found"),
    ],
)
@only_ceph
def test_credentials_that_do_not_work_are_found_by_the_checks(
    s3: S3Server, s3_uri: str, changes: dict, reason: str
) -> None:
    storage.write_bytes(storage.join(s3_uri, "file"), b"x")
    with s3_environment(s3.environment | changes):
        for check in (storage.check_readable, storage.check_writable):
            with pytest.raises(UserError, match=rf"^output: .*{reason}") as caught:
                check(storage.join(s3_uri, "file"), "output")
            assert SECRET_KEY not in str(caught.value)
            assert "wrong-but-secret" not in str(caught.value)
        for call in (storage.read_bytes, storage.exists, storage.list_names, storage.remove):
            with pytest.raises(PermissionError):
                call(storage.join(s3_uri, "file"))
        with pytest.raises(PermissionError):
            storage.write_bytes(storage.join(s3_uri, "file"), b"y")
    assert object_of(s3, storage.join(s3_uri, "file")) == b"x"


@only_moto
def test_403_for_a_missing_key_stays_a_permission_error(proxy: FaultyProxy, s3_uri: str) -> None:
    """AWS answers so to credentials without ListBucket; neither test server does."""
    proxy.fault = lambda method, path: 403 if path.endswith("/missing") else None
    for call in (storage.read_bytes, storage.exists, storage.sha256, storage.size):
        with pytest.raises(PermissionError):
            call(storage.join(s3_uri, "missing"))


def test_a_bucket_that_is_not_there_is_no_missing_object(s3: S3Server) -> None:
    for check in (storage.check_readable, storage.check_writable):
        with pytest.raises(UserError, match=r"^output: .*the bucket does not exist"):
            check("s3://not-there/x", "output")
    for call in (storage.read_bytes, storage.exists, storage.list_names, storage.sha256):
        with pytest.raises(OSError, match="the bucket does not exist") as caught:
            call("s3://not-there/x")
        assert not isinstance(caught.value, FileNotFoundError)


@only_moto
def test_an_endpoint_that_does_not_answer_is_found_by_the_checks(s3: S3Server, s3_uri: str) -> None:
    for endpoint in ("http://127.0.0.1:1", "127.0.0.1:1"):
        with s3_environment(s3.environment | {"AWS_ENDPOINT_URL": endpoint}):
            for check in (storage.check_readable, storage.check_writable):
                with pytest.raises(UserError, match=r"^output: .*127\.0\.0\.1:1"):
                    check(s3_uri, "output")


@only_moto
@pytest.mark.parametrize("fault", [500, 503, "drop"])
def test_transient_errors_are_retried(proxy: FaultyProxy, s3_uri: str, fault: int | str) -> None:
    uri = storage.join(s3_uri, "object")
    for call in (
        lambda: storage.write_bytes(uri, b"content"),
        lambda: storage.read_bytes(uri) == b"content",
        lambda: storage.list_names(s3_uri) == ["object"],
    ):
        faults = iter([fault])
        proxy.fault = lambda method, path, faults=faults: next(faults, None)
        assert call() in (None, True)
        assert next(faults, None) is None  # the fault has happened


def test_what_is_done_though_its_answer_was_lost_may_be_done_again(
    proxy: FaultyProxy, s3: S3Server, s3_uri: str, tmp_path: Path
) -> None:
    asked = set()

    def lose_first_answers(method: str, path: str) -> str | None:
        request = method, re.sub("uploadId=[^&]+", "uploadId", path)
        if request in asked or not re.search("uploads|uploadId", path):
            return None
        asked.add(request)
        return "lost"

    proxy.fault = lose_first_answers
    storage.check_writable(s3_uri, "output")
    (tmp_path / "file").write_bytes(b"1" * MULTIPART_BYTES)
    for name, write in (
        ("bytes", lambda uri: storage.write_bytes(uri, b"1" * MULTIPART_BYTES)),
        ("file", lambda uri: storage.upload(tmp_path / "file", uri)),
    ):
        uri = storage.join(s3_uri, name)
        write(uri)
        assert object_of(s3, uri) == b"1" * MULTIPART_BYTES
        storage.remove(uri)
    assert proxy.faults["lost"] == len(asked)


def test_an_upload_that_fails_half_way_leaves_the_old_object(
    proxy: FaultyProxy, s3: S3Server, s3_uri: str, tmp_path: Path
) -> None:
    uri = storage.join(s3_uri, "object")
    storage.write_bytes(uri, b"old")
    (tmp_path / "new").write_bytes(bytes(MULTIPART_BYTES))
    proxy.fault = lambda method, path: 403 if "partNumber=2" in path else None
    with pytest.raises(PermissionError):
        storage.write_bytes(uri, bytes(MULTIPART_BYTES))
    with pytest.raises(PermissionError):
        storage.upload(tmp_path / "new", uri)
    assert object_of(s3, uri) == b"old"
    assert storage.list_names(s3_uri) == ["object"]
    uploads = s3.client().list_multipart_uploads(Bucket=s3_uri.removeprefix("s3://"))
    assert "Uploads" not in uploads  # nothing is left to be paid for


def test_an_uploader_killed_half_way_leaves_the_old_object(
    proxy: FaultyProxy, s3: S3Server, s3_uri: str, tmp_path: Path
) -> None:
    uri = storage.join(s3_uri, "object")
    storage.write_bytes(uri, b"old")
    (tmp_path / "new").write_bytes(bytes(MULTIPART_BYTES))
    half_way, killed = threading.Event(), threading.Event()

    def hold_second_part(method: str, path: str) -> str | None:
        if "partNumber=2" not in path:
            return None
        half_way.set()
        killed.wait()
        return "drop"

    proxy.fault = hold_second_part
    code = "import sys; from pipeline import storage; storage.upload(*sys.argv[1:])"
    writer = subprocess.Popen([sys.executable, "-c", code, tmp_path / "new", uri])
    assert half_way.wait(60)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    killed.set()
    assert object_of(s3, uri) == b"old"
    assert storage.list_names(s3_uri) == ["object"]


@only_moto
def test_small_reads_take_one_request_each(proxy: FaultyProxy, s3_uri: str) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(20):
            archive.writestr(f"{number}.jpg", os.urandom(2000))
    storage.write_bytes(storage.join(s3_uri, "images.zip"), packed.getvalue())
    storage.write_bytes(storage.join(s3_uri, "0.jpg"), b"x")
    storage.read_bytes(f"zip://0.jpg::{s3_uri}/images.zip")  # reads the archive's directory
    proxy.requests.clear()
    for number in range(20):
        storage.read_bytes(f"zip://{number}.jpg::{s3_uri}/images.zip")
    assert len(proxy.requests) == 20
    storage.read_bytes(storage.join(s3_uri, "0.jpg"))
    storage.read_bytes(storage.join(s3_uri, "0.jpg"), 0, 1)
    assert len(proxy.requests) == 22
