"""`captions.keep` and `captions.where`, in every source that has columns or fields."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.captions import CaptionsConfig, measure_listing, open_captions, read_shard, stored_listing, write_listing
from pipeline.captions.condition import Condition
from pipeline.errors import UserError
from tests.captions.sources import sample, write_tar

# (name, captions, licence, width): the second has no licence, the third is small.
IMAGES = [
    ("1.jpg", ["a dog", "a brown dog"], "CC BY", 640),
    ("2.jpg", ["a cat"], None, 800),
    ("3.jpg", ["a ball"], "CC0", 100),
    ("4.jpg", ["a box"], "CC0", 500),
]
WHERE = "licence is not null and try_cast(width as int) >= 500"


def written(kind: str, folder: Path) -> CaptionsConfig:
    """IMAGES as a source of this kind."""
    rows = [
        {"image": name, "caption": texts, "licence": licence, "width": width} for name, texts, licence, width in IMAGES
    ]
    path = folder / f"captions.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=2)
    elif kind == "feather":
        pyarrow.feather.write_feather(pa.Table.from_pylist(rows), path, chunksize=3)
    elif kind == "jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows))
    elif kind == "tsv":
        lines = [(row["image"], json.dumps(row["caption"]), row["licence"] or "", row["width"]) for row in rows]
        path.write_text("\n".join("\t".join(map(str, line)) for line in [tuple(rows[0]), *lines]))
    elif kind == "coco":
        images = [{"id": number, "file_name": row["image"], **row} for number, row in enumerate(rows)]
        annotations = [
            {"id": 10 * number + index, "image_id": number, "caption": text}
            for number, row in enumerate(rows)
            for index, text in enumerate(row["caption"])
        ]
        path.write_text(json.dumps({"images": images, "annotations": annotations}))
        return CaptionsConfig("coco", str(path), images=str(folder))
    else:
        members = []
        for row in rows:
            key = row["image"].removesuffix(".jpg")
            members += [(row["image"], b"image"), (f"{key}.json", json.dumps(row).encode())]
        write_tar(folder / "00000.tar", members)
        return CaptionsConfig("webdataset", str(folder / "00000.tar"))
    return CaptionsConfig("table", str(path), images=str(folder))


def rows(config: CaptionsConfig) -> list[dict]:
    return [row for batch in open_captions(config).batches() for row in batch.to_pylist()]


KINDS = ["parquet", "feather", "jsonl", "tsv", "coco", "tar"]


@pytest.mark.parametrize("kind", KINDS)
def test_columns_go_along_and_rows_are_left_out(tmp_path: Path, kind: str) -> None:
    config = written(kind, tmp_path)
    plain = rows(config)
    assert "kept" not in plain[0]
    width = int if kind in ("parquet", "feather") else str
    no_licence = "" if kind == "tsv" else None
    config.keep = ["width", "licence"]
    kept = [{"width": width(pixels), "licence": licence or no_licence} for _, _, licence, pixels in IMAGES]
    assert rows(config) == [row | {"kept": own} for row, own in zip(plain, kept, strict=True)]
    config.where = WHERE.replace("licence is not null", "licence <> ''")
    source = open_captions(config)
    fulfilling = [row for batch in source.batches() for row in batch.to_pylist()]
    assert fulfilling == [plain[row] | {"kept": kept[row]} for row in (0, 3)]
    assert source.dropped == 2
    assert sum(map(len, source.batches())) == 2
    assert source.dropped == 2  # counted anew, not more


@pytest.mark.parametrize("kind", KINDS)
def test_a_listing_keeps_them_too_and_says_how_many_were_left_out(tmp_path: Path, kind: str) -> None:
    config = written(kind, tmp_path)
    without = measure_listing(open_captions(config), 2)
    assert "dropped" not in without.described()
    config.keep, config.where = ["licence"], "LICENCE = 'CC0'"  # names of columns have no case in SQL
    listing = write_listing(open_captions(config), str(tmp_path / "out"), 2)
    assert listing.described() == {
        "images": 2, "captions": 2, "shards": 1, "sha256": listing.sha256, "dropped": 2,
    }  # fmt: skip
    assert listing == measure_listing(open_captions(config), 2) == stored_listing(str(tmp_path / "out"), 2)
    assert [row["kept"] for row in read_shard(str(tmp_path / "out"), 0).to_pylist()] == [{"licence": "CC0"}] * 2
    config.where = None
    assert measure_listing(open_captions(config), 2).sha256 not in (listing.sha256, without.sha256)
    config.keep = ["width"]
    assert measure_listing(open_captions(config), 2).sha256 != without.sha256


@pytest.mark.parametrize("kind", KINDS)
def test_columns_that_are_not_there_are_named(tmp_path: Path, kind: str) -> None:
    for options in ({"keep": ["license"]}, {"where": "license = 'CC0'"}):
        config = written(kind, tmp_path)
        [key] = options
        config.keep, config.where = options.get("keep", []), options.get("where")
        with pytest.raises(UserError, match=rf"captions.{key}: .* has no column 'license'; it has .*licence, width"):
            rows(config)


def test_of_several_rows_of_an_image_the_first_usable_one_is_kept(tmp_path: Path) -> None:
    lines = ["image,caption,licence", "1.jpg,,", "1.jpg,a dog,first", "1.jpg,a cat,second", "1.jpg,a", "2.jpg,b,third"]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    config = CaptionsConfig("table", str(tmp_path / "a.csv"), images=str(tmp_path), keep=["licence"])
    found = [(row["image_id"], row["captions"], row["problem"], row["kept"]["licence"]) for row in rows(config)]
    assert found == [
        ("1.jpg", ["", "a dog", "a cat"], None, ""),
        ("2.jpg", ["b"], None, "third"),
        ("a.csv:5", [], "bad_row", None),
    ]
    config.where = "licence <> 'first'"  # of the row that cannot be read nobody knows it
    source = open_captions(config)
    found = [(row["image_id"], row["captions"]) for batch in source.batches() for row in batch.to_pylist()]
    assert (found, source.dropped) == ([("1.jpg", ["", "a cat"]), ("2.jpg", ["b"]), ("a.csv:5", [])], 1)


def test_types_of_a_column_in_several_files(tmp_path: Path) -> None:
    first = {"image": ["/1.jpg"], "caption": ["a"]}
    second = {"image": ["/2.jpg"], "caption": ["b"]}
    columns = {
        "whole": (pa.array([1], pa.int8()), pa.array([2], pa.uint32()), 1, 2),
        "number": (pa.array([1]), pa.array([0.5]), 1.0, 0.5),
        "mixed": (pa.array([1]), pa.array(["b"]), "1", "b"),
        "absent": (pa.nulls(1), pa.array([True]), None, True),
        "nothing": (pa.nulls(1), pa.nulls(1), None, None),
        "tags": (pa.array([["a", "é"]]), pa.array([[]], pa.list_(pa.string())), '["a", "é"]', "[]"),
        "nested": (pa.array([{"a": 1}]), pa.array([{"a": 2}]), '{"a": 1}', '{"a": 2}'),
        "word": (pa.array(["x"]).dictionary_encode(), pa.array(["y"], pa.large_string()), "x", "y"),
    }  # fmt: skip
    pq.write_table(pa.table(first | {name: found[0] for name, found in columns.items()}), tmp_path / "1.parquet")
    pq.write_table(pa.table(second | {name: found[1] for name, found in columns.items()}), tmp_path / "2.parquet")
    found = rows(CaptionsConfig("table", str(tmp_path), keep=list(columns)))
    assert [row["kept"] for row in found] == [{name: own[at] for name, own in columns.items()} for at in (2, 3)]


def test_pictures_are_not_kept(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [b"1"], "caption": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"captions.keep: column 'image' of .* is of type binary"):
        rows(CaptionsConfig("table", str(tmp_path), keep=["image"]))
    with pytest.raises(UserError, match=r"captions.keep: 'caption' is named twice"):
        rows(CaptionsConfig("table", str(tmp_path), keep=["caption", "caption"]))


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("width >", "syntax error"),
        ("width > 3; drop table source", "Only SELECT|syntax error"),
        ("width > 3 from other", "not one expression|syntax error"),
        ("random() < 0.5 and width = ''", "random gives something else every time"),
        ("width > (select 3)", "without subquery"),
        ("row_number() over (order by width) < 3", "without window"),
        ("count(width) > 1", "does not give one value|must appear in the GROUP BY|aggregate"),
        ("true", "names no column"),
        ("width > 500", "try_cast"),
        ("cast(licence as int) > 500", "try_cast"),
        ("no_such_function(width)", "no_such_function"),
        ("width in (select content from read_text('/etc/passwd'))", "subquery"),
    ],
)
def test_what_is_no_condition_is_refused(tmp_path: Path, where: str, said: str) -> None:
    config = written("jsonl", tmp_path)
    config.where = where
    with pytest.raises(UserError, match=f"(?s)captions.where: .*({said})"):
        rows(config)


@given(st.lists(st.one_of(st.none(), st.integers(-5, 5)), max_size=40), st.integers(1, 7))
def test_a_condition_holds_where_python_says_so(widths: list[int | None], size: int) -> None:
    condition = Condition("width % 3 = 0 or width > 3")
    holds: list[bool] = []
    for start in range(0, len(widths), size):
        found = condition.holds({"width": pa.array(widths[start : start + size], pa.int64())})
        assert found.dtype == np.bool_
        holds += found.tolist()
    assert holds == [width is not None and (abs(width) % 3 == 0 or width > 3) for width in widths]


def test_a_condition_that_no_row_fulfils(tmp_path: Path) -> None:
    members = sample("1") + sample("2")
    write_tar(tmp_path / "0.tar", members)
    config = CaptionsConfig("webdataset", str(tmp_path / "0.tar"), where="status <> 'success'")
    source = open_captions(config)
    assert (list(source.batches()), source.dropped) == ([], 2)
    listing = write_listing(open_captions(config), str(tmp_path / "out"), 2)
    assert (listing.images, listing.dropped, listing.shards) == (0, 2, 0)
