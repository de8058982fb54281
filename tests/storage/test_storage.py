"""Storage on local disk, in memory and on two S3 servers, in good times and in bad."""

import concurrent.futures
import contextlib
import functools
import hashlib
import http.server
import io
import multiprocessing
import os
import pwd
import re
import signal
import struct
import subprocess
import sys
import threading
import uuid
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import storage
from pipeline.errors import UserError
from tests.s3 import S3_SERVERS, new_bucket, s3_environment
from tests.servers.faulty_proxy import FaultyProxy, faulty_proxy
from tests.servers.s3_server import SECRET_KEY, S3Server

MIB = 2**20
MULTIPART_BYTES = 33 * MIB  # more than two parts

only_ceph = pytest.mark.parametrize("s3", ["ceph"], indirect=True)
only_moto = pytest.mark.parametrize("s3", ["moto_s3"], indirect=True)


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


# The contract, everywhere


def test_what_is_written_is_read_back_whole_and_in_ranges(place: str) -> None:
    uri = storage.join(place, "a", "b.bin")
    assert storage.list_names(place) == []
    assert not storage.exists(uri)
    storage.write_bytes(uri, b"first")
    storage.write_bytes(uri, b"0123456789")
    assert storage.exists(uri)
    assert storage.exists(place)
    assert storage.read_bytes(uri) == b"0123456789"
    assert storage.read_bytes(uri, 3, 5) == b"34"
    assert storage.read_bytes(uri, 7) == b"789"
    assert storage.read_bytes(uri, None, 2) == b"01"
    assert storage.read_bytes(uri, 8, 50) == b"89"
    assert storage.read_bytes(uri, 50, 60) == b""
    assert storage.read_bytes(uri, 4, 4) == b""
    assert storage.sha256(uri) == (hashlib.sha256(b"0123456789").hexdigest(), 10)
    assert storage.size(uri) == 10
    with storage.open_input(uri) as file:
        file.seek(-2, 2)
        assert file.read() == b"89"


def test_names_directly_inside_are_listed_without_a_cache(place: str) -> None:
    for name in ("b.txt", "a/deep/er.txt", "c.txt"):
        storage.write_bytes(storage.join(place, name), b"")
        storage.list_names(place)
    assert storage.list_names(place) == ["a", "b.txt", "c.txt"]
    storage.remove(storage.join(place, "b.txt"))
    storage.remove(storage.join(place, "b.txt"))
    assert storage.list_names(place) == ["a", "c.txt"]
    assert storage.list_names(storage.join(place, "nothing")) == []
    assert storage.list_names(storage.join(place, "c.txt")) == []


def test_a_missing_object_is_file_not_found(place: str) -> None:
    storage.write_bytes(storage.join(place, "there"), b"x")
    missing = storage.join(place, "missing")
    for call in (storage.read_bytes, storage.read_table, storage.sha256, storage.size):
        with pytest.raises(FileNotFoundError):
            call(missing)
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(missing, 3, 5)
    for impossible in (place, storage.join(place, "there", "below"), missing + "x" * 2000):
        with pytest.raises(FileNotFoundError):
            storage.read_bytes(impossible)


@pytest.mark.parametrize("size", [0, MULTIPART_BYTES])
def test_upload_copies_a_file(place: str, tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "source").write_bytes(content)
    uri = storage.join(place, "copy")
    storage.upload(tmp_path / "source", uri)
    assert storage.sha256(uri) == (hashlib.sha256(content).hexdigest(), size)
    storage.write_bytes(uri, b"")
    storage.write_bytes(uri, content)
    assert storage.read_bytes(uri) == content


def test_tables_keep_their_types_and_give_the_same_bytes_however_chunked(place: str) -> None:
    schema = pa.schema([("id", pa.string()), ("box", pa.list_(pa.int32())), ("mask", pa.binary())])
    rows = [{"id": str(i), "box": [i] * (i % 4), "mask": bytes([i % 256]) * i} for i in range(1000)]
    whole = pa.Table.from_pylist(rows, schema)
    parts = pa.concat_tables([whole[:7], whole[7:8], whole[8:900], whole[900:]])
    storage.write_table(whole, storage.join(place, "whole.parquet"))
    storage.write_table(parts, storage.join(place, "parts.parquet"))
    assert storage.read_table(storage.join(place, "whole.parquet")).equals(whole)
    assert storage.read_bytes(storage.join(place, "whole.parquet")) == storage.read_bytes(
        storage.join(place, "parts.parquet")
    )
    storage.write_table(whole[:0], storage.join(place, "empty.parquet"))
    assert storage.read_table(storage.join(place, "empty.parquet")).schema == schema


def test_a_damaged_table_is_told_from_broken_storage(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    storage.write_table(pa.table({"a": list(range(1000))}), str(path))
    content = path.read_bytes()
    for damaged in (b"", content[:100], content[:-1], content[:40] + bytes(40) + content[80:]):
        path.write_bytes(damaged)
        with pytest.raises(pa.ArrowInvalid):
            storage.read_table(str(path))


def test_readers_see_one_write_or_the_next_but_never_a_mixture(place: str) -> None:
    if place.startswith("memory://"):
        pytest.skip("fsspec's memory filesystem is for one thread")
    uri = storage.join(place, "object")
    contents = [b"a" * MIB, b"b" * MULTIPART_BYTES, b"c" * MIB]
    storage.write_bytes(uri, contents[0])
    digests = {hashlib.sha256(content).hexdigest() for content in contents}
    done = threading.Event()

    def read_all_the_time() -> set[str]:
        seen = set()
        while not done.is_set():
            seen.add(hashlib.sha256(storage.read_bytes(uri)).hexdigest())
            assert storage.list_names(place) == ["object"]
        return seen

    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        reader = thread.submit(read_all_the_time)
        try:
            for content in contents:
                storage.write_bytes(uri, content)
        finally:
            done.set()
        assert reader.result() <= digests


def test_the_checks_accept_what_is_usable(place: str) -> None:
    if not place.startswith("memory://"):
        storage.check_writable(storage.join(place, "new", "output"), "output")
        storage.check_writable(place, "output")
    assert storage.list_names(place) == []  # nothing was created
    storage.write_bytes(storage.join(place, "file"), b"x")
    storage.check_readable(place, "captions.images")
    storage.check_readable(storage.join(place, "file"), "captions.path")


def test_the_checks_name_the_key_and_what_is_wrong(place: str) -> None:
    storage.write_bytes(storage.join(place, "file"), b"x")
    with pytest.raises(UserError, match=r"^captions\.path: .*missing.*nothing is there"):
        storage.check_readable(storage.join(place, "missing"), "captions.path")
    wrong = "in the memory of one process" if place.startswith("memory://") else "it is a file, not a directory"
    with pytest.raises(UserError, match=rf"^output: .*{wrong}"):
        storage.check_writable(storage.join(place, "file"), "output")


def test_a_process_that_was_forked_can_go_on_reading(place: str) -> None:
    uri = storage.join(place, "object")
    storage.write_bytes(uri, b"content")
    pool = multiprocessing.get_context("fork").Pool(2)
    assert pool.map(storage.read_bytes, [uri] * 4) == [b"content"] * 4
    # Not `terminate`: its SIGTERM would meet the handler that Ray sets, in a copy of this process.
    pool.close()
    pool.join()
    assert storage.read_bytes(uri) == b"content"


# URIs


@given(st.lists(st.text("ab.", min_size=1), min_size=1), st.sampled_from(["s3://b", "memory://"]))
def test_join_puts_parts_behind_the_path_and_before_the_archive(parts: list, root: str) -> None:
    path = "/".join(parts)
    assert storage.join(root, *parts) == root.removesuffix("/").rstrip("/") + (
        f"//{path}" if root == "memory://" else f"/{path}"
    )
    assert storage.join("zip://x/::s3://b/y.zip", *parts) == f"zip://x/{path}::s3://b/y.zip"
    assert storage.join("zip://::y.zip", *parts) == f"zip://{path}::y.zip"


def test_unknown_protocols_and_read_only_ones_are_refused_by_key() -> None:
    with pytest.raises(UserError, match=r"^output: .*Protocol not known: s4"):
        storage.check_writable("s4://bucket/x", "output")
    with pytest.raises(UserError, match=r"^output: .*https is read only"):
        storage.check_writable("https://host/x", "output")
    with pytest.raises(UserError, match=r"^output: .*no bucket"):
        storage.check_writable("s3://", "output")


# Zip archives


def test_zip_members_are_read_like_files(place: str) -> None:
    members = {f"images/{i}.jpg": os.urandom(i * 100) for i in range(5)} | {"top": b"y" * 5000}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number, (name, content) in enumerate(members.items()):
            method = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)[number % 2]
            archive.writestr(name, content, method)
    archive_uri = storage.join(place, "images.zip")
    storage.write_bytes(archive_uri, packed.getvalue())
    root = f"zip://::{archive_uri}"
    for name, content in members.items():
        assert storage.read_bytes(storage.join(root, name)) == content
        assert storage.read_bytes(storage.join(root, name), 10, 20) == content[10:20]
        assert storage.exists(storage.join(root, name))
    assert storage.list_names(f"zip://images::{archive_uri}") == [f"{i}.jpg" for i in range(5)]
    assert storage.exists(f"zip://images::{archive_uri}")
    assert not storage.exists(f"zip://image::{archive_uri}")
    storage.check_readable(f"zip://images::{archive_uri}", "captions.images")
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(f"zip://images/9.jpg::{archive_uri}")
    with pytest.raises(UserError, match=r"^captions\.images: .*nothing is there"):
        storage.check_readable(f"zip://val::{archive_uri}", "captions.images")
    with pytest.raises(UserError, match=r"^output: .*zip is read only"):
        storage.check_writable(root, "output")


def test_a_damaged_zip_member_is_told_from_broken_storage(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bad", os.urandom(1000))
        archive.writestr("good", b"good")
    content = bytearray(path.read_bytes())
    content[300] ^= 255
    path.write_bytes(content)
    with pytest.raises(zipfile.BadZipFile):
        storage.read_bytes(f"zip://bad::{path}")
    assert storage.read_bytes(f"zip://good::{path}") == b"good"
    (tmp_path / "no.zip").write_bytes(b"not a zip archive")
    with pytest.raises(UserError, match=r"^captions\.images: .*not a zip file"):
        storage.check_readable(f"zip://::{tmp_path / 'no.zip'}", "captions.images")


def test_a_zip_member_with_a_long_local_header_is_read(tmp_path: Path) -> None:
    """The extra field before the data may be longer than the directory's (APPNOTE 4.3)."""
    content, name, extra = (
        b"content" * 100,
        b"name",
        b"\x99\x99" + struct.pack("<H", 596) + bytes(596),
    )
    sizes = struct.pack("<LLL", zlib.crc32(content), len(content), len(content))
    versions = struct.pack("<HHHHH", 20, 0, 0, 0, 33)
    local = b"PK\3\4" + versions + sizes + struct.pack("<HH", len(name), len(extra))
    local += name + extra + content
    entry = b"PK\1\2" + struct.pack("<H", 20) + versions + sizes
    entry += struct.pack("<HHHHHLL", len(name), 0, 0, 0, 0, 0, 0) + name
    end = b"PK\5\6" + struct.pack("<HHHHLLH", 0, 0, 1, 1, len(entry), len(local), 0)
    path = tmp_path / "a.zip"
    path.write_bytes(local + entry + end)
    with zipfile.ZipFile(path) as archive:
        assert archive.read("name") == content  # the archive is a valid one
    assert storage.read_bytes(f"zip://name::{path}") == content


# Local disk in trouble


def test_a_writer_killed_in_the_middle_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "place" / "000000.tar"
    storage.write_bytes(str(target), b"old")
    os.mkfifo(tmp_path / "source")  # blocks the copy when half of it is there
    code = "import sys; from pipeline import storage; storage.upload(*sys.argv[1:])"
    writer = subprocess.Popen([sys.executable, "-c", code, tmp_path / "source", target])
    with open(tmp_path / "source", "wb", buffering=0) as source:
        source.write(b"half of the new content")
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    assert target.read_bytes() == b"old"
    assert storage.list_names(str(tmp_path / "place")) == ["000000.tar"]
    assert list((tmp_path / "place").glob("*.tar")) == [target]
    storage.remove_leftovers(str(tmp_path / "place"))
    assert os.listdir(tmp_path / "place") == ["000000.tar"]


def test_a_file_that_does_not_fit_leaves_nothing_and_the_old_one(tmp_path: Path) -> None:
    storage.write_bytes(str(tmp_path / "file"), b"old")
    code = (
        "import resource, sys; from pipeline import storage\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try: storage.write_bytes(sys.argv[1], bytes(200_000))\n"
        "except OSError as error: print(error)"
    )
    command = [sys.executable, "-c", code, tmp_path / "file"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "File too large" in result.stdout
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_full_disk_leaves_nothing_and_the_old_file(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        storage.write_bytes(str(disk / "file"), b"old")
        with pytest.raises(OSError, match="No space left on device"):
            storage.write_bytes(str(disk / "file"), bytes(2 * MIB))
        assert os.listdir(disk) == ["file"]
        assert (disk / "file").read_bytes() == b"old"
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_directory_without_permission_is_found_by_the_check(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o111)
    (tmp_path / "locked").mkdir(mode=0o555)
    (tmp_path / "closed").mkdir(mode=0o000)
    code = (
        "import os, sys; from pipeline import errors, storage\n"
        "if os.geteuid() == 0: os.setuid(65534)  # root may write anywhere\n"
        "checks = (storage.check_writable, 'locked/new'), (storage.check_readable, 'closed')\n"
        "for check, path in checks:\n"
        "    try: check(sys.argv[1] + '/' + path, 'output')\n"
        "    except errors.UserError as error: print(error)"
    )
    command = [sys.executable, "-c", code, tmp_path]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.stdout.count("output: ") == 2, result.stderr
    assert "no permission to write there" in result.stdout
    assert "no permission to read it" in result.stdout


def test_new_files_have_the_permissions_that_the_umask_gives(tmp_path: Path) -> None:
    storage.write_bytes(str(tmp_path / "ours"), b"")
    (tmp_path / "theirs").write_bytes(b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "theirs").stat().st_mode


# S3 in trouble


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


# http


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without byte ranges; `/status/403` answers with that status."""

    def do_GET(self) -> None:
        if self.path.startswith("/status/"):
            self.send_error(int(self.path.rpartition("/")[2]))
        else:
            super().do_GET()

    def log_message(self, *arguments: object) -> None:
        pass


@contextlib.contextmanager
def web_server(folder: Path) -> Iterator[str]:
    handler = functools.partial(_Handler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_http_is_read_and_its_errors_keep_their_meaning(tmp_path: Path) -> None:
    (tmp_path / "a b.jpg").write_bytes(b"0123456789")
    with web_server(tmp_path) as root:
        assert storage.read_bytes(storage.join(root, "a b.jpg")) == b"0123456789"
        assert storage.exists(storage.join(root, "a b.jpg"))
        storage.check_readable(storage.join(root, "a b.jpg"), "captions.path")
        for missing in ("none.jpg", "status/404", "status/410"):
            with pytest.raises(FileNotFoundError):
                storage.read_bytes(storage.join(root, missing))
        for status in (401, 403):
            with pytest.raises(PermissionError):
                storage.read_bytes(storage.join(root, f"status/{status}"))
            with pytest.raises(PermissionError):
                storage.exists(storage.join(root, f"status/{status}"))
        for status in (429, 500, 503):
            with pytest.raises(OSError, match=str(status)) as caught:
                storage.read_bytes(storage.join(root, f"status/{status}"))
            assert not isinstance(caught.value, FileNotFoundError | PermissionError)
        with pytest.raises(OSError, match="ignores byte ranges"):
            storage.read_bytes(storage.join(root, "a b.jpg"), 2, 4)
    with pytest.raises(OSError, match="Connect call failed") as caught:
        storage.read_bytes(storage.join(root, "a b.jpg"))  # nobody listens there any more
    assert not isinstance(caught.value, FileNotFoundError)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("data/out", "/here/data/out"),
        ("/data/out", "/data/out"),
        ("s3://bucket/out", "s3://bucket/out"),
        ("zip://train::images.zip", "zip://train::/here/images.zip"),
        ("zip://train::s3://b/images.zip", "zip://train::s3://b/images.zip"),
        ("shards/{00000..00009}.tar", "/here/shards/{00000..00009}.tar"),
    ],
)
def test_local_paths_become_absolute(uri, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert storage.absolute(uri) == expected.replace("/here", str(tmp_path))
    assert storage.is_absolute(storage.absolute(uri))
    assert storage.is_absolute(uri) == (storage.absolute(uri) == uri)


def test_the_home_directory_is_meant_by_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert storage.absolute("~/out") == f"{tmp_path}/out"
    assert storage.absolute("~") == str(tmp_path)
    assert storage.absolute("~root/out") == f"{pwd.getpwnam('root').pw_dir}/out"
    assert storage.absolute("zip://train::~/a.zip") == f"zip://train::{tmp_path}/a.zip"
    assert storage.absolute("s3://bucket/~/out") == "s3://bucket/~/out"
    assert storage.is_absolute("~/out")
    assert storage.is_absolute("zip://train::~/a.zip")
    with pytest.raises(UserError, match=r"^~nobody-of-that-name/out: no user .*write \./~nobody"):
        storage.absolute("~nobody-of-that-name/out")
    assert storage.absolute("./~nobody-of-that-name").endswith("/~nobody-of-that-name")


@pytest.mark.parametrize("check", [storage.check_readable, storage.check_writable])
@pytest.mark.parametrize("blank", ["", "  ", "\t"])
def test_what_is_blank_is_said_by_its_key(check, blank):
    with pytest.raises(UserError, match=r"^output is empty"):
        check(storage.absolute(blank), "output")


@pytest.mark.parametrize(
    ("name", "wrong"), [("a" * 256, "256 bytes"), ("ü" * 150, "300 bytes"), ("a/" * 2000, "longer"), ("a\0b", "null")]
)
def test_names_that_no_folder_can_have_are_said_by_their_key(name, wrong, tmp_path):
    with pytest.raises(UserError, match=rf"^output: .*{wrong}"):
        storage.check_writable(f"{tmp_path}/{name}", "output")
    storage.check_writable(f"{tmp_path}/{'ü' * 127}", "output")
