"""Types of columns of Parquet tables, and pictures in them."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.captions import read_image
from pipeline.captions.parquet_images import read_parquet_image
from pipeline.images import ImageProblem
from tests.captions.tables import captions, listed

# Types of Parquet


@pytest.mark.parametrize(
    "array",
    [
        pa.array([["a", "b"], None, ["c", None]], pa.list_(pa.string(), 2)),
        pa.array([["a", "b"], [], ["c", None]], pa.large_list(pa.large_string())),
        pa.ListArray.from_arrays([0, 2, 2, 4], pa.array(["a", "b", "c", None]).dictionary_encode()),
    ],
)
def test_lists_of_all_types(tmp_path: Path, array: pa.Array) -> None:
    pq.write_table(pa.table({"image": ["1.jpg", "2.jpg", "3.jpg"], "caption": array}), tmp_path / "a.parquet")
    rows = [(row["image_id"], row["captions"], row.get("problem")) for row in listed(tmp_path / "a.parquet")]
    assert rows == [
        ("1.jpg", ["a", "b"], None),
        ("2.jpg", [], "null_caption"),
        ("3.jpg", ["c"], None),
        ("3.jpg", [], "null_caption"),
    ]


@pytest.mark.parametrize("nothing", [pa.nulls(2), pa.array([[], None], pa.list_(pa.null()))])
def test_one_file_of_many_without_any_caption_costs_its_rows(tmp_path: Path, nothing: pa.Array) -> None:
    pq.write_table(pa.table({"image": ["1.jpg"], "caption": ["a"]}), tmp_path / "train-00000-of-00002.parquet")
    frame = {"image": ["2.jpg", "3.jpg"], "caption": nothing}
    pq.write_table(pa.table(frame), tmp_path / "train-00001-of-00002.parquet")
    assert captions(tmp_path) == {"1.jpg": ["a"], "2.jpg": "null_caption", "3.jpg": "null_caption"}


def not_utf8(*values: bytes) -> pa.Array:
    return pa.Array.from_buffers(pa.string(), len(values), pa.array(values, pa.binary()).buffers())


def test_bytes_in_a_parquet_table_that_are_no_utf8_cost_their_row(tmp_path: Path) -> None:
    images, texts = not_utf8(b"1.jpg", b"2.jpg", b"\xe9.jpg"), not_utf8(b"caf\xe9", "é".encode(), b"c")
    lists = pa.ListArray.from_arrays([0, 1, 2, 3], texts)
    for column in (texts, lists):
        pq.write_table(pa.table({"image": images, "caption": column}), tmp_path / "a.parquet")
        assert captions(tmp_path / "a.parquet") == {"1.jpg": "bad_text", "2.jpg": ["é"], "\ufffd.jpg": "bad_text"}
    encoded = pa.array(["1.jpg", "2.jpg", None]).dictionary_encode()
    pq.write_table(pa.table({"image": encoded, "caption": lists}), tmp_path / "a.parquet")
    assert captions(tmp_path / "a.parquet") == {"1.jpg": "bad_text", "2.jpg": ["é"], "": "null_image"}
    table = pa.table({"image": images, "caption": texts, "id": [3, 2, 1]})
    pq.write_table(table, tmp_path / "ids.parquet")
    assert captions(tmp_path / "ids.parquet", id_column="id") == {"1": "bad_text", "2": ["é"], "3": "bad_text"}


# Pictures in the table


def picture_table(pictures: list[dict | None], **more: list) -> pa.Table:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.table({"image": pa.array(pictures, kind), **more})


def test_pictures_are_read_out_of_a_parquet_table(tmp_path: Path) -> None:
    pictures = [{"bytes": bytes([number]) * 5000, "path": f"{number % 3}.jpg"} for number in range(200)]
    texts = [f"caption {number}" for number in range(200)]
    pq.write_table(picture_table(pictures[:150], caption=texts[:150]), tmp_path / "train-0.parquet", row_group_size=70)
    pq.write_table(picture_table(pictures[150:], caption=texts[150:]), tmp_path / "train-1.parquet")
    rows = listed(tmp_path, images=None)
    assert [row["captions"] for row in rows] == [[text] for text in texts]
    assert rows[151]["image_id"] == "train-1/000000001"
    assert [read_image(row["image_uri"], None, None) for row in rows] == [picture["bytes"] for picture in pictures]
    for number in (199, 3, 2, 160, 0, 69, 70):
        assert read_image(rows[number]["image_uri"], None, None) == pictures[number]["bytes"]


def test_pictures_without_bytes_are_their_paths(tmp_path: Path) -> None:
    pictures = [
        {"bytes": b"one", "path": None},
        {"bytes": None, "path": "two.jpg"},
        {"bytes": None, "path": None},
        None,
        {"bytes": None, "path": "ftp://host/five.jpg"},
    ]
    (tmp_path / "a").mkdir()
    for statistics in (True, False):
        path = tmp_path / "a" / "t.parquet"
        pq.write_table(picture_table(pictures, caption=["a"] * 5), path, write_statistics=statistics)
        rows = {row["image_uri"]: row.get("problem") for row in listed(path, images=str(tmp_path))}
        one = f"parquet://image/0/0::{path}"
        assert rows == {
            one: None,
            f"{tmp_path}/two.jpg": None,
            "": "null_image",
            "ftp://host/five.jpg": "refused_address",
        }
        assert len(listed(path, images=str(tmp_path))) == 5
        assert read_image(one, None, None) == b"one"


def test_a_binary_column_with_ids_and_a_strange_name(tmp_path: Path) -> None:
    column = "an/odd column::%"
    table = pa.table({column: [b"one", b"two", b"one"], "id": [7, 8, 7], "caption": ["a", "b", "c"]})
    pq.write_table(table, tmp_path / "t.parquet")
    rows = listed(tmp_path / "t.parquet", images=None, image_column=column, id_column="id")
    assert [(row["image_id"], row["captions"]) for row in rows] == [("7", ["a", "c"]), ("8", ["b"])]
    assert [read_image(row["image_uri"], None, None) for row in rows] == [b"one", b"two"]


def test_a_table_that_changed_costs_its_pictures(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(picture_table([{"bytes": os.urandom(9000), "path": None}] * 40, caption=["a"] * 40), path)
    uri = listed(path, images=None)[39]["image_uri"]
    pq.write_table(picture_table([{"bytes": b"1", "path": None}], caption=["a"]), path)
    with pytest.raises(FileNotFoundError):
        read_image(uri, None, None)
    path.write_bytes(b"PAR1, and no more")
    with pytest.raises(pa.ArrowInvalid):
        read_image(uri, None, None)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        read_image(uri, None, None)


def test_the_address_of_a_picture_in_a_table_is_judged_and_its_size_limited(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(picture_table([{"bytes": bytes(1000), "path": None}], caption=["a"]), path)
    uri = listed(path, images=None)[0]["image_uri"]
    assert read_parquet_image(uri, 1000) == bytes(1000)
    with pytest.raises(ImageProblem, match="too_many_bytes"):
        read_parquet_image(uri, 999)
    for file in ("reference://a::http://127.0.0.1:9/ref.json", "ftp://127.0.0.1:9/a", "s3://key:secret@bucket/a"):
        with pytest.raises(ImageProblem, match=r"refused_address|secret_in_address"):
            read_parquet_image(f"parquet://image/0/0::{file}")


def test_pictures_that_are_the_same_or_huge_do_not_fill_the_memory(tmp_path: Path) -> None:
    """A picture that is repeated takes its room only once in the file: 3,000 times half a megabyte."""
    path = tmp_path / "t.parquet"
    picture = {"bytes": bytes(2**19), "path": None}
    pq.write_table(picture_table([picture] * 3000, caption=["a"] * 3000), path, compression="zstd")
    assert path.stat().st_size < 2**20
    before = pa.total_allocated_bytes()
    assert read_image(f"parquet://image/0/2999::{path}", None, None) == picture["bytes"]
    assert pa.total_allocated_bytes() - before < 300 * 2**20
