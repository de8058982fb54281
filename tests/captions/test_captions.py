"""Caption sources against json, pandas and plain Python, with good input and bad."""

import collections
import gzip
import hashlib
import io
import json
import random
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import storage
from pipeline.captions import (
    CaptionsConfig,
    measure_listing,
    open_captions,
    read_image,
    read_shard,
    write_listing,
)
from pipeline.captions.listing import SHARDS_PER_FILE
from pipeline.captions.sorting import sort_batches
from pipeline.errors import UserError
from schemas import LISTING


def rows_of(config: CaptionsConfig) -> list[dict]:
    """All rows of a source, without the fields that are null."""
    table = pa.Table.from_batches(open_captions(config).batches(), LISTING)
    return [{k: v for k, v in row.items() if v is not None} for row in table.to_pylist()]


def good(image_id: str, uri: str, *captions: str, **more: object) -> dict:
    return {"image_id": image_id, "image_uri": uri, "captions": list(captions), **more}


def bad(image_id: str, uri: str, problem: str, *captions: str, **more: object) -> dict:
    return good(image_id, uri, *captions, problem=problem, **more)


# COCO


def coco(path: Path, images: list[dict], annotations: list[dict]) -> CaptionsConfig:
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    return CaptionsConfig("coco", str(path), images=str(path.parent))


def test_coco_sample_is_listed_as_its_json_says(coco_sample: Path, tmp_path: Path) -> None:
    path = coco_sample / "annotations" / "captions.json"
    document = json.loads(path.read_text())
    expected = []
    for image in sorted(document["images"], key=lambda image: image["id"]):
        own = [item for item in document["annotations"] if item["image_id"] == image["id"]]
        expected.append(
            good(
                str(image["id"]),
                f"{coco_sample}/images/{image['file_name']}",
                *(item["caption"] for item in sorted(own, key=lambda item: item["id"])),
                width=image["width"],
                height=image["height"],
            )
        )
    config = CaptionsConfig("coco", str(path), images=str(coco_sample / "images"))
    assert rows_of(config) == expected
    assert len(expected) == 132
    assert sum(len(row["captions"]) for row in expected) == 660

    listing = write_listing(open_captions(config), str(tmp_path), 50)
    assert (listing.images, listing.captions, listing.shards) == (132, 660, 3)
    for row in read_shard(str(tmp_path), 2).to_pylist():
        data = read_image(row["image_uri"], row["byte_offset"], row["byte_length"])
        assert data == Path(row["image_uri"]).read_bytes()

    compressed = tmp_path / "captions.json.gz"
    compressed.write_bytes(gzip.compress(path.read_bytes()))
    config.path = str(compressed)
    assert rows_of(config) == expected


def test_coco_images_and_captions_are_sorted_by_number(tmp_path: Path) -> None:
    config = coco(
        tmp_path / "captions.json",
        [{"id": i, "file_name": f"{i}.jpg"} for i in (10, 9, 100)],
        [
            {"id": 7, "image_id": 9, "caption": "third"},
            {"id": 2, "image_id": 10, "caption": "one of ten"},
            {"id": 6, "image_id": 9, "caption": "second"},
            {"id": 1, "image_id": 9, "caption": "first"},
        ],
    )
    assert rows_of(config) == [
        good("9", f"{tmp_path}/9.jpg", "first", "second", "third"),
        good("10", f"{tmp_path}/10.jpg", "one of ten"),
        good("100", f"{tmp_path}/100.jpg"),
    ]


def test_coco_input_that_fits_nowhere_stays_in_the_listing(tmp_path: Path) -> None:
    config = coco(
        tmp_path / "captions.json",
        [
            {"id": 5, "file_name": "5.jpg"},
            {"id": 7, "file_name": "first.jpg"},
            {"id": 7, "file_name": "second.jpg"},
        ],
        [
            {"id": 1, "image_id": 7, "caption": None},
            {"id": 2, "image_id": 7, "caption": "half a pair: \ud83d"},
            {"id": 3, "image_id": 6, "caption": "nobody's"},
            {"id": 4, "image_id": 6, "caption": "nobody's either"},
            {"id": 5, "image_id": 8, "caption": "nobody's at the end"},
            {"id": 6, "image_id": 5, "caption": None},
        ],
    )
    assert rows_of(config) == [
        bad("5", f"{tmp_path}/5.jpg", "null_caption"),
        bad("6", "", "unknown_image", "nobody's", "nobody's either"),
        good("7", f"{tmp_path}/first.jpg", "half a pair: ?"),
        bad("7", f"{tmp_path}/first.jpg", "null_caption"),
        bad("7", f"{tmp_path}/second.jpg", "listed_twice"),
        bad("8", "", "unknown_image", "nobody's at the end"),
    ]


def test_coco_images_come_from_a_zip_a_prefix_or_their_url(tmp_path: Path) -> None:
    image = {"id": 1, "file_name": "1.jpg", "coco_url": "https://host/val2017/1.jpg"}
    config = coco(tmp_path / "captions.json", [image], [])
    with zipfile.ZipFile(tmp_path / "val.zip", "w") as archive:
        archive.writestr("val2017/1.jpg", b"image")
    for images, uri in (
        (f"{tmp_path}/val.zip", f"zip://1.jpg::{tmp_path}/val.zip"),
        (f"zip://val2017::{tmp_path}/val.zip", f"zip://val2017/1.jpg::{tmp_path}/val.zip"),
        ("https://other/val2017", "https://other/val2017/1.jpg"),
        (None, "https://host/val2017/1.jpg"),
    ):
        config.images = images
        assert rows_of(config) == [good("1", uri)]
    config.images = f"zip://val2017::{tmp_path}/val.zip"
    row = rows_of(config)[0]
    assert read_image(row["image_uri"], None, None) == b"image"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"images": [],\n "annotations": [}', r"not valid JSON: .* at line 2, column 18"),
        (b"", r"not valid JSON: .* at line 1, column 1"),
        (b'{"images": ["\xff"]}', "not UTF-8 text"),
        (b"[1]", "holds a JSON list, not an object"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"info": 1}', r"has no list 'images' and no list 'annotations'.*found: info"),
        (b'{"images": [], "annotations": {}}', "has no list 'annotations'"),
        (b'{"images": [3], "annotations": []}', r"images\[0\] is a int"),
        (b'{"images": [{"id": 1}], "annotations": []}', r"images\[0\] has no 'file_name'"),
        (b'{"images": [{"id": [1], "file_name": "a"}], "annotations": []}', "'id' of type list"),
        (b'{"images": [], "images": [], "annotations": []}', "'images' twice"),
        (
            b'{"images": [], "annotations": [{"id": 1, "image_id": 1, "bbox": []}]}',
            r"annotations\[0\] has no 'caption' \(it has id, image_id, bbox\)",
        ),
    ],
)
def test_malformed_coco_names_the_file_and_the_place(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "captions.json"
    path.write_bytes(content)
    config = CaptionsConfig("coco", str(path), images=str(tmp_path))
    with pytest.raises(UserError, match=rf"^captions\.path: {path} .*{message}"):
        rows_of(config)


def test_a_truncated_gzip_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "captions.json.gz"
    path.write_bytes(gzip.compress(b'{"images": []}')[:-9])
    with pytest.raises(UserError, match=rf"^captions\.path: {path} not a whole gzip file"):
        rows_of(CaptionsConfig("coco", str(path), images=str(tmp_path)))


def test_coco_without_urls_asks_for_the_images(tmp_path: Path) -> None:
    config = coco(tmp_path / "captions.json", [{"id": 1, "file_name": "1.jpg"}], [])
    config.images = None
    with pytest.raises(UserError, match=r"has no 'coco_url'.*set captions\.images"):
        rows_of(config)
    config.images = str(tmp_path / "wrong")
    with pytest.raises(UserError, match=r"^captions\.images: .*nothing is there"):
        open_captions(config)


# Tables


def write_csv(rows: pd.DataFrame, path: Path) -> None:
    rows.to_csv(path, index=False)


def write_tsv(rows: pd.DataFrame, path: Path) -> None:
    rows.to_csv(path, index=False, sep="\t")


def write_csv_gz(rows: pd.DataFrame, path: Path) -> None:
    rows.to_csv(path, index=False, compression="gzip")


def write_parquet(rows: pd.DataFrame, path: Path) -> None:
    rows.to_parquet(path, row_group_size=7)


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
# Lists as text are lists, see tests/captions.
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


def test_rows_are_sorted_that_do_not_fit_in_the_memory_allowed() -> None:
    """400 MB of captions; an error of the input keeps its type."""
    schema = pa.schema([("key", pa.string()), ("text", pa.string())])
    numbers = random.Random(1)
    keys = [f"{numbers.getrandbits(128):032x}" for _ in range(400)]

    def batches(fail: bool):
        for key in keys:
            numbered = [f"{key}{number:03d}" for number in range(100)]
            yield pa.record_batch([numbered, [key * 320] * 100], schema=schema)
        if fail:
            raise UserError("the input is malformed")

    ordered = [key for batch in sort_batches(batches(fail=False), schema, ["key"]) for key in batch["key"].to_pylist()]
    assert ordered == sorted(f"{key}{number:03d}" for key in keys for number in range(100))
    with pytest.raises(UserError, match="the input is malformed"):
        list(sort_batches(batches(fail=True), schema, ["key"]))


# WebDataset


def write_tar(path: Path, members: list[tuple[str, bytes]], format: int = tarfile.GNU_FORMAT) -> None:
    with tarfile.open(path, "w", format=format) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def sample(key: str, image: bytes = b"image", text: str = "text", extension: str = "jpg") -> list:
    description = json.dumps({"caption": text, "width": 4, "height": 3, "status": "success"})
    return [
        (f"{key}.{extension}", image),
        (f"{key}.json", description.encode()),
        (f"{key}.txt", text.encode()),
    ]


def without_offsets(rows: list[dict]) -> list[dict]:
    return [{name: value for name, value in row.items() if not name.startswith("byte_")} for row in rows]


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_img2dataset_tars_are_listed_and_read_by_range(tmp_path: Path, format: int) -> None:
    contents = {}
    for tar in range(3):
        members = []
        for number in range(20):
            key = f"{tar:05d}{number:04d}"
            contents[key] = key.encode() * number
            members += sample(key, contents[key], f"ü {key}", ["jpg", "png", "webp"][number % 3])
        write_tar(tmp_path / f"{tar:05d}.tar", members, format)
        (tmp_path / f"{tar:05d}.parquet").write_bytes(b"img2dataset puts one here")
        (tmp_path / f"{tar:05d}_stats.json").write_text("{}")
    expected = None
    for path in (tmp_path, tmp_path / "*.tar", tmp_path / "{00000..00002}.tar"):
        rows = rows_of(CaptionsConfig("webdataset", str(path)))
        assert expected in (None, rows)
        expected = rows
    assert [row["image_id"] for row in rows] == sorted(contents)
    for row in rows:
        assert row["captions"] == [f"ü {row['image_id']}"]
        assert (row["width"], row["height"]) == (4, 3)
        image = read_image(row["image_uri"], row["byte_offset"], row["byte_length"])
        assert image == contents[row["image_id"]]
        # The address alone is one that fsspec understands.
        assert storage.read_bytes(row["image_uri"]) == image


def test_samples_that_fit_nowhere_stay_in_the_listing(tmp_path: Path) -> None:
    tar = tmp_path / "a.tar"
    write_tar(
        tar,
        [
            ("./e.JPG", b"e"),
            ("e.json", b'{"caption": ["one", "two"], "width": "wide"}'),
            *sample("d/x.y"),
            ("c.jpg", b"c"),
            ("c.txt", b"\xff"),
            ("b.txt", b"no image"),
            ("f.jpg", b"f"),
            ("f.json", b"{"),
            ("g.jpg", b"g"),
            ("g.json", b"[]"),
            ("h.jpg", b"h"),
            ("h.json", b"{}"),
            ("README", b"of another kind"),
            *sample("e", text="again"),
        ],
    )
    more = tmp_path / "b.tar"
    write_tar(more, sample("c") + sample("e", text="once more"))

    def uri(name: str, tar: Path = tar) -> str:
        return f"tar://{name}::{tar}"

    assert without_offsets(rows_of(CaptionsConfig("webdataset", str(tmp_path)))) == [
        bad("README", str(tar), "no_image"),
        bad("b", str(tar), "no_image", "no image"),
        bad("c", uri("c.jpg"), "bad_text"),
        good("c", uri("c.jpg", more), "text", width=4, height=3),
        bad("d/x", uri("d/x.y.jpg"), "unclear_name"),  # "y.jpg" is the extension
        good("e", uri("./e.JPG"), "one", "two"),
        bad("e", uri("e.jpg"), "listed_twice", "again", width=4, height=3),
        bad("e", uri("e.jpg", more), "listed_twice", "once more", width=4, height=3),
        bad("f", uri("f.jpg"), "bad_text"),
        bad("g", uri("g.jpg"), "bad_text"),
        bad("h", uri("h.jpg"), "no_text"),
    ]


def test_a_truncated_tar_gives_the_samples_before_the_damage(tmp_path: Path) -> None:
    tar = tmp_path / "a.tar"
    write_tar(tar, [member for number in range(4) for member in sample(str(number), bytes(1000))])
    whole = tar.read_bytes()
    with tarfile.open(tar) as opened:
        ends = {member.name: member.offset_data + member.size for member in opened.getmembers()}
    config = CaptionsConfig("webdataset", str(tar))
    assert [row["image_id"] for row in rows_of(config)] == ["0", "1", "2", "3"]
    content_end = 512 * (4 * (3 + 4))  # per sample three headers, and 2 + 1 + 1 blocks of content
    for cut in [*range(0, content_end, 1013), *range(512, content_end + 1, 512)]:
        tar.write_bytes(whole[:cut])
        *rows, damage = rows_of(config)
        assert damage == bad("a.tar", str(tar), "truncated_tar")
        assert [row["image_id"] for row in rows] == [key for key in "0123" if ends[f"{key}.jpg"] <= cut]
        assert [row.get("problem") for row in rows] == [
            None if ends[f"{row['image_id']}.json"] <= cut else "no_text" for row in rows
        ]
    tar.write_bytes(whole)
    assert [row["image_id"] for row in rows_of(config)] == ["0", "1", "2", "3"]
    tar.write_bytes(b"not a tar at all, but long enough to hold a header" * 100)
    assert rows_of(config) == [bad("a.tar", str(tar), "truncated_tar")]


def test_a_tar_that_became_shorter_costs_its_images(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", sample("0"))
    row = rows_of(CaptionsConfig("webdataset", str(tmp_path)))[0]
    (tmp_path / "a.tar").write_bytes(b"")
    with pytest.raises(FileNotFoundError):
        read_image(row["image_uri"], row["byte_offset"], row["byte_length"])


def test_compressed_tars_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(b"")
    for name in ("a.tar.gz", "*.tar.gz"):
        with pytest.raises(UserError, match=r"^captions\.path: .*a\.tar\.gz is compressed"):
            open_captions(CaptionsConfig("webdataset", str(tmp_path / name)))
    with pytest.raises(UserError, match=r"^captions\.path: 0 files match"):
        open_captions(CaptionsConfig("webdataset", str(tmp_path)))


# S3


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


# The listing


def numbered_table(folder: Path, count: int) -> CaptionsConfig:
    names = [f"/{number:06d}.jpg" for number in range(count)]
    table = pa.table({"image": names, "caption": [f"caption of {name}" for name in names]})
    pq.write_table(table, folder / "captions.parquet")
    return CaptionsConfig("table", str(folder / "captions.parquet"))


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
    rows: list[dict], sizes: list[int], place: int, other: dict
) -> None:
    whole = measure_listing(_Rows(rows, []), 4)
    assert measure_listing(_Rows(rows, sizes), 4) == whole
    assert measure_listing(_Rows(rows, sizes), 3).sha256 == whole.sha256
    assert whole.images == len(rows)
    assert whole.captions == sum(len(row["captions"]) for row in rows)
    changed = list(rows)
    changed[place % len(rows)] = other
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


@pytest.mark.slow
def test_ten_million_rows_are_planned_under_a_gigabyte() -> None:
    command = [sys.executable, "-m", "tests.benchmarks.listing"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
