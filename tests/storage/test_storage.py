"""What holds for storage on local disk, in memory and on two S3 servers."""

import concurrent.futures
import hashlib
import multiprocessing
import os
import threading
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline import storage
from pipeline.errors import UserError
from tests.storage.sizes import MIB, MULTIPART_BYTES


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
