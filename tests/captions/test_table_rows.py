"""Rows of tables against pandas and plain Python, with good input and bad."""

import collections
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.captions import CaptionsConfig, open_captions, read_shard, write_listing
from pipeline.errors import UserError
from tests.captions.sources import bad, good, numbered_table, rows_of, write_csv, write_parquet


def write_tsv(rows: pd.DataFrame, path: Path) -> None:
    rows.to_csv(path, index=False, sep="\t")


def write_csv_gz(rows: pd.DataFrame, path: Path) -> None:
    rows.to_csv(path, index=False, compression="gzip")


@pytest.mark.parametrize(
    ("suffix", "write"),
    [
        (".csv", write_csv),
        (".tsv", write_tsv),
        (".csv.gz", write_csv_gz),
        (".parquet", write_parquet),
    ],
)
def test_tables_are_grouped_as_pandas_does(
    tmp_path: Path, suffix: str, write: Callable[[pd.DataFrame, Path], None]
) -> None:
    random_ = random.Random(7)
    rows = pd.DataFrame(
        {
            "extra": range(300),
            "url": [f"https://host/{random_.randrange(40)}.jpg" for _ in range(300)],
            "text": [f'{i}, "quoted"\ttab\nline ü😀' for i in range(300)],
        }
    )
    if suffix == ".tsv":  # in which a line is a row
        rows["text"] = rows["text"].str.replace("\n", " ")
    write(rows[:100], tmp_path / f"part-0{suffix}")
    write(rows[100:], tmp_path / f"part-1{suffix}")
    expected = [good(url, url, *group["text"]) for url, group in rows.groupby("url", sort=True)]
    for path in (tmp_path, tmp_path / f"part-*{suffix}", tmp_path / f"part-{{0..1}}{suffix}"):
        config = CaptionsConfig("table", str(path), image_column="url", caption_column="text")
        assert rows_of(config) == expected


def test_a_table_may_have_lists_of_captions_and_number_ids(tmp_path: Path) -> None:
    table = pa.table(
        {
            "number": pa.array([2, 10, 2, 3], pa.int64()),
            "image": ["two.jpg", "/data/ten.jpg", "two.jpg", "three.jpg"],
            "captions": [["a", "b"], ["c"], ["d", None], []],
        }
    )
    pq.write_table(table, tmp_path / "captions.parquet")
    config = CaptionsConfig(
        "table",
        str(tmp_path / "captions.parquet"),
        images="https://host/images/",
        id_column="number",
        caption_column="captions",
    )
    assert rows_of(config) == [
        good("10", "/data/ten.jpg", "c"),
        good("2", "https://host/images/two.jpg", "a", "b", "d"),
        bad("2", "https://host/images/two.jpg", "null_caption"),
        bad("3", "https://host/images/three.jpg", "null_caption"),
    ]


def test_table_rows_that_fit_nowhere_stay_in_the_listing(tmp_path: Path) -> None:
    rows = [
        ("1", "s3://b/1.jpg", "kept"),
        ("1", "s3://b/other.jpg", "of another image"),
        ("1", "s3://b/1.jpg", "kept too"),
        (None, "s3://b/2.jpg", "no id"),
        ("", "s3://b/3.jpg", "empty id"),
        ("4", None, "no image"),
        ("5", "", None),
        ("6", "relative.jpg", "where is it"),
        ("7", "s3://b/7.jpg", None),
    ]
    columns = zip(*rows, strict=True)
    table = pa.table(dict(zip(("id", "image", "caption"), map(list, columns), strict=True)))
    pq.write_table(table, tmp_path / "captions.parquet")
    config = CaptionsConfig("table", str(tmp_path), id_column="id")
    assert rows_of(config) == [
        bad("", "s3://b/2.jpg", "null_id", "no id"),
        bad("", "s3://b/3.jpg", "null_id", "empty id"),
        good("1", "s3://b/1.jpg", "kept", "kept too"),
        bad("1", "s3://b/other.jpg", "conflicting_image", "of another image"),
        bad("4", "", "null_image", "no image"),
        bad("5", "", "null_image"),
        bad("6", "relative.jpg", "relative_path", "where is it"),
        bad("7", "s3://b/7.jpg", "null_caption"),
    ]


def test_wrong_tables_are_named_before_anything_is_read(tmp_path: Path) -> None:
    def table(name: str, **columns: list) -> None:
        (tmp_path / name).mkdir()
        pq.write_table(pa.table(columns), tmp_path / name / "a.parquet")

    def message(name: str, **options: str) -> str:
        with pytest.raises(UserError) as caught:
            open_captions(CaptionsConfig("table", str(tmp_path / name), **options))
        return str(caught.value)

    table("names", picture=["/a.jpg"], caption=["a"])
    assert message("names").startswith("captions.image_column: ")
    assert "it has picture, caption" in message("names")
    table("types", image=["/a.jpg"], caption=[1.5])
    assert message("types").startswith("captions.caption_column: ")
    assert "is of type double" in message("types")
    assert message("types", id_column="nr").startswith("captions.id_column: ")
    table("relative", image=["a.jpg"], caption=["a"])
    assert message("relative").startswith("captions.images: must be set")
    table("damaged", image=["/a.jpg"], caption=["a"])
    (tmp_path / "damaged" / "a.parquet").write_bytes(b"PAR1 and nothing more")
    assert message("damaged").startswith(f"captions.path: {tmp_path}/damaged/a.parquet cannot be")
    table("mixed", image=["/a.jpg"], caption=["a"])
    (tmp_path / "mixed" / "b.csv").write_text("image,caption\n")
    assert "name one kind" in message("mixed")
    (tmp_path / "empty").mkdir()
    for nothing in ("empty", "names/*.csv"):
        assert message(nothing).startswith("captions.path: 0 files match ")
    assert "nothing is there" in message("missing")
    assert "unbalanced braces" in message("{a")


def test_a_table_damaged_in_the_middle_is_named(tmp_path: Path) -> None:
    config = numbered_table(tmp_path, 1000)
    content = bytearray(Path(config.path).read_bytes())
    content[100:1000] = bytes(900)
    Path(config.path).write_bytes(content)
    with pytest.raises(UserError, match=rf"^captions\.path: {config.path} cannot be read"):
        rows_of(config)


def test_a_csv_row_with_missing_fields_costs_itself(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("image,caption\n/a.jpg,a\n/b.jpg\n")
    assert rows_of(CaptionsConfig("table", str(tmp_path / "a.csv"))) == [
        good("/a.jpg", "/a.jpg", "a"),
        bad("a.csv:3", "", "bad_row"),
    ]


IMAGES = st.sampled_from(["/a.jpg", "/b.jpg", "/c.jpg", "/d/e.jpg", "s3://b/ü.jpg", "/😀.jpg"])
# Lists as text are lists, see test_tables.py.
CAPTIONS = st.text(st.characters(codec="utf-8"), max_size=5).filter(lambda text: text.strip()[:1] not in ("[", "{"))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(IMAGES, CAPTIONS), min_size=1, max_size=60),
    st.integers(1, 5),
    st.integers(1, 9),
)
def test_any_table_gives_the_group_by_in_shards(
    rows: list[tuple[str, str]], row_group_size: int, images_per_shard: int
) -> None:
    groups = collections.defaultdict(list)
    for image, caption in rows:
        groups[image].append(caption)
    expected = [good(image, image, *groups[image]) for image in sorted(groups, key=lambda x: x.encode())]
    with tempfile.TemporaryDirectory() as folder:
        images, captions = zip(*rows, strict=True)
        pq.write_table(
            pa.table({"image": images, "caption": captions}),
            f"{folder}/table.parquet",
            row_group_size=row_group_size,
        )
        config = CaptionsConfig("table", f"{folder}/table.parquet")
        assert rows_of(config) == expected
        listing = write_listing(open_captions(config), folder, images_per_shard)
        shards = [read_shard(folder, shard) for shard in range(listing.shards)]
        assert all(len(shard) == images_per_shard for shard in shards[:-1])
        listed = pa.concat_tables(shards).select(["image_id", "captions"]).to_pylist()
        assert listed == [{"image_id": row["image_id"], "captions": row["captions"]} for row in expected]
        assert listing.images == len(groups)
        assert listing.captions == len(rows)
