"""The listing: its shards and its digest, with sources on disk and on S3."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import storage
from pipeline.captions import CaptionsConfig, measure_listing, open_captions, read_image, read_shard, write_listing
from pipeline.captions.listing import SHARDS_PER_FILE
from schemas import LISTING
from tests.captions.sources import coco, good, numbered_table, rows_of, sample, write_csv, write_parquet, write_tar


def test_all_formats_are_read_from_s3(s3_uri: str, tmp_path: Path) -> None:
    def put(path: Path) -> str:
        uri = storage.join(s3_uri, "input", path.name)
        storage.upload(path, uri)
        return uri

    config = coco(
        tmp_path / "captions.json",
        [{"id": 1, "file_name": "1.jpg"}],
        [{"id": 1, "image_id": 1, "caption": "one"}],
    )
    config.path, config.images = put(tmp_path / "captions.json"), f"{s3_uri}/input"
    assert rows_of(config) == [good("1", f"{s3_uri}/input/1.jpg", "one")]

    frame = pd.DataFrame({"image": [f"{i % 7}.jpg" for i in range(50)], "caption": "same"})
    write_parquet(frame, tmp_path / "a.parquet")
    write_csv(frame, tmp_path / "a.csv")
    put(tmp_path / "a.parquet")
    put(tmp_path / "a.csv")
    for pattern in ("input/*.parquet", "input/a.csv"):
        config = CaptionsConfig("table", f"{s3_uri}/{pattern}", images=f"{s3_uri}/input")
        rows = rows_of(config)
        assert [row["image_uri"] for row in rows] == [f"{s3_uri}/input/{i}.jpg" for i in range(7)]
        assert sum(len(row["captions"]) for row in rows) == 50

    members = [member for i in range(30) for member in sample(f"{i:03d}", bytes([i]) * 3000)]
    write_tar(tmp_path / "0.tar", members)
    put(tmp_path / "0.tar")
    config = CaptionsConfig("webdataset", f"{s3_uri}/input")
    output = storage.join(s3_uri, "output")
    listing = write_listing(open_captions(config), output, 8)
    assert (listing.images, listing.shards) == (30, 4)
    for shard in range(4):
        for row in read_shard(output, shard).to_pylist():
            image = read_image(row["image_uri"], row["byte_offset"], row["byte_length"])
            assert image == bytes([int(row["image_id"])]) * 3000


def test_every_row_group_is_one_shard_and_files_hold_64(tmp_path: Path) -> None:
    config = numbered_table(tmp_path, 3 * SHARDS_PER_FILE * 2 + 5)
    listing = write_listing(open_captions(config), str(tmp_path), 3)
    assert listing.shards == 2 * SHARDS_PER_FILE + 2
    groups = []
    for name in storage.list_names(str(tmp_path / "listing")):
        file = pq.ParquetFile(tmp_path / "listing" / name)
        groups.append([file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)])
    assert groups == [[3] * 64, [3] * 64, [3, 2]]
    ids = [row for shard in range(listing.shards) for row in read_shard(str(tmp_path), shard)[0]]
    assert [row.as_py() for row in ids] == [f"/{n:06d}.jpg" for n in range(listing.images)]
    with pytest.raises(IndexError):
        read_shard(str(tmp_path), listing.shards)

    shorter = write_listing(open_captions(config), str(tmp_path), 3, limit=7)
    assert (shorter.images, shorter.shards) == (7, 3)
    assert storage.list_names(str(tmp_path / "listing")) == ["000000.parquet"]
    assert read_shard(str(tmp_path), 2)["image_id"].to_pylist() == ["/000006.jpg"]


class _Rows:
    """A source of given rows in batches of given sizes."""

    dropped = None

    def __init__(self, rows: list[dict], sizes: list[int]) -> None:
        self.rows, self.sizes = rows, sizes

    def batches(self):
        rows = list(self.rows)
        sizes = iter(self.sizes)
        while rows:
            size = next(sizes, len(rows))
            batch, rows = rows[:size], rows[size:]
            # A slice of a larger batch, so that its buffers begin elsewhere.
            yield pa.RecordBatch.from_pylist([self.rows[0], *batch], LISTING)[1:]


LISTED = st.fixed_dictionaries(
    {
        "image_id": st.text("abü", max_size=2),
        "image_uri": st.text("abü", max_size=2),
        "byte_offset": st.none() | st.integers(0, 2),
        "byte_length": st.none() | st.integers(0, 2),
        "width": st.none() | st.integers(0, 2),
        "height": st.none() | st.integers(0, 2),
        "captions": st.lists(st.text("ab", max_size=2), max_size=3),
        "problem": st.none() | st.sampled_from(["", "no_text"]),
    }
)


@settings(deadline=None)
@given(
    st.lists(LISTED, min_size=1, max_size=12),
    st.lists(st.integers(1, 4)),
    st.integers(0, 11),
    LISTED,
)
def test_the_digest_depends_on_every_value_and_on_nothing_else(
    rows: list[dict], sizes: list[int], index: int, other: dict
) -> None:
    whole = measure_listing(_Rows(rows, []), 4)
    assert measure_listing(_Rows(rows, sizes), 4) == whole
    assert measure_listing(_Rows(rows, sizes), 3).sha256 == whole.sha256
    assert whole.images == len(rows)
    assert whole.captions == sum(len(row["captions"]) for row in rows)
    changed = list(rows)
    changed[index % len(rows)] = other
    same = changed == rows
    assert (measure_listing(_Rows(changed, sizes), 4).sha256 == whole.sha256) == same
    assert measure_listing(_Rows([*rows, other], sizes), 4).sha256 != whole.sha256


def test_the_same_source_gives_the_same_bytes_however_it_is_batched(tmp_path: Path) -> None:
    rows = [good(str(number), f"/{number}.jpg", *["x" * number] * (number % 4)) for number in range(200)]
    digests = set()
    for name, sizes in (("a", []), ("b", [1, 5, 64, 3]), ("c", [7] * 100)):
        listing = write_listing(_Rows(rows, sizes), str(tmp_path / name), 16)
        data = (tmp_path / name / "listing" / "000000.parquet").read_bytes()
        digests.add((listing, hashlib.sha256(data).hexdigest()))
        assert measure_listing(_Rows(rows, sizes), 16) == listing
    assert len(digests) == 1


def test_an_empty_source_gives_an_empty_listing(tmp_path: Path) -> None:
    listing = write_listing(open_captions(coco(tmp_path / "a.json", [], [])), str(tmp_path), 4)
    assert (listing.images, listing.captions, listing.shards) == (0, 0, 0)
    with pytest.raises(IndexError):
        read_shard(str(tmp_path), 0)


@pytest.mark.soak
def test_ten_million_rows_are_planned_under_a_gigabyte() -> None:
    command = [sys.executable, "-m", "tests.benchmarks.listing"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
